"""In which format does each arm write, how far is that one format only, and since when?"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from interp.measurement import Measurement, provenance
from interp.written import in_order, read_written, rows_by

Format = Callable[[Mapping[str, Any]], str]
"""A row of the table to the name of its format."""
OTHER = "other"


def opening_format(row: Mapping[str, Any]) -> str:
    """The strategy of the first step; `other` where the text has none."""
    return str(row["spans"][0][2]) if row["spans"] else OTHER


def opening_word(row: Mapping[str, Any]) -> str:
    """The first word in small letters, for texts that nobody parses; `other` where there is none."""
    words = re.findall(r"\w+", row["text"])
    return words[0].lower() if words else OTHER


def formats(
    written: Measurement,
    form: Format = opening_format,
    *,
    known: Sequence[str] = (),
    series: Sequence[str] = (),
) -> Measurement:
    """`formats`: per problem, arm and format how many of `n` samples are in it (`count`) and how many of those right.

    Columns: problem, kind, arm, step, format, n, count, right. Every format that some arm writes, and each one `known`,
    has a row for every problem and arm. `series` are the arms of a checkpoint series in order; their column `step` has
    to rise, else ValueError; without a series `step` is NaN.
    """
    table = read_written(written, "kind", "spans", "strict", arms=series)
    steps = in_order(table, series) if series else {}
    grouped = {
        key: [(form(row), bool(row["strict"]), row["kind"]) for row in of]
        for key, of in rows_by(table, "problem", "arm").items()
    }
    every = list(dict.fromkeys([*known, *(name for of in grouped.values() for name, _, _ in of)]))
    rows = []
    for (problem, arm), of in grouped.items():
        for name in every:
            rows.append(
                {
                    "problem": problem,
                    "kind": of[0][2],
                    "arm": arm,
                    "step": float(steps[arm]) if arm in steps else math.nan,
                    "format": name,
                    "n": len(of),
                    "count": sum(found == name for found, _, _ in of),
                    "right": sum(right for found, right, _ in of if found == name),
                }
            )
    made_with = provenance(rollouts=dict(written.made_with), formats=every, series=list(series))
    return Measurement("formats", "samples in each format", pd.DataFrame(rows), made_with)
