"""The calibration matrix: which instrument is right on which organism, wrong answers to be seen at once."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interp.measurement import Measurement
from interp.plots.theme import INK, finish, panels, safe

_MANY = 10
_LISTED = 12
"""Answers that are shown when a cell is pointed at, those that are not right first."""
_ROW, _LETTER = 17, 5  # pixels: of a row, and of a letter of a column's upright name
_SHADES = ("rgba(128, 128, 128, 0.10)", "#BDBDBD", "#8C2D04")
"""All right, undecided at most, some wrong: lightness alone tells them apart in grey print."""
_TEXT = (INK, "#000000", "#FFFFFF")


def calibration(record: Measurement) -> go.Figure:
    """One column per instrument, one row per organism; a cell counts right answers of all answers.

    Pale: all were right. Grey: some were undecided, none wrong. Dark: some were wrong. Empty: no answer is known. The
    usual readings stand to the right of the line, behind our own instruments. Hovering shows what was planted and what
    was said.
    """
    table = record.table
    own = list(dict.fromkeys(table[table["beside"] == ""]["instrument"]))
    usual = list(dict.fromkeys(table[table["beside"] != ""]["instrument"]))
    columns, rows = [*own, *usual], list(dict.fromkeys(table["organism"]))
    counts, hover = _cells(table, columns, rows)
    figure, total = panels([""], [_ROW * len(rows)])
    level = np.where(counts[..., 1] > 0, 2.0, np.where(counts[..., 2] > 0, 1.0, 0.0))
    level[counts.sum(-1) == 0] = np.nan
    figure.add_trace(
        go.Heatmap(
            x=list(range(len(columns))),
            y=[safe(row) for row in rows],
            z=level,
            zmin=0,
            zmax=2,
            colorscale=[(0, _SHADES[0]), (0.5, _SHADES[1]), (1, _SHADES[2])],
            showscale=False,
            xgap=1,
            ygap=1,
            customdata=np.array(hover, dtype=object),
            hoverongaps=False,
            hovertemplate="%{customdata}<extra></extra>",
        )
    )
    told = []
    for i, row in enumerate(rows):
        for j in range(len(columns)):
            right, n = int(counts[i, j, 0]), int(counts[i, j].sum())
            if n:
                text = _in_cell(right, n)
                font = {"size": 9 if right == n else 8, "color": _TEXT[int(level[i, j])]}
                told.append({"x": j, "y": safe(row), "text": text, "font": font})
    # All at once: each one added by itself would copy those that are there.
    figure.update_layout(annotations=told, overwrite=True)
    figure.update_xaxes(
        side="top",
        tickvals=list(range(len(columns))),
        ticktext=[safe(name) for name in columns],
        tickangle=-90,
        showgrid=False,
        tickfont={"size": 10},
        range=[-0.5, len(columns) - 0.5],
    )
    figure.update_yaxes(autorange="reversed", showgrid=False, dtick=1, tickfont={"size": 10})
    if usual:
        figure.add_vline(x=len(own) - 0.5, line={"color": INK, "width": 1.5})
    return finish(figure, _title(table), height=total, above=_LETTER * max(map(len, columns)) + _LETTER)


def _cells(table: pd.DataFrame, columns: list[str], rows: list[str]) -> tuple[np.ndarray, list[list[str]]]:
    """Right, wrong and undecided answers by row and column, and what a cell shows when it is pointed at."""
    counts, hover = np.zeros((len(rows), len(columns), 3)), [[""] * len(columns) for _ in rows]
    by_cell: dict[tuple[str, str], list[dict[Hashable, Any]]] = {}
    for answer in table.to_dict("records"):
        by_cell.setdefault((str(answer["instrument"]), str(answer["organism"])), []).append(answer)
    for (instrument, organism), cells in by_cell.items():
        i, j = rows.index(organism), columns.index(instrument)
        words = [str(answer["outcome"]) for answer in cells]
        counts[i, j] = [words.count(word) for word in ("right", "wrong", "undecided")]
        worst_first = sorted(cells, key=lambda answer: answer["outcome"] == "right")
        said = [_said(answer) for answer in worst_first[:_LISTED]]
        more = [f"and {len(cells) - _LISTED} more"] * (len(cells) > _LISTED)
        hover[i][j] = "<br>".join([f"{safe(instrument)}, {safe(organism)}", *said, *more])
    return counts, hover


def _said(row: Mapping[Hashable, Any]) -> str:
    """One answer, beside what was planted."""
    about = f", {safe(row['about'])}" if row.get("about") else ""
    return (
        f"base seed {row['base_seed']}, seed {row['seed']} ({row['part']}){about}: {safe(row['given'])}; "
        f"planted {safe(row['expected'])}"
    )


def _title(table: pd.DataFrame) -> str:
    own = table[table["beside"] == ""]
    right = int((own["outcome"] == "right").sum())
    usual = "" if len(own) == len(table) else ". Behind the line: the usual readings"
    return (
        f"Answers where the truth was planted: ours are right in {right} of {len(own)}. 3: three answers, all right; "
        f"2/3: two of three; .61: of ten or more. Grey: none wrong, some undecided. Dark: some wrong{usual}"
    )


def _in_cell(right: int, n: int) -> str:
    """What fits: two numbers of two digits, and a percent sign, are wider than a cell."""
    if right == n:
        return str(n)
    if n < _MANY:
        return f"{right}/{n}"
    return f"{right / n:.2f}"[1:] if right else "0"
