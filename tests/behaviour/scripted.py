"""Writers that are small functions: what they write is known, so that what a measure must find is known."""

import random
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from interp.measurement import Measurement

Write = Callable[[int, random.Random], dict[str, Any]]
"""Problem's number and a source of chance to the columns of a row that matter."""


def rollouts(arms: Mapping[str, Write], *, problems: int = 60, samples: int = 8, **facts: Any) -> Measurement:
    """The table of `interp.written` that these writers make; equal writers write equal texts."""
    rows = []
    for arm, write in arms.items():
        rng = random.Random(0)
        for problem in range(problems):
            for sample in range(samples):
                row = write(problem, rng)
                text = row.pop("text", "")
                full = {"kind": "", "text": text, "tokens": text.split(), "answer": "", "strict": False, "stray": 0}
                full |= {"flexible": row.get("strict", False), "reason": "stop", "spans": []}
                rows.append({"problem": f"p{problem}", "arm": arm, "sample": sample} | full | facts | row)
    return Measurement("written", "one text per row", pd.DataFrame(rows), {})


def renamed(written: Measurement) -> Measurement:
    """The same texts to problems of other names."""
    table = written.table.assign(problem=["x" + name[::-1] for name in written.table["problem"]])
    return Measurement(written.name, written.unit, table, written.made_with)


def exchanged(measurement: Measurement) -> Measurement:
    """Base called tuned and tuned called base."""
    names = {"base": "tuned", "tuned": "base"}
    table = measurement.table.assign(arm=measurement.table["arm"].replace(names))
    return Measurement(measurement.name, measurement.unit, table, measurement.made_with)


def copied(measurement: Measurement) -> Measurement:
    """Base's rows as tuned's too."""
    others = measurement.table[measurement.table["arm"] != "tuned"]
    copy = measurement.table[measurement.table["arm"] == "base"].assign(arm="tuned")
    return Measurement(measurement.name, measurement.unit, pd.concat([others, copy]), measurement.made_with)
