"""A page per feature: its top contexts in both models with shaded tokens, and what was measured of it. Plain HTML."""

import html
from dataclasses import dataclass

import pandas as pd

from interp.measurement import Measurement

_SHADE = {"base": "0, 114, 178", "tuned": "213, 94, 0"}
_LEAST = 0.05  # of the page's maximum: weaker shades would not be seen


@dataclass(frozen=True, eq=False)
class FeaturePages:
    """The pages of all features, as one piece of HTML; shows itself in Jupyter and needs no server and no network."""

    contexts: Measurement
    features: Measurement

    def _repr_html_(self) -> str:
        return feature_pages(self.contexts, self.features)


def feature_pages(contexts: Measurement, features: Measurement) -> str:
    """One folded section per strategy and place; words are escaped, a shade is an activation over the largest."""
    parts = []
    for (strategy, at), rows in contexts.table.groupby(["strategy", "at"], sort=False):
        first = rows.iloc[0]
        title = f"{strategy}, {at}: feature {first.feature}"
        body = _measured(features, str(strategy), str(at)) + _page(rows)
        parts.append(f"<details><summary>{html.escape(title)}</summary>{body}</details>")
    return "".join(parts)


def _page(rows: pd.DataFrame) -> str:
    """The contexts of one feature, base above tuned, and the tokens it promotes in each."""
    peak = max(max(values) for values in rows["values"])
    lines = []
    for model, group in rows.groupby("model", sort=False):
        promoted = " ".join(f"<code>{html.escape(word)}</code>" for word in group.iloc[0].promotes)
        lines.append(f"<p>Read in {html.escape(str(model))}; its direction promotes {promoted}</p>")
        for _, row in group.iterrows():
            words = "".join(_word(w, v, peak, str(model)) for w, v in zip(row["words"], row["values"], strict=True))
            lines.append(f'<div style="margin:.2rem 0">{words}</div>')
    return "".join(lines)


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
    lower = " It is lower on the strategy than elsewhere." if "sign" in rows and (rows["sign"] == -1).any() else ""
    return f"<p>{html.escape('; '.join(told) or 'Too few tokens to score')}.{lower}</p>"
