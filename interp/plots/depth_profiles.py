"""Three answers to "which layers changed?", one under the other, so that their disagreement is seen."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interp.measurement import Measurement
from interp.plots.theme import CONTROL, SHADE, TUNED, finish, panels

_PANEL = 130  # pixels


def depth_table(weights: Measurement, activations: Measurement) -> pd.DataFrame:
    """One row per layer: the pooled relative weight change, and both activation differences with their nulls.

    Pooled: `sqrt(sum ||d||^2) / sqrt(sum ||W||^2)` over the layer's tensors.
    """
    inside = weights.table[weights.table.layer.notna()]
    squares = (inside[["norm_change", "norm_base"]] ** 2).groupby(inside.layer.astype(int)).sum()
    pooled = np.sqrt(squares.norm_change / squares.norm_base)
    profile = activations.table.sort_values("layer", ignore_index=True)
    if list(profile.layer) != list(pooled.index):
        raise ValueError(
            f"weights were measured in {len(pooled)} layers and activations in {len(profile)}; measure both on one pair"
        )
    return profile.assign(weight_change=pooled.to_numpy())


def centre(change: pd.Series) -> float:
    """Where along the depth a change balances: the mean layer, weighted by the change; NaN where nothing changed."""
    return float(np.average(change.index, weights=change)) if change.sum() > 0 else float("nan")


def depth_profiles(weights: Measurement, activations: Measurement) -> go.Figure:
    """Weights, each block on base's input, and what accumulates over blocks; beside them what chance would give.

    Chance is base plus random noise of the same norm in every matrix: mean dotted, shaded up to the limit that one
    more draw would stay under 19 times in 20. Weights have none: their noise has the same norms by construction.
    """
    table = depth_table(weights, activations)
    measures = {
        "Weights": ("weight_change", None),
        "Each block on base's input": ("block_diff", "null_block"),
        "Accumulated over blocks": ("cumulative_diff", "null_cumulative"),
    }
    titles = [f"{title}: {_centres(table, *columns)}" for title, columns in measures.items()]
    figure, total = panels(titles, [_PANEL] * 3, shared_x=True)
    for row, (column, null) in enumerate(measures.values(), start=1):
        if null:
            for trace in _band(table, null, named=row == 2):
                figure.add_trace(trace, row=row, col=1)
        figure.add_trace(_line(table, column, named=row == 1), row=row, col=1)
    figure.update_yaxes(rangemode="tozero", title="relative change", nticks=4)
    figure.update_xaxes(title=f"layer (0 to {len(table) - 1})", nticks=8, tickformat="d", row=3, col=1)
    says = (
        f"Change over depth; an even change has its centre at layer {(len(table) - 1) / 2:g}. "
        f"{int(table.n_tokens.iloc[0]):,} tokens, {int(table.n_draws.iloc[0])} random draws"
    )
    return finish(figure, says, height=total, above=20)


def _centres(table: pd.DataFrame, column: str, null: str | None) -> str:
    """Where the change balances, and where chance does."""
    if table[column].sum() == 0:
        return "no change"
    random = f" (random {centre(table[f'{null}_mean']):.1f})" if null else ""
    return f"centre {centre(table[column]):.1f}{random}"


def _line(table: pd.DataFrame, column: str, *, named: bool) -> go.Scatter:
    """What tuning changed, layer by layer."""
    return go.Scatter(
        x=table.layer,
        y=table[column],
        mode="lines+markers",
        name="tuned against base",
        showlegend=named,
        legendrank=1,
        line={"color": TUNED.colour, "width": 2},
        marker={"symbol": TUNED.symbol, "size": 7, "color": TUNED.colour},
        hovertemplate="layer %{x}: %{y:.4f}<extra></extra>",
    )


def _band(table: pd.DataFrame, null: str, *, named: bool) -> list[go.Scatter]:
    """The null's mean and its upper limit, shaded between."""
    mean = go.Scatter(
        x=table.layer,
        y=table[f"{null}_mean"],
        mode="lines",
        name="random change of equal norm",
        showlegend=named,
        line={"color": CONTROL.colour, "dash": CONTROL.dash, "width": 2},
        hovertemplate="layer %{x}: null's mean %{y:.4f}<extra></extra>",
    )
    high = go.Scatter(
        x=table.layer,
        y=table[f"{null}_high"],
        mode="lines",
        name="its upper limit",
        showlegend=False,
        fill="tonexty",
        fillcolor=SHADE,
        line={"color": CONTROL.colour, "width": 0.5},
        hovertemplate="layer %{x}: null's upper limit %{y:.4f}<extra></extra>",
    )
    return [mean, high]
