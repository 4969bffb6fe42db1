"""Which attention heads changed: a grid of layer by head for what they look for (QK) and what they write (OV)."""

import plotly.graph_objects as go

from interp.measurement import Measurement
from interp.plots.theme import finish, panels

_ROW = 24  # pixels
_MOST_WITH_TEXT = 8  # heads whose numbers can be read on a telephone
_TITLES = {"QK": "What heads look for (QK)", "OV": "What heads write (OV)"}


def circuit_grid(heads: Measurement) -> go.Figure:
    """One cell per head and circuit: `||tuned's - base's||_F / ||base's||_F`; both panels have one colour scale."""
    table = heads.table
    layers, columns = sorted(table["layer"].unique()), sorted(table["head"].unique())
    figure, total = panels(list(_TITLES.values()), [_ROW * len(layers)] * len(_TITLES))
    for row, circuit in enumerate(_TITLES, start=1):
        placed = table[table["circuit"] == circuit]
        grid = {
            name: placed.pivot(index="layer", columns="head", values=name).loc[layers, columns].to_numpy(dtype=float)
            for name in ("relative", "cosine_distance")
        }
        figure.add_trace(
            go.Heatmap(
                x=columns,
                y=layers,
                z=grid["relative"],
                customdata=grid["cosine_distance"],
                coloraxis="coloraxis",
                xgap=1,
                ygap=1,
                texttemplate="%{z:.2g}" if len(columns) <= _MOST_WITH_TEXT else None,
                hovertemplate="layer %{y}, head %{x}<br>relative change %{z:.4f}<br>cosine distance "
                "%{customdata:.3g}<extra></extra>",
            ),
            row=row,
            col=1,
        )
        figure.update_xaxes(title={"text": "head", "standoff": 2}, nticks=min(len(columns) + 1, 10), row=row, col=1)
        figure.update_yaxes(title="layer", dtick=max(1, len(layers) // 8), row=row, col=1)
    largest = float(table["relative"].max())
    bar = {"orientation": "h", "thickness": 10, "nticks": 4, "y": 0, "yref": "container", "yanchor": "bottom"}
    scale = {"colorscale": "Cividis", "cmin": 0, "cmax": largest if largest > 0 else 1, "colorbar": bar}
    figure.update_layout(coloraxis=scale)
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(showgrid=False)
    size = f"{len(layers)} layers of {len(columns)} heads"
    says = f"Change of each head's circuit, Frobenius norm relative to base's. {size}"
    return finish(figure, says, height=total, above=18, below=24)
