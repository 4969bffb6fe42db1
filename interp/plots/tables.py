"""The numbers behind the figures as rows of text, each with its n and its interval."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from interp.intervals import wilson
from interp.measurement import Measurement
from interp.plots.arms import BY_CONSTRUCTION, arm_table, named
from interp.plots.depth_profiles import depth_table
from interp.plots.features import same_text
from interp.plots.standing import share, span
from interp.plots.swaps import swap_table


class TextTable(NamedTuple):
    """A caption, the column heads, and rows whose first cell names what the row is about."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def depth_text(weights: Measurement, activations: Measurement) -> TextTable:
    """Per layer: weights, each block on base's input and what accumulates, each beside its limit by chance."""
    head = ["layer", "weights", "block on base's input", "chance up to", "accumulated", "chance up to"]
    columns = ["weight_change", "block_diff", "null_block_high", "cumulative_diff", "null_cumulative_high"]
    table = depth_table(weights, activations)
    rows = [[str(int(row["layer"])), *(f"{row[column]:.3f}" for column in columns)] for _, row in table.iterrows()]
    n, draws = int(table.n_tokens.iloc[0]), int(table.n_draws.iloc[0])
    return TextTable(f"Relative change per layer; {n:,} tokens, {draws} random draws", head, rows)


def swap_text(swaps: Measurement) -> TextTable:
    """Per part and direction: what is answered right, and where that stands between base and tuned."""
    table = swap_table(swaps)
    axes = list(dict.fromkeys(table.axis))
    head = ["part exchanged", "direction", *(f"{axis} right" for axis in axes), *(f"share of gap, {a}" for a in axes)]
    rows = []
    for (part, direction), group in table.groupby(["swapped", "direction"], sort=False):
        by_axis = group.set_index("axis").loc[axes]
        solved = [span(row.accuracy, row.low, row.high) for row in by_axis.itertuples()]
        stands = [span(row.recovered, row.recovered_low, row.recovered_high) for row in by_axis.itertuples()]
        rows.append([str(part), str(direction), *solved, *stands])
    sizes = ", ".join(f"{table[table.axis == axis].n.iloc[0]} {axis}" for axis in axes)
    return TextTable(f"Exchanging parts: {sizes}; 95% intervals", head, rows)


def feature_text(features: Measurement) -> TextTable:
    """Per strategy, place and source: the held-out AUROC in base and in tuned, and what else tells a feature."""
    head = ["strategy", "at", "source", "AUROC in base", "AUROC in tuned"]
    more = {"d": "effect size in base", "position_matched": "at one position", "token_matched": "on one token"}
    more = {column: name for column, name in more.items() if column in features.table}
    head += [*more.values(), "tokens: strategy / others", "searched"]
    rows = []
    table = same_text(features.table)
    for (strategy, at, source), group in table.groupby(["strategy", "at", "source"], sort=False):
        read = {model: _auroc(group[group.model == model]) for model in ("base", "tuned")}
        first = group.iloc[0]
        tokens = f"{int(first.n_positive):,} / {int(first.n_negative):,}"
        told = ["" if pd.isna(first[column]) else f"{first[column]:.2f}" for column in more]
        cells = [str(strategy), str(at), str(source), read["base"], read["tuned"]]
        rows.append([*cells, *told, tokens, str(first.n_searched)])
    return TextTable("Held-out AUROC with 95% intervals over problems; 0.5 is chance", head, rows)


def cause_text(causes: Measurement) -> TextTable:
    """Per strategy, source, edit and model: how far the strategy's probability moves, and how far under its twins."""
    head = ["strategy", "at", "what", "edit", "in", "probability before", "change", "twins: smallest to largest"]
    head += ["share of twins as far", "KL elsewhere", "KL on unrelated text", "places"]
    rows = []
    for row in causes.table.itertuples():
        change = f"{row.effect:+.2f} ({row.low:+.2f} to {row.high:+.2f})"
        what = [str(row.strategy), str(row.at), str(row.source), str(row.how), str(row.model)]
        twins = f"{row.controls_low:+.2f} to {row.controls_high:+.2f}"
        unrelated = "none read" if pd.isna(row.kl_unrelated) else f"{row.kl_unrelated:.3f}"
        cells = [*what, f"{row.before:.2f}", change, twins, f"{row.rank_p:.2f}", f"{row.kl:.3f}", unrelated]
        rows.append([*cells, str(row.n)])
    sizes = " or ".join(f"{n}" for n in sorted(set(causes.table.n_controls.astype(int))))
    return TextTable(f"Changing one token's activation; {sizes} twins each, 95% intervals over problems", head, rows)


