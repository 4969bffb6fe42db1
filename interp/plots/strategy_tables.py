"""What is measured of strategies beside single features, as rows of text: their use, their novelty, their kinds."""

from typing import Any

import pandas as pd

from interp.measurement import Measurement
from interp.plots.standing import share
from interp.plots.tables import TextTable

_FITTED_FOR = {
    "strategy": "opening a strategy",
    "token": "a token that opens nothing",
    "dealt labels": "labels dealt out anew",
}


def usage_text(usage: Measurement) -> TextTable:
    """Per strategy and decision: how likely each model opens with it, and what moved onto it and off it."""
    head = ["strategy", "decision", "in base", "in tuned", "moved onto it", "moved off it", "decisions", "problems"]
    rows = []
    for row in usage.table.itertuples():
        moved = [f"{_part(row, side)}" for side in ("gained", "lost")]
        cells = [str(row.strategy), str(row.decision), share(row.base), share(row.tuned), *moved]
        rows.append([*cells, f"{row.n:,}", f"{row.n_problems:,}"])
    return TextTable("Probability of opening with a strategy, both models reading base's texts", head, rows)


def news_text(news: Measurement) -> TextTable:
    """Per strategy and source: how near tuned's comes to one of base's, and what base does when it is set there."""
    head = ["strategy", "what tells it in tuned", "tuned's AUROC, at least", "cosine with base's"]
    head += ["second seed / random reach", "tuned's lead in carrying it out", "added to base", "set in base"]
    head += ["taken out of tuned", "tokens"]
    rows = []
    for (strategy, source), group in news.table.groupby(["strategy", "source"], sort=False):
        first = group.iloc[0]
        edits = group.set_index(["model", "how"])
        effects = [_effect(edits.loc[at]) for at in (("base", "add"), ("base", "clamp"), ("tuned", "ablate"))]
        feature = source == "sae feature"
        reach = f"{first.seed_low:.2f} / {first.random_high:.2f}" if feature else "–"
        lead = f"{first.able:+.2f} ({first.able_low:+.2f} to {first.able_high:+.2f})"
        name = f"SAE feature {first.feature}" if feature else str(source)
        cells = [str(strategy), name, f"{first.told_low:.2f}", f"{first.cosine:.2f}", reach, lead, *effects]
        rows.append([*cells, f"{int(first.n):,}"])
    n = int(news.table.n_texts.max())
    return TextTable(f"What tells a strategy in tuned, and base with it; {n} texts, 95% intervals", head, rows)


def fitted_text(fitted: Measurement) -> TextTable:
    """Per length and kind of goal: what vectors fitted in base bring about, in base and in tuned."""
    head = ["length, in spreads", "fitted for", "vectors", "in base: mean", "least to most", "in tuned: mean"]
    head += ["least to most"]
    rows = []
    for (dose, kind), group in fitted.table.groupby(["dose", "fitted_for"], sort=False):
        told = []
        for model in ("base", "tuned"):
            effect = group[group["model"] == model]["effect"]
            told += [f"{effect.mean():+.2f}", f"{effect.min():+.2f} to {effect.max():+.2f}"]
        rows.append([f"{dose:g}", _FITTED_FOR[str(kind)], f"{group['goal'].nunique()}", *told])
    return TextTable("Change in the probability of what a vector was fitted for, at held-out onsets", head, rows)


def cluster_text(clusters: Measurement) -> TextTable:
    """Per model and number of kinds: whether two fits agree on further problems, and with the labels."""
    head = ["read in", "kinds", "two fits agree", "tokens mixed: up to", "p", "agree with labels", "by chance up to"]
    rows = []
    for row in clusters.table.itertuples():
        known = pd.notna(row.agreement)
        labels = [f"{row.agreement:.2f}", f"{row.agreement_high:.2f}"] if known else ["no labels", ""]
        kinds = f"{row.n_clusters}{', furthest above' if row.best else ''}"
        rows.append([row.model, kinds, f"{row.consistency:.2f}", f"{row.null_high:.2f}", f"{row.p:.2f}", *labels])
    n = int(clusters.table.n_steps.max())
    return TextTable(f"{n:,} steps sorted without labels; adjusted Rand index: 0 chance, 1 the same", head, rows)


def _part(row: Any, side: str) -> str:
    low, high = getattr(row, f"{side}_low"), getattr(row, f"{side}_high")
    return f"{share(getattr(row, side))} ({share(low)} to {share(high)})"


def _effect(row: pd.Series) -> str:
    return f"{row.effect:+.2f} ({row.low:+.2f} to {row.high:+.2f})"
