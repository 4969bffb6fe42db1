"""'Steering towards concise chains shortens them at no cost': accuracy at equal length, against a plain bias."""

import numpy as np
import pandas as pd

from interp.claims.change import decided
from interp.claims.register import REGISTER
from interp.claims.verdict import Says, Verdict, rows_of, shown
from interp.intervals import Interval, difference, paired_bootstrap
from interp.measurement import Measurement

PAPER = REGISTER["C20"]
LITTLE = 0.02
"""A difference of accuracy below this is none."""
CUT = 0.10
"""Steering that saves less than a tenth of the tokens does not shorten."""


def steering_shortens(compression: Measurement, *, arm: str = "tuned") -> Verdict:
    """At the length that steering gives, is accuracy higher than with a bias on stop or step tokens?

    `estimate` is the accuracy under steering minus that of the bias at equal mean length, the bias' curve interpolated
    between its strengths (and none), problems drawn again with all of them together.

    - supported: steering saves at least a tenth of the tokens, and the estimate's interval lies above 0 (at least 0.02)
    - contradicted: it saves less than a tenth, or the estimate's high end is under 0.02
    - undecided: anything between, a length that no strength of the bias brackets, a random vector that does as well
    """
    table = rows_of(compression, "problem", "arm", "method", "strength", "tokens", "correct")
    wide = _wide(table[table["arm"] == arm], arm)
    none, steered, twin = wide["none"], wide["steered"], wide["random vector"]
    saved = paired_bootstrap(lambda s, n: 1 - s / n, steered[:, 0], none[:, 0])
    curve = [none, *(values for name, values in wide.items() if name.startswith("biased"))]
    lengths = [values[:, 0].mean() for values in curve]
    if not min(lengths) <= steered[:, 0].mean() <= max(lengths):
        because = PAPER.told(
            f"{steered[:, 0].mean():.1f} tokens under steering, where the bias gives {min(lengths):.1f} to "
            f"{max(lengths):.1f}: no strength brackets it"
        )
        return Verdict(PAPER.claim, None, None, None, None, saved.n, "undecided", f"{because} Ask stronger biases too.")
    k = len(curve)
    columns = [steered[:, 0], steered[:, 1], *(v[:, 0] for v in curve), *(v[:, 1] for v in curve)]

    def ahead(length: np.ndarray, right: np.ndarray, *points: np.ndarray) -> np.ndarray:
        return right - _interpolated(length, np.stack(points[:k], 1), np.stack(points[k:], 1))

    found = paired_bootstrap(ahead, *columns, n_resamples=2_000)
    beyond = difference(steered[:, 1], twin[:, 1])
    says: Says = decided(found, sign=1, little=LITTLE)
    if saved.high < CUT:
        says = "contradicted"
    elif says == "supported" and not (saved.low >= CUT and _shorter(steered, twin)):
        says = "undecided"
    reasons = [
        PAPER.told(f"{_told(saved)} of the tokens saved by steering {arm}"),
        f"At equal length its accuracy is {_told(found)} above that of a bias on stop or step tokens.",
        f"A random vector of equal length gives {twin[:, 0].mean():.1f} tokens; steering is {_told(beyond)} above it.",
        f"Accuracy: {none[:, 1].mean():.2f} unchanged, {steered[:, 1].mean():.2f} steered.",
    ]
    if "asked" in wide:
        asked = wide["asked"]
        reasons.append(f"Asked to be brief: {asked[:, 0].mean():.1f} tokens, accuracy {asked[:, 1].mean():.2f}.")
    return Verdict(PAPER.claim, None, found.estimate, found.low, found.high, found.n, says, " ".join(reasons))


def _wide(of: pd.DataFrame, arm: str) -> dict[str, np.ndarray]:
    """Tokens and outcome per problem, for each method; biased ones by their strength."""
    many = of["method"] == "biased"
    named = of.assign(name=of["method"].where(~many, of["method"] + " " + of["strength"].astype(str)))
    single = named[~many].groupby("method")["strength"].nunique()
    if (single > 1).any():
        raise ValueError(
            f"method {single.idxmax()!r} has several strengths; choose one on other problems and give that"
        )
    for needed in ("none", "steered", "random vector", "biased"):
        if needed not in set(of["method"]):
            raise ValueError(f"measurement 'compression' lacks the method {needed!r} of arm {arm!r}")
    cells = {
        name: rows.set_index("problem")[["tokens", "correct"]].sort_index() for name, rows in named.groupby("name")
    }
    index = cells["none"].index
    for name, rows in cells.items():
        if not rows.index.equals(index):
            raise ValueError(f"method {name!r} answers {len(rows)} problems, not the {len(index)} of 'none'")
    return {str(name): rows.to_numpy(float) for name, rows in cells.items()}


def _interpolated(length: np.ndarray, lengths: np.ndarray, rights: np.ndarray) -> np.ndarray:
    """Accuracy at a length, between the two nearest points of each resample's curve; NaN outside of it."""
    order = np.argsort(lengths, axis=1)
    x, y = np.take_along_axis(lengths, order, 1), np.take_along_axis(rights, order, 1)
    return np.array([np.interp(at, a, b, left=np.nan, right=np.nan) for at, a, b in zip(length, x, y, strict=True)])


def _shorter(steered: np.ndarray, twin: np.ndarray) -> bool:
    return difference(steered[:, 0], twin[:, 0]).high < 0


def _told(found: Interval) -> str:
    return shown(found.estimate, found.low, found.high)
