"""Which heads and MLPs carry the choice at which base and tuned part: a grid, layer by component."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interp.measurement import Measurement
from interp.plots.theme import finish, panels

_ROW = 24  # pixels
_TITLES = {"tuned into base": "tuned's activation in base", "base into tuned": "base's activation in tuned"}


def grid_table(patches: Measurement) -> pd.DataFrame:
    """One row per direction, layer and component (`head 0`, `attn`, `mlp`): mean effect over mean total, and n."""
    table = patches.table.assign(
        part=[f"head {int(h)}" if c == "head" else str(c) for c, h in patches.table[["component", "head"]].to_numpy()]
    )
    means = table.groupby(["direction", "layer", "part"], sort=False)
    found = means.agg(effect=("effect", "mean"), total=("total", "mean"), n=("problem", "size")).reset_index()
    return found.assign(share=found.effect / found.total)


def head_grid(patches: Measurement) -> go.Figure:
    """One cell per component: the share of the whole change in contrast that its activation alone moves."""
    table = grid_table(patches)
    parts = list(dict.fromkeys(table.part))
    heads = sorted((part for part in parts if part.startswith("head")), key=lambda part: int(part.split()[1]))
    parts = [*heads, *(part for part in ("attn", "mlp") if part in parts)]
    layers = sorted(set(table.layer))
    figure, total = panels(list(_TITLES.values()), [_ROW * len(parts)] * 2)
    for row, direction in enumerate(_TITLES, start=1):
        cells = table[table.direction == direction].pivot(index="part", columns="layer", values="share")
        cells = cells.loc[parts, layers]
        figure.add_trace(
            go.Heatmap(
                x=layers,
                y=parts,
                z=cells.to_numpy(dtype=float),
                coloraxis="coloraxis",
                xgap=1,
                ygap=1,
                texttemplate="%{z:.2f}" if len(layers) <= 8 else None,
                hovertemplate="layer %{x}, %{y}: %{z:.1%} of the change<extra></extra>",
            ),
            row=row,
            col=1,
        )
        figure.update_yaxes(autorange="reversed", dtick=1, row=row, col=1)
        figure.update_xaxes(title={"text": "layer", "standoff": 2}, nticks=min(len(layers) + 1, 10), row=row, col=1)
    largest = float(np.abs(table.share).max())
    bar = {"orientation": "h", "thickness": 10, "nticks": 5, "y": 0, "yref": "container", "yanchor": "bottom"}
    limit = largest if largest > 0 else 1
    scale = {"colorscale": "RdBu_r", "cmid": 0, "cmin": -limit, "cmax": limit, "colorbar": bar | {"tickformat": ".0%"}}
    figure.update_layout(coloraxis=scale)
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(showgrid=False)
    says = f"Share of the change in logits that one component moves, {int(table.n.iloc[0])} problems"
    return finish(figure, says, height=total, above=18, below=24)
