"""What follows a part of the network when it is exchanged between base and tuned."""

import functools
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from interp.measurement import Measurement
from interp.plots.standing import outcomes, standing
from interp.plots.theme import BASE, HYBRID, TUNED, finish, interval, panels, safe, wrap

INTO_BASE, INTO_TUNED = "tuned into base", "base into tuned"
_ROW = 31  # pixels: two panels of nine parts fit a printed column
ASKED = {
    "answers": "Problems solved",
    "facts": "Facts recalled",
    "output format": "Written in the form asked for",
    "strategy onset": "Opened as tuned opens",
}
"""What is counted on each axis, as headings say it."""


def swap_table(swaps: Measurement, *, axes: Sequence[str] | None = None) -> pd.DataFrame:
    """One row per part, direction and axis: accuracy with its Wilson interval, and where it stands in the gap.

    Columns as in `standing`, with `swapped`, `direction` and `axis`; the untouched models are swapped "nothing". Of
    `axes` all are there, unless some are named.
    """
    chosen = [axis for axis in dict.fromkeys(swaps.table.axis) if axes is None or axis in axes]
    return pd.concat([_of_axis(swaps, axis) for axis in chosen], ignore_index=True)


@functools.lru_cache(maxsize=16)
def _of_axis(swaps: Measurement, axis: str) -> pd.DataFrame:
    """One axis. A page needs it twice, so those of the last few pairs are kept."""
    table = swaps.table[swaps.table.axis == axis]
    solved = outcomes(table.assign(arm=table.direction + "|" + table.swapped), "arm")
    stands = standing(solved, f"{INTO_BASE}|nothing", f"{INTO_TUNED}|nothing")
    split = stands.arm.str.split("|", n=1, expand=True)
    return stands.assign(axis=axis, direction=split[0], swapped=split[1]).drop(columns="arm")


def swaps(measurement: Measurement, *, axes: Sequence[str] | None = None) -> go.Figure:
    """Accuracy after each swap with its Wilson interval, one panel per axis; lines mark base and tuned untouched.

    Of `axes` all are drawn, unless some are named: four panels are too high for a printed column.

    A part that carries the behaviour lifts base to tuned's line when it goes in, and drops tuned to base's line
    when it comes out.
    """
    table = swap_table(measurement, axes=axes)
    axes = list(dict.fromkeys(table.axis))
    parts = [part for part in dict.fromkeys(table.swapped) if part != "nothing"]
    sizes = table.groupby("axis").n.first()
    titles = [f"{ASKED.get(axis, axis)} (n = {sizes[axis]})" for axis in axes]
    figure, total = panels(titles, [_ROW * len(parts)] * len(axes), width=44)
    for row, axis in enumerate(axes, start=1):
        here = table[table.axis == axis]
        for direction, shift in ((INTO_BASE, -0.15), (INTO_TUNED, 0.15)):
            figure.add_trace(_points(here, parts, direction, shift, named=row == 1), row=row, col=1)
        for direction in (INTO_BASE, INTO_TUNED):
            figure.add_trace(_reference(here, direction, len(parts), named=row == 1), row=row, col=1)
        figure.update_yaxes(
            tickvals=list(range(len(parts))),
            ticktext=[wrap(p) for p in parts],
            range=[len(parts) - 0.4, -0.6],
            row=row,
            col=1,
        )
        figure.update_xaxes(tickformat=".0%", range=[-0.03, 1.03], nticks=6, row=row, col=1)
    figure.update_xaxes(title="share of n", row=len(axes), col=1)
    return finish(figure, "Swapping parts of the two networks, 95% Wilson intervals", height=total, above=20)


def _points(here: pd.DataFrame, parts: list[str], direction: str, shift: float, *, named: bool) -> go.Scatter:
    """One direction: green in both, since each is a hybrid; filled goes into base, open goes into tuned."""
    rows = here[here.direction == direction].set_index("swapped").loc[parts]
    symbol = HYBRID.symbol if direction == INTO_BASE else "diamond-open"
    return go.Scatter(
        x=rows.accuracy,
        y=[place + shift for place in range(len(parts))],
        name=f"{direction.split()[0]}'s part in {direction.split()[-1]}",
        legendrank=1 if direction == INTO_BASE else 2,
        showlegend=named,
        mode="markers",
        marker={"symbol": symbol, "color": HYBRID.colour, "size": 9, "line": {"width": 2, "color": HYBRID.colour}},
        error_x=interval(rows.accuracy, rows.low, rows.high, HYBRID),
        customdata=rows[["n", "low", "high"]],
        text=[safe(part) for part in parts],
        hovertemplate="%{text}, "
        + direction
        + ": %{x:.1%} of %{customdata[0]}<br>95% interval %{customdata[1]:.1%} to %{customdata[2]:.1%}<extra></extra>",
    )


def _reference(here: pd.DataFrame, direction: str, n_parts: int, *, named: bool) -> go.Scatter:
    """The untouched model that this direction starts from, as a line through the panel."""
    model, party = ("base", BASE) if direction == INTO_BASE else ("tuned", TUNED)
    row = here[(here.direction == direction) & (here.swapped == "nothing")].iloc[0]
    return go.Scatter(
        x=[row.accuracy, row.accuracy],
        y=[-0.6, n_parts - 0.4],
        name=f"{model} untouched",
        legendrank=3 if model == "base" else 4,
        showlegend=named,
        mode="lines",
        line={"color": party.colour, "dash": party.dash, "width": 2},
        customdata=[[row.n, row.low, row.high]] * 2,
        hovertemplate=model + " untouched: %{x:.1%} of %{customdata[0]}<br>95% interval "
        "%{customdata[1]:.1%} to %{customdata[2]:.1%}<extra></extra>",
    )
