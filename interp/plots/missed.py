"""How often a verdict misses what is planted, by the number of problems and the size of the gap."""

import plotly.graph_objects as go

from interp.intervals import wilson
from interp.measurement import Measurement
from interp.plots.theme import Role, finish, interval, panels

_LINES = (
    Role("#00204D", "solid", "circle"),
    Role("#575D6D", "dash", "square"),
    Role("#A69D75", "dashdot", "diamond"),
    Role("#D9BE4A", "dot", "circle-open"),
)
"""Of the scale Cividis, dark for a large gap: these lines are neither base's nor tuned's."""
_PANEL = 130  # pixels


def missed(power: Measurement) -> go.Figure:
    """One panel per verdict: the share of resamples without the planted answer, against the number of problems.

    One line per gap, the largest first, with Wilson's 95% interval. An answer that was undecided is missed; so is a
    wrong one. Pairs are pooled, development and confirmation alike as the table has them.
    """
    table = power.table
    names, reached = list(dict.fromkeys(table["instrument"])), sorted(set(table["reached"]), reverse=True)
    figure, height = panels(names, [_PANEL] * len(names), shared_x=True)
    sizes, named = table.groupby("reached")["gap"].mean(), set[float]()
    for row, name in enumerate(names, start=1):
        mine = table[table["instrument"] == name]
        for part, role in zip(reached, _LINES, strict=False):
            cells = mine[mine["reached"] == part].groupby("n")[["right", "resamples"]].sum()
            if cells.empty:
                continue
            k, n = cells["resamples"] - cells["right"], cells["resamples"]
            ends = [wilson(int(a), int(b)) for a, b in zip(k, n, strict=True)]
            share = [a / b for a, b in zip(k, n, strict=True)]
            figure.add_trace(
                go.Scatter(
                    x=list(cells.index),
                    y=share,
                    error_y=interval(share, [low for low, _ in ends], [high for _, high in ends], role),
                    name=f"gap {sizes[part]:.2f}",
                    legendgroup=str(part),
                    showlegend=part not in named,
                    mode="lines+markers",
                    line={"color": role.colour, "dash": role.dash, "width": 1.5},
                    marker={"symbol": role.symbol, "size": 7},
                    customdata=[f"{a} of {b}" for a, b in zip(k, n, strict=True)],
                    hovertemplate="%{x} problems, %{fullData.name}: missed in %{customdata}<extra></extra>",
                ),
                row=row,
                col=1,
            )
            named.add(part)
    figure.update_yaxes(title="missed", tickformat=".0%", range=[-0.05, 1.05])
    figure.update_xaxes(type="log", tickvals=sorted(set(table["n"])))
    figure.update_xaxes(title="problems (log scale)", row=len(names), col=1)
    title = "How often is a planted answer missed? Organisms' answers drawn again, by problems and mean gap"
    return finish(figure, title, height=height, above=20)
