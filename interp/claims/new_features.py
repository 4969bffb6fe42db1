"""When a strategy is called new: tuned can do it, base cannot, and base lacks what tells it in tuned."""

import pandas as pd

from interp.claims.verdict import rows_of, shown
from interp.measurement import Measurement

FEATURE, DIRECTION = "sae feature", "difference of means"
GOOD = 0.80
"""What puts a strategy's token above another's less often than this is no detector of the strategy."""
BESIDES = 0.60
"""Low end of the AUROC among tokens at one position, and among tokens of one kind, from which on something tells more
than either. It is below `GOOD`: at one place the choice is partly a coin flip, which nothing can tell."""
MATTERS = 0.05
"""A smaller change in a probability would go unnoticed in what the model writes."""
WON = 0.10
"""What a push may win back of what separates base from tuned, and the strategy is still one that base cannot be made to
follow. In the organisms a push along tuned's feature wins back up to 4% of a new operation, 8% at the high end."""
MATCHED = 0.80
"""Cosine of a strategy's direction in tuned with that in base from which on they are one direction."""


def why_new(news: Measurement | None, strategy: str, at: str) -> tuple[str, str] | None:
    """By what a strategy is new in tuned, and why; None where it is not, or where that was not measured."""
    if news is None:
        return None
    columns = ("source", "how", "model", "before", "effect", "low", "high", "able", "able_low", "able_high")
    needed = ("told_low", "position_low", "token_low", "cosine", "seed_low")
    table = rows_of(news, "strategy", "at", *columns, *needed)
    table = table[(table["strategy"] == strategy) & (table["at"] == at)]
    if table.empty or not table["able_low"].iloc[0] >= MATTERS:
        return None
    steered = table[(table["model"] == "base") & (table["how"] != "ablate")]
    if steered.empty or not (steered["high"] < WON * steered["able"]).all():
        return None
    for carrier, same in ((FEATURE, "seed_low"), (DIRECTION, "matched")):
        row = table[table["source"] == carrier].iloc[0]
        least = MATCHED if same == "matched" else row["seed_low"]
        told = row["told_low"] >= GOOD and row["position_low"] >= BESIDES and row["token_low"] >= BESIDES
        if told and row["cosine"] < least:
            return carrier, _why_new(table, carrier, row, least, steered)
    return None


def _why_new(table: pd.DataFrame, carrier: str, row: pd.Series, least: float, steered: pd.DataFrame) -> str:
    before = {model: float(table[table["model"] == model]["before"].iloc[0]) for model in ("base", "tuned")}
    able = shown(*(float(row[name]) for name in ("able", "able_low", "able_high")))
    most = steered.loc[steered["effect"].idxmax()]
    what = "the feature of tuned's SAE" if carrier == FEATURE else "tuned's direction"
    return (
        f"tuned gives the tokens that carry it out {before['tuned']:.2f} and base {before['base']:.2f}, a difference "
        f"of {able}; {what} tells it in tuned (AUROC from {row['told_low']:.2f}) and has no match in base (cosine "
        f"{row['cosine']:.2f}, the same again from {least:.2f}); set at all its tokens, the most base gains is "
        f"{shown(float(most['effect']), float(most['low']), float(most['high']))}"
    )
