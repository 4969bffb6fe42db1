"""A page per feature: its top contexts in both models with shaded tokens, and what was measured of it. Plain HTML."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from interp.measurement import Measurement

_SHADE = {"base": "0, 114, 178", "tuned": "213, 94, 0"}
_LEAST = 0.05  # of the page's maximum: weaker shades would not be seen
_HEIGHT, _WIDTH = 36, 14  # pixels: a histogram, and one of its bars
_CELL = ' style="padding:.1rem .6rem .1rem 0;text-align:left"'


@dataclass(frozen=True, eq=False)
class FeaturePages:
    """The pages of all features, as one piece of HTML; shows itself in Jupyter and needs no server and no network."""

    contexts: Measurement
    features: Measurement
    attacks: Measurement | None = None
    causes: Measurement | None = None

    def _repr_html_(self) -> str:
        return feature_pages(self.contexts, self.features, self.attacks, self.causes)


def feature_pages(
    contexts: Measurement,
    features: Measurement,
    attacks: Measurement | None = None,
    causes: Measurement | None = None,
) -> str:
    """One folded section per strategy and place; words are escaped, a shade is an activation over the largest."""
    parts = []
    for (strategy, at), rows in contexts.table.groupby(["strategy", "at"], sort=False):
        first = rows.iloc[0]
        title = f"{strategy}, {at}: feature {first.feature}"
        where = (str(strategy), str(at))
        body = _measured(features, *where) + _elsewhere(first) + _page(rows)
        body += _attacked(attacks, *where) + _caused(causes, *where)
        parts.append(f"<details><summary>{html.escape(title)}</summary>{body}</details>")
    return "".join(parts)


def _page(rows: pd.DataFrame) -> str:
    """The contexts of one feature, base above tuned, its spread in each, and the tokens it promotes there."""
    peak = max(max(values) for values in rows["values"])
    lines = []
    for model, group in rows.groupby("model", sort=False):
        first, name = group.iloc[0], html.escape(str(model))
        n, weights = len(first.promotes), first.get("weights", ())
        promotes = _codes(first.promotes, weights[:n])
        lines.append(f"<p>Read in {name}{_spread(first, str(model))}; its direction promotes {promotes}")
        if "suppresses" in group:
            lines.append(f" and suppresses {_codes(first.suppresses, weights[n:])}")
        lines.append("</p>")
        for _, row in group.iterrows():
            words = "".join(_word(w, v, peak, str(model)) for w, v in zip(row["words"], row["values"], strict=True))
            lines.append(f'<div style="margin:.2rem 0">{words}</div>')
    return "".join(lines)


def _spread(row: pd.Series, model: str) -> str:
    """On how many tokens it is above zero, and a histogram of how high; bars grow with the logarithm of the count."""
    if "counts" not in row:
        return ""
    top = math.log1p(max(1, *row.counts))
    bars = "".join(
        f'<rect x="{_WIDTH * n}" y="{_HEIGHT - height:.1f}" width="{_WIDTH - 2}" height="{height:.1f}" '
        f'fill="rgb({_SHADE.get(model, "128, 128, 128")})"><title>{count} tokens</title></rect>'
        for n, count in enumerate(row.counts)
        for height in [_HEIGHT * math.log1p(count) / top]
    )
    width = _WIDTH * len(row.counts)
    return (
        f', where it is above zero on {row.firing:.1%} of tokens <svg role="img" width="{width}" height="{_HEIGHT}" '
        f'aria-label="how high it is">{bars}</svg> from 0 to {row.most:.1f} (log counts)'
    )


def _codes(words: Sequence[str], weights: Sequence[float]) -> str:
    """Tokens, each with its logit weight to be read under the pointer."""
    told = [f' title="{weight:+.2f}"' for weight in weights] or [""] * len(words)
    return " ".join(f"<code{title}>{html.escape(word)}</code>" for word, title in zip(words, told, strict=True))


def _word(word: str, value: float, peak: float, model: str) -> str:
    share = value / peak if peak > 0 else 0.0
    shade = f"background:rgba({_SHADE.get(model, '128, 128, 128')}, {0.65 * share:.2f});" if share > _LEAST else ""
    style = f"{shade}padding:0 .2rem;border-radius:2px"
    return f'<span style="{style}" title="{value:.2f}">{html.escape(word)}</span> '


def _measured(features: Measurement, strategy: str, at: str) -> str:
    """How well it tells its strategy, in each model and text that were read."""
    table = features.table
    rows = table[(table["source"] == "sae") & (table["strategy"] == strategy) & (table["at"] == at)]
    told = []
    for _, row in rows[rows["auroc"].notna()].iterrows():
        text = f" on {row['text']}'s text" if "text" in rows else ""
        told.append(f"in {row['model']}{text} AUROC {row['auroc']:.2f} ({row['low']:.2f} to {row['high']:.2f})")
        if pd.notna(row.get("position_low")):
            told[-1] += f", at one position {row['position_matched']:.2f}, on one token {row['token_matched']:.2f}"
    lower = " It is lower on the strategy than elsewhere." if "sign" in rows and (rows["sign"] == -1).any() else ""
    text = "; ".join(told) or "too few tokens to score"
    return f"<p>{html.escape(text[0].upper() + text[1:])}.{lower}</p>"


def _elsewhere(row: pd.Series) -> str:
    address = str(row.get("neuronpedia", ""))
    if not address.startswith("https://"):  # a saved table may have been edited, and a link may be a script
        return ""
    return f'<p><a href="{html.escape(address, quote=True)}">Its page on Neuronpedia</a></p>'


def _attacked(attacks: Measurement | None, strategy: str, at: str) -> str:
    """What was tried to fool it, a row per attack."""
    if attacks is None:
        return ""
    table = attacks.table
    rows = table[(table["strategy"] == strategy) & (table["at"] == at) & (table["attack"] != "none")]
    told = []
    for _, row in rows.iterrows():
        size = f"{row['d']:.2f} ({row['low']:.2f} to {row['high']:.2f})" if pd.notna(row["d"]) else ""
        kept = f"{row['retention']:.0%}" if pd.notna(row.get("retention")) else ""
        real = row["attack"] == "strategy"  # texts in which the strategy really occurs: what there is to be explained
        what = ["the strategy itself", ""] if real else [str(row["attack"]), str(row["tokens"])]
        told.append([*what, size, kept, "" if real else str(row["says"])])
    return _table(["attack", "tokens put in", "effect size", "share left", "says"], told)


def _caused(causes: Measurement | None, strategy: str, at: str) -> str:
    """What changing it does, a row per edit and model."""
    if causes is None:
        return ""
    table = causes.table
    rows = table[(table["strategy"] == strategy) & (table["at"] == at) & (table["source"] == "sae feature")]
    told = []
    for _, row in rows.iterrows():
        change = f"{row['effect']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})"
        twins = f"{row['controls_low']:+.3f} to {row['controls_high']:+.3f}"
        told.append([str(row["how"]), str(row["model"]), change, twins])
    return _table(["edit", "in", "change of the strategy's probability", "its twins"], told)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    heads = "".join(f"<th{_CELL}>{html.escape(cell)}</th>" for cell in head)
    lines = "".join("<tr>" + "".join(f"<td{_CELL}>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div style="overflow-x:auto"><table><tr>{heads}</tr>{lines}</table></div>'
