import base64
import json
import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest


@pytest.fixture(scope="session")
def saved() -> SimpleNamespace:
    """The functions of `saved.py`, which make measurements as the rooms save them."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "saved.py")))


@pytest.fixture
def traces() -> Callable[[go.Figure], list[dict[str, Any]]]:
    """A figure's traces as a browser gets them, arrays decoded."""
    return lambda figure: _decoded(json.loads(figure.to_json()))["data"]


def _decoded(value: Any) -> Any:
    if isinstance(value, dict) and "bdata" in value:
        flat = np.frombuffer(base64.b64decode(value["bdata"]), dtype=value["dtype"])
        shape = value.get("shape", str(len(flat)))
        return flat.reshape([int(size) for size in shape.split(",")])
    if isinstance(value, dict):
        return {key: _decoded(item) for key, item in value.items()}
    return [_decoded(item) for item in value] if isinstance(value, list) else value
