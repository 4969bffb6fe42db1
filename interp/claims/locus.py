"""Which third of the blocks carries what tuning changed, and in which thirds weights and block outputs changed."""

import math
from dataclasses import dataclass

import pandas as pd

from interp.claims.verdict import outcomes, rows_of
from interp.intervals import Recovered, gap_recovered
from interp.measurement import Measurement

MOST = 0.80
"""A third that alone recovers less than this share of the change does not carry it by itself."""

THIRDS = ("lower third", "middle third", "upper third")
RIVALS = (*THIRDS, "embedding")
PARTS = (*RIVALS, "final norm and unembedding", "all blocks")
INTO_BASE, INTO_TUNED = "tuned into base", "base into tuned"


@dataclass(frozen=True)
class Axis:
    """What swaps did to one axis: the share of tuned's change that a part brings to base, or takes from tuned."""

    name: str
    brings: dict[str, Recovered]
    takes: dict[str, Recovered]
    locus: str

    @property
    def moved(self) -> bool:
        """Whether tuned and base differ on this axis beyond chance."""
        return self.locus != "none moved"


def locus(swaps: Measurement, axis: str) -> str:
    """Which third carries an axis: "lower third", "middle third", "upper third", "joint", "none moved", "undecided".

    - a third: alone it recovers at least 80% (low end), and more than every other third and the embedding (its low
      end above their high ends)
    - "joint": no part recovers 80% by itself (high ends), neither a third nor the embedding or the head; the change
      needs several of them at once (all of them together are tuned itself)
    - "none moved": the interval of tuned - base reaches 0
    - "undecided": anything else, such as two thirds of which each is enough
    """
    return swapped(swaps, axis).locus


def swapped(swaps: Measurement, axis: str) -> Axis:
    """An axis of block swaps, each part's recovered share over problems beside it."""
    table = rows_of(swaps, "swapped", "direction", "axis", "problem", "correct")
    rows = table[table["axis"] == axis]
    there = set(rows.groupby(["swapped", "direction"]).groups)
    missing = {(part, way) for part in (*PARTS, "nothing") for way in (INTO_BASE, INTO_TUNED)} - there
    if missing:
        part, way = min(missing)
        raise ValueError(f"measurement {swaps.name!r} lacks {part!r}, {way}, on the axis {axis!r}; swap it first")
    right = outcomes(rows.assign(arm=rows["direction"] + ": " + rows["swapped"]), "arm")
    into_base, into_tuned = (
        {part: right[f"{way}: {part}"].to_numpy() for part in (*PARTS, "nothing")} for way in (INTO_BASE, INTO_TUNED)
    )
    base, tuned = into_base["nothing"], into_tuned["nothing"]
    brings = {part: gap_recovered(into_base[part], base, tuned) for part in PARTS}
    takes = {part: gap_recovered(into_tuned[part], tuned, base) for part in PARTS}
    return Axis(axis, brings, takes, _locus(brings))


def _locus(brings: dict[str, Recovered]) -> str:
    if brings["all blocks"].refused:
        return "none moved"
    for third in THIRDS:
        others = max(brings[part].high for part in RIVALS if part != third)
        if brings[third].low >= MOST and brings[third].low > others:
            return third
    alone_too_little = all(brings[part].high < MOST for part in PARTS if part != "all blocks")
    return "joint" if alone_too_little else "undecided"


def weight_shares(weights: Measurement) -> dict[str, float]:
    """Each third's share of the squared Frobenius change of the blocks; NaN where nothing changed."""
    table = in_thirds(rows_of(weights, "layer", "norm_change"))
    squared = (table["norm_change"].astype(float) ** 2).groupby(table["third"]).sum()
    total = float(squared.sum())
    return {third: float(squared.get(third, 0.0)) / total if total > 0 else math.nan for third in THIRDS}


def weight_locus(weights: Measurement) -> tuple[str, ...]:
    """The thirds in which any weight changed at all."""
    return tuple(third for third, share in weight_shares(weights).items() if share > 0)


def activation_locus(activations: Measurement) -> tuple[str, ...]:
    """The thirds with a block whose output, on base's own input, changed beyond its null's limit over the whole depth.

    A change by chance lights no third in 99 of 100 pairs, from 99 draws of the null on; with the 5 of a quick report in
    about 98. The null is Gaussian noise, and rounding where the files' formats differ: any change that gradients made
    is beyond it, whatever it taught.
    """
    table = in_thirds(rows_of(activations, "layer", "block_diff", "null_block_any"))
    beyond = set(table[table["block_diff"] > table["null_block_any"]]["third"])
    return tuple(third for third in THIRDS if third in beyond)


def in_thirds(table: pd.DataFrame) -> pd.DataFrame:
    """The rows inside blocks, with the third their layer lies in, cut where block swaps cut: at L // 3 and 2 L // 3."""
    inside = table[table["layer"].notna()]
    layer = inside["layer"].astype(int)
    n_layers = int(layer.max()) + 1
    return inside.assign(third=[THIRDS[(at >= n_layers // 3) + (at >= 2 * n_layers // 3)] for at in layer])
