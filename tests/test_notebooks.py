"""Every notebook runs from top to bottom as the script that it is."""

import runpy
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.py"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(notebook))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_holds_calls_and_prose_only(notebook: Path) -> None:
    lines = notebook.read_text().splitlines()
    assert "# %% [markdown]" in lines
    assert not [line for line in lines if line.lstrip().startswith(("def ", "class ", "lambda "))]
