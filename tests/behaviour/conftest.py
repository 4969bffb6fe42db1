import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest


@pytest.fixture(scope="session")
def scripted() -> SimpleNamespace:
    """The functions of `behaviour/scripted.py`: writers whose truth is planted."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).parent.parent / "behaviour" / "scripted.py")))
