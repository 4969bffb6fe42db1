"""'Strategy features precede tuning': does base already have a feature for each strategy that tuned uses?"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from interp.claims.verdict import Says, Verdict, listed, rows_of, shown
from interp.intervals import wilson
from interp.measurement import Measurement

CLAIM = "Strategy features precede tuning"

GOOD = 0.80
"""A feature that puts a strategy's token above another's less often than this is no detector of the strategy."""
FEWEST = 100
"""With fewer positive tokens an AUROC is one or two texts' accident, and its strategy gets no verdict."""
WORST_FVU = 0.30
"""An SAE that leaves more of the variance than this unexplained does not describe the model it is read on."""
WORST_RATIO = 3.0
"""An SAE that fits one model so many times worse than the other compares its fit, not the models."""

BASELINES = ("raw dimension", "random direction", "shuffled labels")

_Found = Literal["pre-existing", "not found", "unclear", "too few tokens"]


@dataclass(frozen=True)
class _Cell:
    """A strategy at one place (onset, content); `readable` says whether a direction that is no feature tells it."""

    strategy: str
    found: _Found
    sentence: str
    readable: bool = False


def features_precede_tuning(features: Measurement, sae_quality: Measurement) -> Verdict:
    """Supported: base's SAE has a feature for every strategy that can be judged. Contradicted: for none of them.

    A strategy is pre-existing if at its onset or in its content the best feature of base's SAE, read in base on
    held-out problems, has an AUROC of at least 0.80 (low end) that lies above the best raw dimension's, the best
    random direction's and the shuffled labels' (its low end above their high ends). It is not found if everywhere
    the AUROC stays under 0.80 (high end) or lies below a baseline's. Between the two it is unclear.

    `estimate` is the share of judged strategies that are pre-existing, with Wilson's interval over `n` strategies.
    Undecided if they differ or are unclear, if none has 100 positive tokens, or if the SAE is invalid: it leaves
    30% or more of the variance unexplained in either model, or over three times as much in one as in the other.
    """
    invalid, quality = _quality(sae_quality)
    cells = _cells(features)
    strategies = dict.fromkeys(cell.strategy for cell in cells)
    found = {name: _over_places([cell for cell in cells if cell.strategy == name]) for name in strategies}
    judged = {} if invalid else {name: word for name, word in found.items() if word != "too few tokens"}
    says, why = _decide(judged, invalid)
    readable = dict.fromkeys(cell.strategy for cell in cells if cell.readable)
    without = [name for name in readable if judged.get(name, "pre-existing") != "pre-existing"]
    scores = " ".join([quality, *(cell.sentence for cell in cells), *_readable(without)])
    limits = f"Not tested here: whether a feature causes anything or only detects words. {_change(says)}"
    n, k = len(judged), sum(word == "pre-existing" for word in judged.values())
    if n == 0:
        return Verdict(CLAIM, None, None, None, None, 0, says, f"{why} {scores} {limits}")
    low, high = wilson(k, n)
    share = f"Share of strategies that precede tuning: {shown(k / n, low, high)}, {k} of {n}."
    return Verdict(CLAIM, None, k / n, low, high, n, says, f"{why} {share} {scores} {limits}")


def _decide(judged: Mapping[str, _Found], invalid: bool) -> tuple[Says, str]:
    if invalid:
        return "undecided", "SAE invalid: it does not describe both models well enough for its features to be compared."
    if not judged:
        return "undecided", f"No strategy has {FEWEST} positive tokens to be judged by."
    words = set(judged.values())
    if words == {"pre-existing"}:
        return "supported", "Base's SAE, trained before tuning, has a feature for every strategy that could be judged."
    if words == {"not found"}:
        return "contradicted", "Base's SAE has a feature that beats its baselines for no strategy that could be judged."
    parts = [
        f"{word} for {listed([s for s, w in judged.items() if w == word])}"
        for word in ("pre-existing", "not found", "unclear")
        if word in words
    ]
    return "undecided", f"No one answer for all strategies: {listed(parts)}."


def _over_places(cells: list[_Cell]) -> _Found:
    """A strategy's word: pre-existing if so anywhere, not found only if so everywhere it could be judged."""
    words = {cell.found for cell in cells} - {"too few tokens"}
    if not words:
        return "too few tokens"
    if "pre-existing" in words:
        return "pre-existing"
    return "not found" if words == {"not found"} else "unclear"


