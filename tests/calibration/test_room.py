"""Instruments do not know that they are calibrated: nothing that measures or decides imports this room."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2] / "interp"
OPEN_TO = ("calibration", "commands", "report.py", "workbench.py")


def importers(root: Path) -> list[str]:
    """Files outside the room that import from it, by the first part of their path."""
    found = []
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if any(name.startswith("interp.calibration") for name in names):
                found.append(path.relative_to(root).parts[0])
    return sorted(set(found))


def test_only_the_command_and_the_page_import_it() -> None:
    assert set(importers(ROOT)) <= set(OPEN_TO)
    assert {"calibration", "commands"} <= set(importers(ROOT))


def test_a_claim_that_looked_at_its_own_record_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "one.py").write_text("def f():\n    from interp.calibration.record import record\n")
    assert importers(tmp_path) == ["claims"]
