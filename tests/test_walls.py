"""The house's walls: what imports what."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "interp").rglob("*.py"))
ROOMS = ("layers", "sae", "routing", "behaviour")
HEAVY = ("torch", "transformers", "transformer_lens", "sae_lens")
PURE = {f"interp.{name}" for name in ("measurement", "intervals", "budgets", "power", "streamed", "written")}
DRAWS_ITSELF = {("interp.claims.verdict", "interp.plots.ledger")}
"""An object that draws itself in a notebook names its figure, inside the method that is asked for it."""


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(source: str) -> Iterator[str]:
    """Every module that a source imports, wherever in it, `from a import b` as `a` and as `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide what is imported"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def crossings(name: str, source: str) -> list[str]:
    """What a module imports from a room that it has to stay out of."""
    room = name.split(".")[1] if name.count(".") else ""
    if room in ROOMS:
        closed = [f"interp.{other}" for other in (*ROOMS, "claims", "plots") if other != room]
    elif room in ("claims", "plots"):
        closed = [f"interp.{other}" for other in (*ROOMS, "claims", "plots", "tasks", "organisms") if other != room]
    else:
        closed = []
    open_to = tuple(door for inside, door in DRAWS_ITSELF if inside == name)
    return [
        found
        for found in imports(source)
        if any(found == shut or found.startswith(f"{shut}.") for shut in closed)
        and not found.startswith(open_to or "-")
    ]


def test_a_crossing_would_be_seen() -> None:
    assert crossings("interp.layers.weights", "def f():\n    from interp.sae import quality") == [
        "interp.sae",
        "interp.sae.quality",
    ]
    assert crossings("interp.claims.one", "import interp.plots.theme") == ["interp.plots.theme"]
    assert crossings("interp.layers.weights", "from interp.layers import depth\nimport interp.saeling") == []


@pytest.mark.parametrize("path", SOURCES, ids=module)
def test_rooms_do_not_import_each_other(path: Path) -> None:
    assert crossings(module(path), path.read_text()) == []


@pytest.mark.parametrize("path", SOURCES, ids=module)
def test_nothing_reads_outside_the_repository(path: Path) -> None:
    assert "../shared" not in path.read_text()


def test_claims_plots_and_the_command_line_load_no_torch() -> None:
    pure = [m for m in map(module, SOURCES) if m in PURE or m.startswith(("interp.claims", "interp.plots"))]
    pure += [m for m in map(module, SOURCES) if m == "interp.cli" or m.startswith("interp.commands")]
    pure += ["interp.tasks.text", "interp.tasks.organism"]
    code = f"import sys\nfor name in {pure}: __import__(name)\nprint(*sorted(set(sys.modules) & set({HEAVY})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_help_loads_nothing_heavy() -> None:
    run = "try: main(['--help'])\nexcept SystemExit: print(*sys.modules, file=sys.stderr)"
    code = f"import sys\nfrom interp.cli import main\n{run}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: interp")
    loaded = set(done.stderr.split())
    assert "argparse" in loaded
    assert not loaded & {*HEAVY, "numpy", "pandas", "plotly", "scipy"}
