"""A figure as plain JSON that two machines can compare: arrays as lists, keys in order, no binary blocks."""

import base64
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go


def canonical(figure: go.Figure) -> Any:
    """The figure's JSON with every array decoded to a list and NaN as None."""
    return _decoded(json.loads(figure.to_json()))


def to_text(plain: Any) -> str:
    """Canonical JSON as text: the same bytes for the same figure."""
    return json.dumps(plain, sort_keys=True, indent=0, ensure_ascii=False) + "\n"


def largest_difference(got: Any, expected: Any) -> tuple[float, str]:
    """The largest absolute difference between numbers in the same place, and where it is.

    Infinite where text, structure or the kind of a value differs; the place then says what stands there.
    """
    worst, where = 0.0, ""
    for place, a, b in _pairs(got, expected, "figure"):
        difference = float(abs(a - b)) if _is_number(a) and _is_number(b) else 0.0 if a == b else math.inf
        if difference > worst:
            worst, where = difference, f"{place}: got {_short(a)}, expected {_short(b)}"
            if math.isinf(worst):
                break
    return worst, where


def _pairs(got: Any, expected: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(got, Mapping) and isinstance(expected, Mapping):
        for key in sorted({*got, *expected}):
            yield from _pairs(got.get(key), expected.get(key), f"{place}.{key}")
    elif _is_list(got) and _is_list(expected) and len(got) == len(expected):
        for i, (a, b) in enumerate(zip(got, expected, strict=True)):
            yield from _pairs(a, b, f"{place}[{i}]")
    else:
        yield place, got, expected


def _decoded(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) <= {"bdata", "dtype", "shape"} and "bdata" in value:
            array = np.frombuffer(base64.b64decode(value["bdata"]), dtype=value["dtype"])
            shape = [int(n) for n in str(value.get("shape", len(array))).split(",")]
            return _decoded(array.reshape(shape).tolist())
        return {key: _decoded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
