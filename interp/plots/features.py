"""How well one direction tells a strategy's tokens, in base and in tuned, beside what chance and easier reads reach."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from interp.measurement import Measurement
from interp.plots.theme import BASE, GRID, TUNED, Role, finish, interval, panels, safe, wrap

_ROW = 16  # pixels: four strategies of nine rows fit a printed column
_NAMES = {
    "sae": "SAE feature",
    "untrained model": "feature, untrained",
    "linear probe of an untrained model": "probe, untrained",
    "own choice": "own probability",
}


def features(measurement: Measurement, *, at: str) -> go.Figure:
    """Held-out AUROC per strategy, `at` its "onset" or in its "content": the SAE's feature above its baselines.

    Every feature was chosen in base on the other half of the problems, then read in base and in tuned on the same
    text, the first of those measured. 0.5 is chance. A feature that tuning made would stand near chance in base and
    far from it in tuned.
    """
    table = same_text(measurement.table[measurement.table["at"] == at])
    if table.empty:
        known = sorted(set(measurement.table["at"]))
        raise ValueError(f"no features were read at {at!r}, only at {known}; ask for one of these")
    every = list(dict.fromkeys(table.strategy))
    scored = set(table[table.auroc.notna()].strategy)
    strategies = [strategy for strategy in every if strategy in scored] or every
    sources = list(dict.fromkeys(table.source))
    titles = [f"{strategy}: {_tokens(table, strategy)}" for strategy in strategies]
    figure, total = panels(titles, [_ROW * len(sources)] * len(strategies), shared_x=True, width=44)
    for row, strategy in enumerate(strategies, start=1):
        for model, party, shift in (("base", BASE, -0.18), ("tuned", TUNED, 0.18)):
            here = table[(table.strategy == strategy) & (table.model == model)]
            figure.add_trace(_points(here, sources, model, party, shift, named=row == 1), row=row, col=1)
        chance = {"color": "rgba(128, 128, 128, 0.8)", "dash": "dot", "width": 1.5}
        figure.add_vline(0.5, line=chance, layer="below", row=row, col=1)
    names = [safe(_NAMES.get(source, source)) for source in sources]
    figure.update_yaxes(tickvals=list(range(len(sources))), ticktext=names, range=[len(sources) - 0.4, -0.6])
    low = min([0.5, *table.low.dropna(), *table.auroc.dropna()])
    figure.update_xaxes(range=[low - 0.03, 1.03], dtick=0.1)
    figure.update_xaxes(title="held-out AUROC (0.5 is chance)", row=len(strategies), col=1)
    searched = int(table.n_searched.max())
    few = "; ".join(f"{strategy} ({_tokens(table, strategy)})" for strategy in every if strategy not in scored)
    says = f"Telling a strategy's {at} tokens; best of {searched} features chosen in base; 95% intervals."
    says += f" Too few to score: {few}." if few else ""
    return finish(figure, says, height=total, above=20)


def features_by_verdict(measurement: Measurement, words: Mapping[str, str]) -> go.Figure:
    """AUROC in base and in tuned on the same text, strategies gathered under what is said of them (`words`).

    Each row is the best feature, or the difference of means, of a strategy at one place; a line joins the two models.
    What was in base before tuning stands at the right in both.
    """
    table = same_text(measurement.table)
    table = table[table.source.isin(("sae", "difference of means")) & table.auroc.notna()]
    told = table.assign(word=[words.get(strategy, "not judged") for strategy in table.strategy])
    if told.empty:
        return finish(go.Figure(), "No strategy has enough tokens to be scored.", height=0)
    order = list(dict.fromkeys(told.word))
    rows = {word: list(dict.fromkeys(_row_of(r) for r in told[told.word == word].itertuples())) for word in order}
    figure, total = panels(order, [2 * _ROW * len(rows[word]) for word in order], shared_x=True, width=44)
    for row, word in enumerate(order, start=1):
        here = told[told.word == word]
        for name in rows[word]:
            ends = [r.auroc for r in here.itertuples() if _row_of(r) == name]
            place = [rows[word].index(name)] * len(ends)
            line = go.Scatter(x=ends, y=place, mode="lines", line={"color": GRID, "width": 3}, showlegend=False)
            figure.add_trace(line.update(hoverinfo="skip"), row=row, col=1)
        for model, party in (("base", BASE), ("tuned", TUNED)):
            part = here[here.model == model]
            names = [_row_of(r) for r in part.itertuples()]
            places = [rows[word].index(name) for name in names]
            sources = list(dict.fromkeys(part.source))
            mark = _points(part, sources, model, party, 0.0, named=row == 1).update(y=places)
            figure.add_trace(mark, row=row, col=1)
        figure.update_yaxes(
            tickvals=list(range(len(rows[word]))),
            ticktext=[wrap(name, 24) for name in rows[word]],
            range=[len(rows[word]) - 0.4, -0.6],
            row=row,
            col=1,
        )
    figure.update_xaxes(range=[min(0.5, *told.low.dropna(), *told.auroc) - 0.03, 1.03], dtick=0.1)
    figure.update_xaxes(title="held-out AUROC (0.5 is chance)", row=len(order), col=1)
    says = "The same feature or direction read in base and in tuned, by what is said of its strategy; 95% intervals."
    return finish(figure, says, height=total, above=20)


def _row_of(row: Any) -> str:
    what = "feature" if row.source == "sae" else "direction"
    return f"{row.strategy} {row.at}, {what}"


def same_text(table: pd.DataFrame) -> pd.DataFrame:
    """The rows in which both models read the text on which features were chosen."""
    return table[table["text"] == table["text"].iloc[0]] if "text" in table and len(table) else table


def _tokens(table: pd.DataFrame, strategy: str) -> str:
    """How many tokens the strategy is told by, and from how many others."""
    first = table[table.strategy == strategy].iloc[0]
    return f"{int(first.n_positive):,} tokens against {int(first.n_negative):,}"


def _points(
    table: pd.DataFrame, sources: list[str], model: str, party: Role, shift: float, *, named: bool
) -> go.Scatter:
    """One model's reading of every source."""
    return go.Scatter(
        x=table.auroc,
        y=[sources.index(source) + shift for source in table.source],
        name=f"read in {model}",
        showlegend=named,
        mode="markers",
        marker={"symbol": party.symbol, "color": party.colour, "size": 7},
        error_x=interval(table.auroc, table.low, table.high, party),
        customdata=table[["source", "feature", "firing"]],
        hovertemplate="%{customdata[0]} %{customdata[1]} in " + model + ": AUROC %{x:.3f}<br>fires on "
        "%{customdata[2]:.0%} of the strategy's tokens<extra></extra>",
    )
