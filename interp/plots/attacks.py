"""Can a feature be fooled? How far its favourite tokens alone raise it, beside random tokens and the real thing."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interp.measurement import Measurement
from interp.plots.theme import BASE, CONTROL, HYBRID, Role, finish, interval, panels

DRIVEN = 0.8
"""Beyond random tokens by this much a feature is called a token detector (2601.05679)."""
_ROW = 26  # pixels
_FAR = 4.0  # effect sizes are drawn up to here: the strategy itself may lie far beyond
_NAMES = {"replace": "tokens replaced", "insert": "tokens inserted", "prepend": "tokens in front"}
_NAMES |= {"strategy": "the strategy itself", "same position": "at one position"}


def attacks(measurement: Measurement) -> go.Figure:
    """Per feature, Cohen's d of each attack with its interval; the open circle is what random tokens do.

    Left of the dotted line beyond its circle, a feature reads more than its favourite words. Features that were not
    attacked, since they tell nothing or are lower on their strategy, are named in the title.
    """
    table = measurement.table
    table = table.assign(key=table["strategy"] + " " + table["at"])
    put_in = set(table[table["attack"].isin(("replace", "insert", "prepend"))]["key"])
    drawn = table[table["attack"].isin(_NAMES) & table["key"].isin(put_in)]
    keys = list(dict.fromkeys(drawn["key"]))
    spared = list(dict.fromkeys(f"{r.strategy} ({r.at})" for r in table.itertuples() if r.says == "not attacked"))
    told = (
        f" Telling too little, or lower on their strategy, and so not attacked: {', '.join(spared)}." if spared else ""
    )
    if not keys:
        return finish(go.Figure(), f"No feature was attacked.{told}", height=0)
    names = [name for name in _NAMES if name in set(drawn["attack"])]
    titles = [_heading(drawn[drawn["key"] == key]) for key in keys]
    figure, total = panels(titles, [_ROW * len(names)] * len(keys), shared_x=True, width=46)
    for row, key in enumerate(keys, start=1):
        here = drawn[drawn["key"] == key]
        put_in = here[~here["attack"].isin(("strategy", "same position"))]
        real = here[here["attack"].isin(("strategy", "same position"))]
        where = [names.index(attack) for attack in put_in["attack"]]
        figure.add_trace(
            go.Scatter(
                x=put_in["control"],
                y=where,
                name="random tokens",
                mode="markers",
                showlegend=row == 1,
                marker={"symbol": CONTROL.symbol, "color": CONTROL.colour, "size": 9},
                hovertemplate="random tokens: %{x:.2f}<extra></extra>",
            ),
            row=row,
            col=1,
        )
        for part, role, name in ((put_in, BASE, "its favourite tokens"), (real, HYBRID, "the strategy's own texts")):
            rows = [names.index(attack) for attack in part["attack"]]
            figure.add_trace(_marks(part, rows, role, name, named=row == 1), row=row, col=1)
        line = {"color": "rgba(128, 128, 128, 0.8)", "dash": "dot", "width": 1.5}
        figure.add_vline(DRIVEN, line=line, layer="below", row=row, col=1)
    labels = [_NAMES[name] for name in names]
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=labels, range=[len(names) - 0.4, -0.6])
    low = min(-0.5, float(np.nanmin(drawn[["low", "control"]].to_numpy(dtype=float))))
    figure.update_xaxes(range=[max(-_FAR, low) - 0.1, _FAR + 0.1])
    figure.update_xaxes(title="Cohen's d, 4 and more at the edge", row=len(keys), col=1)
    says = f"Putting a feature's favourite tokens where its strategy is not; 95% intervals over problems.{told}"
    return finish(figure, says, height=total, above=20)


def _heading(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    put_in = f" ({first.tokens})" if first.tokens else ""
    return f"{first.strategy}, {first['at']}: {first.says}{put_in}"


def _marks(part: pd.DataFrame, rows: list[int], role: Role, name: str, *, named: bool) -> go.Scatter:
    table = part.assign(**{column: part[column].clip(-_FAR, _FAR) for column in ("d", "low", "high")})
    return go.Scatter(
        x=table["d"],
        y=rows,
        name=name,
        mode="markers",
        showlegend=named,
        marker={"symbol": role.symbol, "color": role.colour, "size": 8},
        error_x=interval(table["d"], table["low"], table["high"], role),
        customdata=part[["d", "low", "high"]],
        hovertemplate="d %{customdata[0]:.2f} (%{customdata[1]:.2f} to %{customdata[2]:.2f})<extra></extra>",
    )
