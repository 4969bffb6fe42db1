"""What a strategy's feature does to the next token when it is changed, beside twins of the same change."""

import pandas as pd
import plotly.graph_objects as go

from interp.measurement import Measurement
from interp.plots.theme import BASE, SHADE, TUNED, Role, finish, interval, panels

_ROW = 18  # pixels: four strategies of eight rows fit a printed column
_NAMES = {"sae feature": "feature", "difference of means": "direction"}
_VERBS = {"add": "added", "clamp": "clamped", "ablate": "ablated"}


def causes(measurement: Measurement) -> go.Figure:
    """Per strategy, how far its probability moves when its feature or its direction is changed at one token.

    The bar behind a mark spans the twins, which move the same activations as far: along other features, or along random
    directions and those of labels that mean nothing. What lies inside its bar, or near zero, says that the model does
    not choose by this. Added and clamped: where another strategy opens. Ablated: where it opens itself, or in its
    content, where the tokens asked for are those written next.
    """
    table = measurement.table
    strategies = list(dict.fromkeys(table.strategy))
    kinds = sorted(dict.fromkeys(_kinds(table)), key=lambda kind: kind[2] == "content")
    counts = [f"{strategy}: {_places(table[table.strategy == strategy])}" for strategy in strategies]
    figure, total = panels(counts, [_ROW * len(kinds)] * len(strategies), shared_x=True, width=44)
    for row, strategy in enumerate(strategies, start=1):
        for model, party, shift in (("base", BASE, -0.17), ("tuned", TUNED, 0.17)):
            here = table[(table.strategy == strategy) & (table.model == model)]
            where = [kinds.index(kind) + shift for kind in _kinds(here)]
            figure.add_trace(_twins(here, where, named=row == 1 and model == "base"), row=row, col=1)
            figure.add_trace(_points(here, where, model, party, named=row == 1), row=row, col=1)
        line = {"color": "rgba(128, 128, 128, 0.8)", "dash": "dot", "width": 1.5}
        figure.add_vline(0, line=line, layer="below", row=row, col=1)
    names = [_name(*kind) for kind in kinds]
    figure.update_yaxes(tickvals=list(range(len(kinds))), ticktext=names, range=[len(kinds) - 0.4, -0.6])
    figure.update_xaxes(title="change in probability", row=len(strategies), col=1)
    figure.update_layout(barmode="overlay")
    says = "Changing one token's activation: what it does to the strategy; 95% intervals over problems."
    return finish(figure, says, height=total, above=20)


def _kinds(table: pd.DataFrame) -> list[tuple[str, str, str]]:
    at = table["at"] if "at" in table else ["onset"] * len(table)
    return list(zip(table.source, table.how, at, strict=True))


def _name(source: str, how: str, at: str) -> str:
    inside = " inside it" if at == "content" else ""
    return f"{_NAMES.get(source, source)} {_VERBS.get(how, how)}{inside}"


def _places(table: pd.DataFrame) -> str:
    """At how many places, per edit where they differ."""
    sizes = sorted(set(table.n.astype(int)))
    return f"{sizes[0]} places" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]} places"


def _twins(table: pd.DataFrame, where: list[float], *, named: bool) -> go.Bar:
    """From the smallest to the largest effect of the twins."""
    return go.Bar(
        x=table.controls_high - table.controls_low,
        base=table.controls_low,
        y=where,
        orientation="h",
        width=0.3,
        marker={"color": SHADE, "line": {"width": 0}},
        name="twins",
        showlegend=named,
        customdata=table[["controls_low", "controls_high"]],
        hovertemplate="twins: %{customdata[0]:+.3f} to %{customdata[1]:+.3f}<extra></extra>",
    )


def _points(table: pd.DataFrame, where: list[float], model: str, party: Role, *, named: bool) -> go.Scatter:
    """What the edit itself does in one model."""
    return go.Scatter(
        x=table.effect,
        y=where,
        name=f"in {model}",
        showlegend=named,
        mode="markers",
        marker={"symbol": party.symbol, "color": party.colour, "size": 7},
        error_x=interval(table.effect, table.low, table.high, party),
        customdata=table[["source", "how", "rank_p"]],
        hovertemplate="%{customdata[0]}, %{customdata[1]} in " + model + ": %{x:+.3f}<br>"
        "share of twins as far: %{customdata[2]:.2f}<extra></extra>",
    )
