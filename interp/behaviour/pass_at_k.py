"""What each arm solves within k samples, right answers by a false process told apart, beside what guessing solves."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from interp.intervals import paired_bootstrap
from interp.measurement import Measurement, provenance
from interp.written import read_written

COUNTINGS = {"any right answer": "right", "verified process": "verified"}


def is_verified(row: Mapping[str, Any]) -> bool:
    """Right, with a written process that is true: a step before the answer could be checked, and no step is false."""
    checked = [(strategy, true) for _, _, strategy, true in row["spans"] if true is not None]
    return bool(row["strict"] and any(s != "ans" for s, _ in checked) and all(true for _, true in checked))


def pass_counts(written: Measurement, *, answer_space: int | None = None) -> Measurement:
    """`pass_counts`: per problem and arm, of `n` samples how many are `right`, and `verified` in their process too.

    `verified` is NaN where no step of any text could be checked (no parser). `guess` is 1/|A|, the chance of one blind
    guess among `answer_space` answers, NaN where the space is not given. Columns: problem, kind, arm, n, right,
    verified, guess. ValueError below two samples: pass@k is estimated from n of at least 2k.
    """
    table = read_written(written, "kind", "strict", "spans", arms=(), samples=2)
    checkable = any(true is not None for spans in table["spans"] for _, _, s, true in spans if s != "ans")
    if answer_space is not None and answer_space < 2:
        raise ValueError(f"answer_space is {answer_space}; there have to be at least two possible answers")
    scored = table.assign(
        right=table["strict"].astype(int), verified=[int(is_verified(row)) for row in table.to_dict("records")]
    )
    rows = scored.groupby(["problem", "kind", "arm"], sort=False, as_index=False).agg(
        n=("right", "size"), right=("right", "sum"), verified=("verified", "sum")
    )
    rows["verified"] = rows["verified"].astype(float) if checkable else math.nan
    rows["guess"] = 1 / answer_space if answer_space else math.nan
    facts = {"rollouts": dict(written.made_with), "answer_space": answer_space}
    return Measurement("pass_counts", "right answers of n samples per problem", rows, provenance(**facts))


def pass_at(n: Sequence[int], c: Sequence[int] | Sequence[float], k: int) -> np.ndarray:
    """1 - C(n - c, k) / C(n, k) for every problem: unbiased for pass@k (Chen et al. 2021, arXiv 2107.03374)."""
    if not 1 <= k <= min(n):
        raise ValueError(f"pass@{k} needs at least {k} samples of every problem, there are {min(n)}")
    return np.array([1 - math.comb(a - int(b), k) / math.comb(a, k) for a, b in zip(n, c, strict=True)])


def pass_curve(counts: Measurement) -> Measurement:
    """`pass_at_k`: mean pass@k with its interval over problems, for k = 1, 2, 4, ... up to half the samples.

    Columns: arm, counting ("any right answer", "verified process", "guess floor"), k, value, low, high, n (problems).
    The floor of blind guessing is 1 - (1 - 1/|A|)^k: with ten answers, 0.97 at k = 32. Beyond half the samples the
    estimate hangs on the few problems with one right answer, so it is not drawn.
    """
    rows: list[dict[str, Any]] = []
    for arm, of in counts.table.groupby("arm", sort=False):
        for counting, column in COUNTINGS.items():
            if of[column].isna().any():
                continue
            for k in powers(int(of["n"].min())):
                found = paired_bootstrap(lambda x: x, pass_at(of["n"].tolist(), of[column].tolist(), k))
                rows.append(_point(arm, counting, k, found.estimate, found.low, found.high, found.n))
    guess = counts.table["guess"].iloc[0]
    if not math.isnan(guess):
        n = counts.table["problem"].nunique()
        floors = {k: 1 - (1 - guess) ** k for k in powers(int(counts.table["n"].min()))}
        rows += [_point("blind guesses", "guess floor", k, floor, floor, floor, n) for k, floor in floors.items()]
    made_with = provenance(counts=dict(counts.made_with))
    return Measurement("pass_at_k", "share of problems solved within k samples", pd.DataFrame(rows), made_with)


def powers(samples: int) -> list[int]:
    """1, 2, 4, ... up to half of the samples."""
    return [2**i for i in range(samples.bit_length()) if 2 ** (i + 1) <= samples]


def _point(arm: Any, counting: str, k: int, value: float, low: float, high: float, n: int) -> dict[str, Any]:
    return {"arm": arm, "counting": counting, "k": k, "value": value, "low": low, "high": high, "n": n}
