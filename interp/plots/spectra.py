"""How many directions each component's change has: its singular values, storage's edge and what chance would give."""

import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from interp.measurement import Measurement
from interp.plots.theme import CONTROL, LINE, SHADE, TUNED, finish, panels, safe

_PANEL = 66  # pixels: seven panels fit a printed column
_ORDER = ("attn.q", "attn.k", "attn.v", "attn.o", "mlp.gate", "mlp.in", "mlp.out")


def spectra(values: Measurement, *, layer: int | None = None) -> go.Figure:
    """One panel per component: singular values of its change at one layer, or of all layers as a bundle of lines.

    Shaded: the change's own entries in random order, from the smallest to the largest of the draws (over all layers
    shown). Singular values above the shade are directions that the sizes of the entries do not give by themselves.
    Dotted: the largest value that storage's rounding alone would give (the highest of the layers shown). `layer` is
    one of the blocks; ValueError for a layer that was not measured, or where nothing inside the blocks was.
    """
    inside = values.table[values.table.layer.notna()]
    layers = sorted(int(number) for number in inside.layer.unique())
    if layer is not None and layer not in layers:
        raise ValueError(f"layer {layer} was not measured, only {', '.join(map(str, layers)) or 'none'}")
    shown = layers if layer is None else [layer]
    table = inside[inside.layer.isin(shown)]
    if not (table.value > 0).any():
        return finish(go.Figure(), f"No matrix of {_of(shown)} changed, so no change has directions", height=_PANEL)
    present = set(table.component)
    components = [*(name for name in _ORDER if name in present), *sorted(present - set(_ORDER))]
    figure, total = panels([safe(name) for name in components], [_PANEL] * len(components), shared_x=True)
    for row, component in enumerate(components, start=1):
        here = table[table.component == component]
        for trace in (*_band(here, named=row == 1), _edge(here, named=row == 1)):
            figure.add_trace(trace, row=row, col=1)
        for number in shown:
            line = _line(here[here.layer == number], number, shown, named=row == 1)
            figure.add_trace(line, row=row, col=1)
        figure.update_xaxes(type="log", dtick=1, row=row, col=1)
        figure.update_yaxes(rangemode="tozero", nticks=3, row=row, col=1)
    figure.update_xaxes(
        title={"text": "k: from the largest singular value to the smallest", "standoff": 2}, row=len(components), col=1
    )
    return finish(figure, f"Singular values of the change, {_of(shown)}", height=total, above=20)


def _of(layers: list[int]) -> str:
    return f"layer {layers[0]}" if len(layers) == 1 else f"{len(layers)} layers"


def _band(here: pd.DataFrame, *, named: bool) -> list[go.Scatter]:
    """What the permuted draws span; empty where there were none."""
    span = here.groupby("k").agg(low=("null_low", "min"), high=("null_high", "max")).dropna()
    shared = {
        "x": span.index,
        "mode": "lines",
        "line": {"width": 0.5, "color": LINE},
        "hoverinfo": "skip",
        "legendgroup": "null",
    }
    return [
        go.Scatter(y=span.high, showlegend=False, **shared),
        go.Scatter(y=span.low, fill="tonexty", fillcolor=SHADE, name="entries permuted", showlegend=named, **shared),
    ]


def _edge(here: pd.DataFrame, *, named: bool) -> go.Scatter:
    edge = float(here.noise_edge.max())
    return go.Scatter(
        x=[int(here.k.min()), int(here.k.max())],
        y=[edge, edge],
        mode="lines",
        name="rounding",
        showlegend=named,
        line={"color": CONTROL.colour, "dash": "dot", "width": 1.5},
        hovertemplate="rounding alone: up to %{y:.3g}<extra></extra>",
    )


def _line(rows: pd.DataFrame, layer: int, shown: list[int], *, named: bool) -> go.Scatter:
    """One layer's spectrum; of several layers the first and the last are in the legend."""
    place = shown.index(layer) / max(1, len(shown) - 1)
    # The scale's brightest yellow would be lost on white.
    colour = TUNED.colour if len(shown) == 1 else sample_colorscale("Cividis", [0.85 * place])[0]
    ordered = rows.sort_values("k")
    return go.Scatter(
        x=ordered.k,
        y=ordered.value,
        mode="lines",
        name=f"layer {layer}",
        showlegend=named and layer in (shown[0], shown[-1]),
        line={"color": colour, "width": 2 if len(shown) == 1 else 1.2},
        customdata=ordered[["base_value", "null_mean"]],
        hovertemplate=f"layer {layer}, value %{{x}}: %{{y:.3g}}<br>base's own %{{customdata[0]:.3g}}, entries permuted "
        "%{customdata[1]:.3g}<extra></extra>",
    )
