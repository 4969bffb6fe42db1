"""Is the figure you see the one the numbers give, and are the numbers the ones the checkpoints give?

- summary: redraw every figure from the saved data and recompute its headline numbers; no torch, no browser
- shard: measure a sample again from the shipped checkpoints and compare row by row
- full: measure everything again

What cannot be compared is skipped, and said so: a skip is never a match.
"""

import functools
import json
import math
import runpy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from interp.figures.canonical import canonical, largest_difference
from interp.figures.data import load_data
from interp.figures.manifest import Figure, open_script
from interp.measurement import Measurement

Result = Literal["MATCH", "DIFFER", "SKIPPED"]
Measure = Callable[[int | None], Measurement]
"""Makes one table again, of the first `n` problems or of all."""

ROUNDING = 1e-9
"""Redrawing is the same arithmetic on the same numbers: only the last bits of a float may move between machines."""


_WHERE = ("swapped", "sweep", "direction", "axis", "tensor", "component", "head", "layer", "boundary", "part", "by")
_WHAT = ("group", "k", "null", "strategy", "at", "source", "model", "bos", "text", "how", "attack", "rule")
_PLANTED = ("instrument", "organism", "about", "base_seed", "seed", "reached")
_KEYS = ("arm", "rate", "draw", "problem", *_WHERE, *_WHAT, *_PLANTED)
_ALSO = {"by": "tokens", "reached": "n"}
"""Columns that are a key beside another alone: which tokens a row is about, after how many problems."""


@dataclass(frozen=True)
class Check:
    """What came of one comparison: `worst` is the largest difference found, `where` the place it stands at."""

    figure: str
    what: str
    result: Result
    worst: float
    where: str

    def __str__(self) -> str:
        if self.result == "MATCH":
            return f"MATCH    {self.figure} ({self.what}): max |d| {self.worst:.1e}"
        return f"{self.result:8} {self.figure} ({self.what}): {self.where}"


def check_drawing(folder: Path, figure: Figure) -> list[Check]:
    """The figure redrawn from its data against its committed JSON, and its headline numbers against the manifest."""
    try:
        data = saved(folder, figure)
        script = open_script(folder, figure)
        committed = json.loads((folder / f"{figure.id}.json").read_text())
    except (ValueError, OSError) as error:
        return [Check(figure.id, "data", "DIFFER", math.inf, str(error))]
    drawn = largest_difference(canonical(script.draw(data)), committed)
    quoted = largest_difference(dict(script.headline(data)), dict(figure.headline))
    return [
        _check(figure.id, "drawing", drawn, ROUNDING),
        _check(figure.id, "headline", quoted, figure.tolerance.get("headline", ROUNDING)),
    ]


SAMPLE = 45
"""Problems that a shard is measured on again."""


class Measured(NamedTuple):
    """What `measure.py` defines: how every table is measured again, of which a sample can be compared with the saved
    table, and how many seconds of one quiet core each takes in full."""

    tables: Mapping[str, Measure]
    sampled: frozenset[str]
    seconds: Mapping[str, float]


def measures(folder: Path) -> Measured:
    """How the figures' tables are measured again; ValueError without a `measure.py`."""
    path = folder / "measure.py"
    if not path.is_file():
        raise ValueError(f"there is no measure.py in {folder.name}/; it says how the figures' tables are measured")
    defined = runpy.run_path(str(path))
    return Measured(defined["TABLES"], frozenset(defined["SAMPLED"]), defined.get("SECONDS", {}))


def cost(names: Sequence[str], seconds: Mapping[str, float]) -> str:
    """What measuring these tables in full takes, in a sentence that names the dearest and those of unknown cost."""
    known = {name: seconds[name] for name in names if name in seconds}
    unknown = [name for name in names if name not in seconds]
    dearest = sorted(known, key=lambda name: -known[name])[:3]
    said = f"measuring {len(names)} tables in full: about {sum(known.values()) / 60:.0f} minutes of one quiet core"
    said += f" for {len(known)} of them" if unknown else ""
    said += f", most of it {', '.join(f'{name} {known[name] / 60:.1f}' for name in dearest)}" if dearest else ""
    return said + (f"; not timed yet: {', '.join(unknown)}" if unknown else "")