def steered_text(steered: Measurement) -> TextTable:
    """Per strategy and dose: what base solves of each kind when its first token is chosen with the direction added."""
    table = steered.table
    kinds = list(dict.fromkeys(table["kind"]))
    head = ["strategy", "dose", "added", "opens with it", *(f"{kind or 'problems'} solved" for kind in kinds)]
    rows = []
    for (strategy, dose, arm), group in table.groupby(["strategy", "dose", "arm"], sort=False):
        added = {"steered": "its direction", "twin": "a random one", "nothing": "nothing"}[str(arm)]
        cells = [str(strategy) or "none", f"{dose:g}", added, share(group.opened.mean())]
        for kind in kinds:
            solved = group[group["kind"] == kind].correct
            low, high = wilson(int(solved.sum()), len(solved))
            cells.append(span(float(solved.mean()), low, high))
        rows.append(cells)
    n = table.problem.nunique()
    model = "tuned" if steered.name == "steered_tuned" else "base"
    return TextTable(f"One direction added to {model}'s last prompt token; {n} problems, 95% intervals", head, rows)


def attack_text(attacks: Measurement) -> TextTable:
    """Per feature and attack: how far its favourite tokens alone raise it, or how much of it is left."""
    head = ["strategy", "at", "feature", "tokens put in", "how", "effect size", "with random tokens", "share left"]
    head += ["texts", "says"]
    rows = []
    for row in attacks.table.itertuples():
        size = "" if pd.isna(row.d) else f"{row.d:.2f} ({row.low:.2f} to {row.high:.2f})"
        control = "" if pd.isna(row.control) else f"{row.control:.2f}"
        cells = [str(row.strategy), str(row.at), str(row.feature), str(row.tokens), str(row.attack), size, control]
        rows.append([*cells, _left(row), str(row.n), str(row.says)])
    return TextTable("Cohen's d of attacked against untouched texts, 95% intervals over problems", head, rows)


def _left(row: Any) -> str:
    """How much of a feature is left at one position or in other words; nothing where that was not asked."""
    if pd.isna(getattr(row, "retention", float("nan"))):
        return ""
    return span(row.retention, row.retention_low, row.retention_high)


def quality_text(sae_quality: Measurement) -> TextTable:
    """Per model, the first position left out and in: how much of the activations the SAE keeps."""
    head = ["read in", "first position", "variance lost", "active per token", "features dead"]
    head += ["cross entropy kept", "KL kept", "tokens"]
    rows = []
    for row in sae_quality.table.itertuples():
        kept = [share(row.ce_recovered), share(row.kl_recovered), f"{row.n_tokens:,}"]
        rows.append([row.model, row.bos, share(row.fvu), f"{row.l0:.1f}", share(row.dead), *kept])
    first = sae_quality.table.iloc[0]
    caption = f"The sparse autoencoder: {first.d_sae} features at {first.hook}, {first.k} active at a time"
    return TextTable(caption, head, rows)


def arm_text(answers: Measurement) -> TextTable:
    """Per arm: what it solves and recovers, how many tokens that takes, and how many problems would make it sharper.

    Routed tokens are attempted, where both models would have written the same, or changed.
    """
    table = arm_table(answers)
    head = ["who writes", "solved", "gap recovered", "tokens routed", "of these attempted", "of these changed"]
    head += ["solved, flexible rule", "mean length", "ended", "cut off", "problems for ±5 points"]
    rows = [_arm(row) for row in table.itertuples()]
    return TextTable(f"What each arm solves and recovers; {table.n.iloc[0]} problems, 95% intervals", head, rows)


def _arm(row: Any) -> list[str]:
    name = f"{row.arm} (tuned by construction)" if row.arm == BY_CONSTRUCTION else named(row)
    recovered = span(row.recovered, row.recovered_low, row.recovered_high)
    return [
        name,
        span(row.accuracy, row.low, row.high),
        f"{share(row.recovered)} by definition" if row.arm in ("base", "tuned") and not row.refused else recovered,
        share(row.routed),
        share(row.attempted),
        share(row.changed),
        share(row.flexible),
        f"{row.tokens:.0f}",
        share(row.ended),
        share(row.cut),
        "–" if pd.isna(row.needed) else f"{row.needed:,.0f}",
    ]


def _auroc(rows: pd.DataFrame) -> str:
    if len(rows) == 0:
        return "not read"
    if pd.isna(rows.auroc.iloc[0]):
        return "too few tokens"
    row = rows.iloc[0]
    return f"{row.auroc:.2f} ({row.low:.2f} to {row.high:.2f})"
