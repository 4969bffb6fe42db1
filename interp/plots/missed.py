"""How often a verdict misses what is planted: by problems and gap, or by the vectors that an SAE was fitted on."""

import pandas as pd
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
    sizes, named = table.groupby("reached")["gap"].mean(), set[str]()
    for row, name in enumerate(names, start=1):
        mine = table[table["instrument"] == name]
        for part, role in zip(reached, _LINES, strict=False):
            cells = mine[mine["reached"] == part].groupby("n")[["right", "resamples"]].sum()
            if cells.empty:
                continue
            k = cells["resamples"] - cells["right"]
            line = _line(f"gap {sizes[part]:.2f}", k, cells["resamples"], role, "problems")
            line.update(legendgroup=str(part), showlegend=str(part) not in named)
            named.add(str(part))
            figure.add_trace(line, row=row, col=1)
    title = "How often is a planted answer missed? Organisms' answers drawn again, by problems and mean gap"
    return _finished(figure, table["n"], "problems (log scale)", len(names), title, height)


def missed_by_vectors(vectors: Measurement) -> go.Figure:
    """One panel per verdict about features: the share without the planted answer, against the SAE's vectors.

    One line per organism in which something was planted, with Wilson's 95% interval; an undecided answer is missed.
    All base seeds are pooled, development and confirmation alike as the table has them.
    """
    table = vectors.table[vectors.table["planted"].astype(bool) & (vectors.table["beside"] == "")]
    names, organisms = (list(dict.fromkeys(table[column])) for column in ("instrument", "organism"))
    figure, height = panels(names, [_PANEL] * len(names), shared_x=True)
    named = set[str]()
    for row, name in enumerate(names, start=1):
        mine = table[table["instrument"] == name]
        for organism, role in zip(organisms, _LINES, strict=False):
            cells = mine[mine["organism"] == organism].groupby("samples")["outcome"]
            if not len(cells):
                continue
            line = _line(organism, cells.agg(lambda said: int((said != "right").sum())), cells.size(), role, "vectors")
            line.update(legendgroup=organism, showlegend=organism not in named)
            named.add(organism)
            figure.add_trace(line, row=row, col=1)
    title = "How often is a planted answer about features missed? By the vectors that each autoencoder was fitted on"
    return _finished(figure, table["samples"], "vectors (log scale)", len(names), title, height)


def _line(name: str, k: "pd.Series[int]", n: "pd.Series[int]", role: Role, of: str) -> go.Scatter:
    """Missed are k of n, at what both are indexed by: a number of problems or of vectors."""
    ends = [wilson(int(a), int(b)) for a, b in zip(k, n, strict=True)]
    share = [a / b for a, b in zip(k, n, strict=True)]
    return go.Scatter(
        x=list(n.index),
        y=share,
        error_y=interval(share, [low for low, _ in ends], [high for _, high in ends], role),
        name=name,
        mode="lines+markers",
        line={"color": role.colour, "dash": role.dash, "width": 1.5},
        marker={"symbol": role.symbol, "size": 7},
        customdata=[f"{a} of {b}" for a, b in zip(k, n, strict=True)],
        hovertemplate=f"%{{x}} {of}, %{{fullData.name}}: missed in %{{customdata}}<extra></extra>",
    )


def _finished(figure: go.Figure, at: "pd.Series[int]", what: str, rows: int, title: str, height: int) -> go.Figure:
    figure.update_yaxes(title="missed", tickformat=".0%", range=[-0.05, 1.05])
    figure.update_xaxes(type="log", tickvals=sorted(set(at)))
    figure.update_xaxes(title=what, row=rows, col=1)
    return finish(figure, title, height=height, above=20)
