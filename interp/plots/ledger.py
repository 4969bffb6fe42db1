"""Every claim in one picture: what was reported, what was found, and what is said of it."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from interp.plots.tables import TextTable
from interp.plots.theme import CONTROL, INK, LINE, LINE_HEIGHT, Role, finish, interval, wrap

SAID = {
    "supported": Role("#117733", "solid", "circle"),
    "contradicted": Role("#AA4499", "dash", "x"),
    "undecided": CONTROL,
}
"""How a verdict is drawn: not in the colours of base and tuned, which it is not about."""
_MOST = 2.0
"""Nothing is drawn further out; an arrow says that an interval goes on. Shares of a gap and differences of two lie
within."""

_CROSS = {"symbol": "x-thin", "size": 10, "color": INK, "line": {"width": 2, "color": INK}}
_BAR = {"symbol": "line-ns", "size": 26, "color": INK, "line": {"width": 2, "color": INK}}
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "star", "circle-open", "diamond-open", "square-open")


def ledger(verdicts: pd.DataFrame) -> go.Figure:
    """One row per claim: a cross where the paper reports a number, ours with its interval, its colour the verdict.

    Takes `claims.verdict.verdict_table`. Estimates are of different kinds (each claim's reason says which), so a row is
    read against its own cross and not against other rows. A claim without an estimate keeps its row, and says so.
    """
    if verdicts.empty:
        raise ValueError("there is no verdict to draw; decide at least one claim")
    rows = verdicts.reset_index(drop=True)
    figure = go.Figure()
    for says, role in SAID.items():
        of = rows[(rows.says == says) & rows.estimate.notna()]
        _find(figure, of, says, role)
    _report(figure, rows[rows.estimate.notna()], _CROSS)
    for row in rows[rows.estimate.isna()].itertuples():
        _say_none(figure, row.Index, row.reported)
    labels = [f"{wrap(claim, 26)}<br>n = {n:,}" for claim, n in zip(rows.claim, rows.n, strict=True)]
    lines = max(label.count("<br>") + 1 for label in labels)
    figure.update_yaxes(tickvals=rows.index, ticktext=labels, range=[len(rows) - 0.5, -0.5], showgrid=False)
    figure.update_xaxes(title="the claim's own number", zeroline=True, zerolinecolor=LINE, rangemode="tozero")
    says = "Claims as reported and as found on this pair, with 95% intervals"
    return finish(figure, says, height=len(rows) * (lines * LINE_HEIGHT + 14))


def ledgers(verdicts: pd.DataFrame) -> go.Figure:
    """Several pairs in one picture: a row per claim, in it a mark per pair that brings a number, under a cross.

    Takes rows of `claims.ledger.ledger_table` with a column `pair` in front. The symbol is the pair, the colour what is
    said of the claim there. A claim for which no pair brings a number keeps its row, and says so. ValueError for more
    pairs than there are symbols.
    """
    pairs = list(dict.fromkeys(verdicts["pair"]))
    if not pairs or len(pairs) > len(_SYMBOLS):
        raise ValueError(f"{len(pairs)} pairs are not between 1 and {len(_SYMBOLS)}, the symbols there are; draw fewer")
    claims = verdicts.drop_duplicates("key").set_index("key")
    order = {key: place for place, key in enumerate(claims.index)}
    rows = verdicts.assign(at=[order[key] for key in verdicts["key"]])
    rows = rows[rows["estimate"].notna()]
    figure = go.Figure()
    for place, pair in enumerate(pairs):
        # What the symbols mean stands in the legend once, whatever is said of the pairs.
        mark = {"symbol": _SYMBOLS[place], "size": 8, "color": INK}
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="markers", name=pair, marker=mark))
    for says, role in SAID.items():
        for place, pair in enumerate(pairs):
            of = rows[(rows.says == says) & (rows["pair"] == pair)]
            shift = 0.7 * ((place + 0.5) / len(pairs) - 0.5)
            _find(figure, of.set_index(of["at"] + shift), says, role, pair=pair, symbol=_SYMBOLS[place])
        if (rows.says == says).any():
            line = {"color": role.colour, "width": 3}
            figure.add_trace(go.Scatter(x=[None], y=[None], mode="lines", name=says, line=line))
    numbered = claims.loc[[key for key in order if key in set(rows["key"])]]
    _report(figure, numbered.set_index(pd.Index([order[key] for key in numbered.index])), _BAR)
    for key in order.keys() - set(rows["key"]):
        _say_none(figure, order[key], claims.reported[key])
    labels = [wrap(f"{key} {claim}", 30) for key, claim in claims.claim.items()]
    for between in range(1, len(order)):
        figure.add_hline(between - 0.5, line={"color": LINE, "width": 0.5}, layer="below")
    figure.update_yaxes(tickvals=list(order.values()), ticktext=labels, range=[len(order) - 0.5, -0.5], showgrid=False)
    figure.update_xaxes(title="the claim's own number", zeroline=True, zerolinecolor=LINE)
    lines = max(label.count("<br>") + 1 for label in labels)
    each = max(lines * LINE_HEIGHT + 8, 11 * len(pairs))
    return finish(figure, "Claims as reported and as found, with 95% intervals", height=len(order) * each)


def ledger_text(verdicts: pd.DataFrame) -> TextTable:
    """One row per claim: what is said, what was reported, ours with its interval, n, and the first reason.

    Takes `claims.ledger.ledger_table`. A claim that lacks what it needs says what that is. With a column `record` a row
    also tells how often such a verdict was right where the answer was planted (`calibration.record.in_short`).
    """
    told = ["where planted"] * ("record" in verdicts)
    head = ["claim", "this pair", "reported", "estimated", "n", *told, "because"]
    rows = []
    for row in verdicts.itertuples():
        none = pd.isna(row.estimate)
        reported = "no number" if pd.isna(row.reported) else f"{row.reported:.2f}"
        estimated = "none" if none else f"{row.estimate:.2f} ({row.low:.2f} to {row.high:.2f})"
        lacks = row.because.rpartition("What it needs: ")[2] if none and "What it needs: " in row.because else ""
        first = f"Needs {lacks.removesuffix('.')}" if lacks else row.because.partition(". ")[0].removesuffix(".")
        cells = [f"{row.key} {row.claim}".strip(), row.says, reported, estimated, f"{row.n:,}" if row.n else "–"]
        rows.append([*cells, *([row.record] if told else []), f"{first}."])
    return TextTable("Published claims about what tuned models write; 95% intervals over problems", head, rows)


def _report(figure: go.Figure, rows: pd.DataFrame, marker: Mapping[str, Any]) -> None:
    """The reported numbers; one that lies further out than is drawn stands at the edge, in figures."""
    told = rows[rows.reported.notna()]
    if told.empty:
        return
    figure.add_trace(
        go.Scatter(
            x=told.reported.clip(-_MOST, _MOST),
            y=told.index,
            mode="markers",
            name="reported",
            marker=dict(marker),
            customdata=told.reported,
            hovertemplate="reported: %{customdata:.2f}<extra></extra>",
        )
    )
    for row in told[told.reported.abs() > _MOST].itertuples():
        left = row.reported < 0
        figure.add_annotation(
            text=f"{row.reported:.2f} {'←' if left else '→'}",
            x=math.copysign(_MOST, row.reported),
            y=row.Index,
            xanchor="left" if left else "right",
            xshift=8 if left else -8,
            showarrow=False,
            font={"color": INK},
        )


def _say_none(figure: go.Figure, at: int, reported: float) -> None:
    """That nothing was estimated there, beside zero, and what was reported."""
    said = "no number can be given" + ("" if pd.isna(reported) else f" (reported: {reported:.2f})")
    figure.add_annotation(text=said, x=0, y=at, xanchor="left", xshift=6, showarrow=False, font={"color": INK})


def _find(
    figure: go.Figure, rows: pd.DataFrame, says: str, role: Role, *, pair: str = "", symbol: str | None = None
) -> None:
    """Estimates of one verdict; what lies beyond what is drawn is cut there, and told in full when pointed at.

    Under a `symbol` of a `pair` the mark says the pair, and its name does not stand in the legend.
    """
    if rows.empty:
        return
    drawn = rows[["estimate", "low", "high"]].clip(-_MOST, _MOST)
    figure.add_trace(
        go.Scatter(
            x=drawn.estimate,
            y=rows.index,
            mode="markers",
            name=says,
            showlegend=symbol is None,
            marker={"symbol": symbol or role.symbol, "size": 7 if symbol else 9, "color": role.colour},
            error_x=interval(drawn.estimate, drawn.low, drawn.high, role),
            customdata=rows[["estimate", "low", "high"]],
            hovertemplate=(f"{pair}, " if pair else "")
            + f"{says}: "
            + "%{customdata[0]:.2f} (%{customdata[1]:.2f} to %{customdata[2]:.2f})<extra></extra>",
        )
    )
    for end, edge, arrow in (("low", -_MOST, "triangle-left"), ("high", _MOST, "triangle-right")):
        cut = rows.index[(rows[end] - edge) * edge > 0]
        if len(cut):
            marker = {"symbol": arrow, "size": 8, "color": role.colour}
            trace = go.Scatter(
                x=[edge] * len(cut), y=cut, mode="markers", marker=marker, name="goes on", hoverinfo="skip"
            )
            figure.add_trace(trace.update(showlegend=False))