def _cells(features: Measurement) -> list[_Cell]:
    columns = ("strategy", "at", "source", "model", "auroc", "low", "high", "n_positive", "n_searched")
    table = rows_of(features, *columns)
    places = table[["strategy", "at"]].drop_duplicates().itertuples(index=False, name=None)
    return [_cell(table[(table["strategy"] == s) & (table["at"] == at)], str(s), str(at)) for s, at in places]


def _readable(strategies: list[str]) -> list[str]:
    """What a reader of a verdict against features should not conclude."""
    if not strategies:
        return []
    return [f"Base does tell {listed(strategies)} apart (AUROC {GOOD} or more), by a direction that is no feature."]


def _cell(rows: pd.DataFrame, strategy: str, at: str) -> _Cell:
    sae = _row(rows, "sae", "base", strategy, at)
    baselines = {source: _row(rows, source, "base", strategy, at) for source in BASELINES}
    name, n = f"{strategy} at {at}" if at == "onset" else f"{strategy} in {at}", int(sae["n_positive"])
    if n < FEWEST:
        return _Cell(strategy, "too few tokens", f"{name}: {n} positive tokens, fewer than {FEWEST}, no verdict.")
    numbers = [row[column] for row in (sae, *baselines.values()) for column in ("auroc", "low", "high")]
    if not all(math.isfinite(number) for number in numbers):
        return _Cell(strategy, "too few tokens", f"{name}: too few tokens or problems for an interval, no verdict.")
    best = max(baselines, key=lambda source: float(baselines[source]["auroc"]))
    above = all(sae["low"] > row["high"] for row in baselines.values())
    below = [source for source, row in baselines.items() if row["low"] > sae["high"]]
    found: _Found = "unclear"
    if sae["low"] >= GOOD and above:
        found = "pre-existing"
    elif sae["high"] < GOOD or below:
        found = "not found"
    versus = "loses to" if baselines[best]["auroc"] > sae["auroc"] else "beats" if above else "is not clearly above"
    sentence = f"{name}: {found}; {_scores(sae, baselines[best], versus, best)}{_in_tuned(rows)}."
    readable = any(baselines[source]["low"] >= GOOD for source in ("raw dimension", "random direction"))
    return _Cell(strategy, found, sentence, readable)


def _scores(sae: pd.Series, baseline: pd.Series, versus: str, source: str) -> str:
    best = "" if source == "shuffled labels" else "the best "
    lower = " (lower on the strategy)" if sae.get("sign") == -1 else ""
    return (
        f"AUROC of the best of {int(sae['n_searched'])} features{lower} {_auroc(sae)}, "
        f"which {versus} {best}{source}, {_auroc(baseline)}, its strongest baseline"
    )


def _in_tuned(rows: pd.DataFrame) -> str:
    same = rows[(rows["source"] == "sae") & (rows["model"] == "tuned")]
    return f"; in tuned on the same text {_auroc(same.iloc[0])}" if len(same) else ""


def _auroc(row: pd.Series) -> str:
    return shown(float(row["auroc"]), float(row["low"]), float(row["high"]), digits=3)


def _row(rows: pd.DataFrame, source: str, model: str, strategy: str, at: str) -> pd.Series:
    found = rows[(rows["source"] == source) & (rows["model"] == model)]
    if len(found) != 1:
        raise ValueError(
            f"strategy {strategy!r} at {at!r} has {len(found)} rows of {source!r} in {model}, and has to have one: "
            "the candidate chosen on the other half of the problems"
        )
    return found.iloc[0]


def _quality(sae_quality: Measurement) -> tuple[bool, str]:
    """Whether the SAE is invalid, and its fit in a sentence; without the first position, where no feature is read."""
    table = rows_of(sae_quality, "model", "bos", "fvu")
    rows = table[table["bos"] == "excluded"].set_index("model")["fvu"].astype(float)
    if sorted(rows.index) != ["base", "tuned"]:
        raise ValueError(
            f"measurement {sae_quality.name!r} has to hold base and tuned once each with the first position excluded"
        )
    fvu = {model: float(rows[model]) for model in ("base", "tuned")}
    fits = max(fvu.values()) < WORST_FVU and max(fvu.values()) <= WORST_RATIO * min(fvu.values())
    unexplained = f"{fvu['base']:.3f} of the variance unexplained in base and {fvu['tuned']:.3f} in tuned"
    return not fits, f"The SAE leaves {unexplained}."


def _change(says: Says) -> str:
    if says == "supported":
        return "What would change our mind: an SAE of a re-initialised model that does as well, or mere trigger words."
    if says == "contradicted":
        return "What would change our mind: another SAE of base (seed, size, layer) whose feature beats its baselines."
    return "What would settle it: more text, another SAE seed or layer, or a fairer fit on both models."
