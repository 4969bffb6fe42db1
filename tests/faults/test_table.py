"""The page on faults has every number, and every test that it names is there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FAULTS, TRANSFORMATIONS = 90, 35


PAGE = (ROOT / "docs" / "faults.md").read_text()
NAMED = set(re.findall(r"`(tests/[^`]+)`", PAGE))


def rows() -> list[tuple[int, str]]:
    """Number and the rest of every numbered row of the page's tables, in order."""
    return [(int(number), text) for number, text in re.findall(r"^\| (\d+) \| (.+) \|$", PAGE, re.MULTILINE)]


def defined(path: Path, *, slow: bool = False) -> set[str]:
    """The functions at the top of a file; or those of them that `pytest` leaves out unless asked for the slow ones."""
    functions = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    return {f.name for f in functions if not slow or any("mark.slow" in ast.unparse(d) for d in f.decorator_list)}


def test_every_number_is_there_once_and_in_order() -> None:
    assert [number for number, _ in rows()] == [*range(1, FAULTS + 1), *range(1, TRANSFORMATIONS + 1)]


def test_every_row_names_a_test_and_every_test_is_there() -> None:
    assert [(number, text) for number, text in rows() if "`tests/" not in text] == []
    lost = []
    for node in NAMED:
        file, _, name = node.partition("::")
        if not (ROOT / file).is_file() or not name.startswith("test_") or name not in defined(ROOT / file):
            lost.append(node)
    assert sorted(lost) == []


def test_a_row_says_which_of_its_tests_are_slow() -> None:
    """What `make test` leaves out holds nothing from one day to the next."""
    slow = {node for node in NAMED if node.partition("::")[2] in defined(ROOT / node.partition("::")[0], slow=True)}
    assert slow
    assert set(re.findall(r"`(tests/[^`]+)` \(slow\)", PAGE)) == slow


def test_every_test_of_these_two_folders_is_on_the_page() -> None:
    here = [path for folder in ("faults", "metamorphic") for path in (ROOT / "tests" / folder).glob("test_*.py")]
    written = {
        f"{path.relative_to(ROOT)}::{name}"
        for path in here
        if path != Path(__file__)
        for name in defined(path)
        if name.startswith("test_")
    }
    assert len(written) > 40
    assert sorted(written - NAMED) == []