def check_again(folder: Path, figures: Sequence[Figure], *, sample: bool, say: Callable[[str], None]) -> list[Check]:
    """Every table of the figures measured again once, on a sample or whole; whole, what it will cost is said first."""
    tables, sampled, seconds = measures(folder)
    checks: list[Check] = []
    seen: set[str] = set()
    known = {name: table for name, table in tables.items() if name in sampled or not sample}
    if not sample:
        names = dict.fromkeys(name for figure in figures for name in figure.data if name in known)
        say(cost(list(names), seconds))
    for figure in figures:
        fresh = tuple(name for name in figure.data if name not in seen)
        seen.update(fresh)
        if fresh:
            say(f"measuring again: {', '.join(fresh)}")
            started = time.perf_counter()
            checks += check_data(folder, replace(figure, data=fresh), known, SAMPLE if sample else None)
            say(f"measured in {time.perf_counter() - started:.0f} s: {', '.join(fresh)}")
    return checks


def check_data(folder: Path, figure: Figure, measures: Mapping[str, Measure], n: int | None) -> list[Check]:
    """The figure's tables measured again, on the first `n` problems or on all, against the saved ones."""
    checks = []
    for name in figure.data:
        if name not in measures:
            checks.append(Check(figure.id, name, "SKIPPED", math.nan, "not measured again at this level"))
            continue
        try:
            expected = load_data(*_place(folder, name))
        except ValueError as error:
            checks.append(Check(figure.id, name, "DIFFER", math.inf, str(error)))
            continue
        try:
            got = measures[name](n)
        except LookupError as error:  # what it is measured from is not here
            checks.append(Check(figure.id, name, "SKIPPED", math.nan, str(error)))
            continue
        checks += compare_tables(figure, name, got.table, expected.table, sample=n is not None)
    return checks


def compare_tables(
    figure: Figure, name: str, got: pd.DataFrame, expected: pd.DataFrame, *, sample: bool
) -> list[Check]:
    """Two tables of one measurement, row by row under their keys; of a sample only the rows that both hold.

    Keys are the columns of text and whole numbers that identify a row; every other column is compared within the
    figure's tolerance for it.
    """
    keys = [c for c in _KEYS if c in expected.columns]
    keys += [also for key, also in _ALSO.items() if key in keys]
    if list(got.columns) != list(expected.columns):
        where = f"columns {list(got.columns)}, expected {list(expected.columns)}"
        return [Check(figure.id, name, "DIFFER", math.inf, where)]
    left, right = _keyed(got, keys), _keyed(expected, keys)
    if not right.index.is_unique:
        twice = right.index[right.index.duplicated()][0]
        raise ValueError(
            f"{name} has several rows {twice!r} under {', '.join(keys)}; name what tells them apart as a key"
        )
    shared = left.index.intersection(right.index)
    if sample and not len(shared):
        return [Check(figure.id, name, "SKIPPED", math.nan, "the sample shares no row with the saved table")]
    if not sample and len(shared) < max(len(left), len(right)):
        where = f"{len(left)} rows, expected {len(right)}, {len(shared)} in common"
        return [Check(figure.id, name, "DIFFER", math.inf, where)]
    checks = []
    for column in left.columns:
        found = largest_difference(_plain(left.loc[shared, column]), _plain(right.loc[shared, column]))
        checks.append(
            _check(figure.id, f"{name}: {column}, {len(shared)} rows", found, figure.tolerance.get(column, 0.0))
        )
    return checks


def _keyed(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Rows under their keys in order; a key that is missing (the rate of an arm without one) is a key all the same."""
    filled = table.assign(**{key: table[key].astype(object).where(table[key].notna(), "none") for key in keys})
    return filled.set_index(filled[keys].astype(str).agg("|".join, axis=1)).drop(columns=keys).sort_index()


def saved(folder: Path, figure: Figure) -> dict[str, Measurement]:
    """The figure's saved measurements by their full name, `PAIR/NAME`."""
    return {name: _loaded(*_place(folder, name), _stamps(*_place(folder, name))) for name in figure.data}


@functools.lru_cache(maxsize=8)
def _loaded(folder: Path, name: str, stamps: tuple[int, ...]) -> Measurement:
    """Figures side by side draw one table, and what is worked out from it is kept with it (`arm_table`)."""
    return load_data(folder, name)


def _stamps(folder: Path, name: str) -> tuple[int, ...]:
    """When the table's files were last written: one that changed is read again."""
    return tuple(path.stat().st_mtime_ns for path in sorted(folder.glob(f"{name}.*")))


def _place(folder: Path, name: str) -> tuple[Path, str]:
    pair, _, table = name.rpartition("/")
    return folder / "data" / pair, table


def _plain(column: pd.Series) -> list[Any]:
    return [None if pd.isna(value) else value for value in column.tolist()]


def _check(id: str, what: str, found: tuple[float, str], tolerance: float) -> Check:
    worst, where = found
    return Check(id, what, "MATCH" if worst <= tolerance else "DIFFER", worst, where)


def failed(checks: Sequence[Check]) -> bool:
    """Whether anything differs."""
    return any(check.result == "DIFFER" for check in checks)
