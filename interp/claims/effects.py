"""When changing a model counts as changing what it does, and when it does not: against size, interval and twins."""

import pandas as pd

from interp.claims.new_features import FEATURE, MATTERS
from interp.claims.verdict import shown

BEYOND = 0.05
"""An effect counts if at most this share of its controls reach it: of 20, none."""


def matters(causes: pd.DataFrame, carrier: str, model: str) -> pd.Series | None:
    """The clearest effect of a strategy's carrier in a model that counts as one; None if there is none.

    Up to three edits are looked at. That each has to leave all of its twins behind with its whole interval, not only
    with its estimate, is what pays for it.
    """
    rows = causes[(causes["source"] == carrier) & (causes["model"] == model)]
    counted = [row for _, row in rows.iterrows() if _counts(row)]
    return max(counted, key=lambda row: abs(float(row["effect"])), default=None)


def inert(causes: pd.DataFrame, carrier: str, model: str) -> bool:
    """Whether every change stays too small to notice, or within what its twins do."""
    rows = causes[(causes["source"] == carrier) & (causes["model"] == model)]
    return len(rows) > 0 and all(_end(row) < MATTERS or row["rank_p"] > BEYOND for _, row in rows.iterrows())


def _counts(row: pd.Series) -> bool:
    """Whether an effect has the size and the sign meant, and an interval that none of its twins reaches."""
    sign = -1 if row["how"] == "ablate" else 1
    nearest = row["low"] if sign > 0 else -row["high"]
    furthest = row["controls_high"] if sign > 0 else -row["controls_low"]
    return bool(sign * row["effect"] >= MATTERS and nearest > max(0.0, furthest) and row["rank_p"] <= BEYOND)


def _end(row: pd.Series) -> float:
    """The far end of the interval in the direction meant."""
    return float(-row["low"] if row["how"] == "ablate" else row["high"])


def effect_in_words(row: pd.Series, carrier: str) -> str:
    """`adding the feature changes the probability of the strategy by ... (twins ...)`."""
    verb = {"add": "adding", "clamp": "clamping", "ablate": "ablating"}[str(row["how"])]
    what = "the feature" if carrier == FEATURE else "the difference of means"
    twins = f"(twins {row['controls_low']:+.2f} to {row['controls_high']:+.2f})"
    change = shown(float(row["effect"]), float(row["low"]), float(row["high"]))
    asked = "the tokens that carry it out" if row["at"] == "content" else "the strategy"
    return f"{verb} {what} changes the probability of {asked} by {change} {twins}"
