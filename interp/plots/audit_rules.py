"""What graders make of the same texts: the recovered share under every rule, beside what the authors' judge counted."""

import functools
from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from interp.measurement import Measurement
from interp.plots.standing import outcomes, share, standing
from interp.plots.theme import BASE, CONTROL, HYBRID, TUNED, finish, interval, panels

_ROW = 34  # pixels


@functools.lru_cache(maxsize=4)
def rule_table(audit: Measurement, arm: str = "hybrid") -> pd.DataFrame:
    """One row per rule: `standing`'s columns of the arm and `unread`, the share of base's answers it reads nothing of.

    A last row, "authors' judge", where `made_with` holds a judge's totals: a share without an interval, since totals
    do not say which problems they are of. A figure and its caption ask for the same, so the last few are kept.
    """
    rows = []
    for rule, graded in audit.table.groupby("rule", sort=False):
        row = standing(outcomes(graded, "arm"), "base", "tuned", arms=[arm]).iloc[0].drop("arm")
        base = graded[graded.arm == "base"]
        rows.append({"rule": rule, **row.to_dict(), "unread": 1 - float(base.parsed.mean())})
    table = pd.DataFrame(rows)
    totals = audit.made_with.get("judge_totals") or {}
    if {"base", "tuned", arm} <= set(totals):
        recovered = (totals[arm] - totals["base"]) / (totals["tuned"] - totals["base"])
        judge = {"rule": "authors' judge", "recovered": recovered, "refused": False}
        table = pd.concat([table, pd.DataFrame([judge])], ignore_index=True)
    return table


def audit_rules(audits: Mapping[str, Measurement], arm: str = "hybrid") -> go.Figure:
    """One panel per set of rollouts: what its hybrid recovers of the gap by each grading rule, 95% paired intervals.

    A rule that leaves no gap has no share and says so; an open mark is the total of the authors' judge.
    """
    tables = {name: rule_table(audit, arm) for name, audit in audits.items()}
    titles = [f"{name} (n = {int(table.n.iloc[0])})" for name, table in tables.items()]
    figure, total = panels(titles, [_ROW * len(table) for table in tables.values()], shared_x=True, width=44)
    for row, table in enumerate(tables.values(), start=1):
        told = table[~table.refused.astype(bool)]
        for here, party, said in (
            (told[told.recovered_low.notna()], HYBRID, "by a rule, 95% interval"),
            (told[told.recovered_low.isna()], CONTROL, "authors' judge, totals only"),
        ):
            figure.add_trace(
                go.Scatter(
                    x=here.recovered,
                    y=here.index,
                    name=said,
                    showlegend=row == 1,
                    mode="markers",
                    marker={"symbol": party.symbol, "color": party.colour, "size": 9},
                    error_x=interval(here.recovered, here.recovered_low, here.recovered_high, party)
                    if party is HYBRID
                    else None,
                    hovertemplate="%{x:.0%} of the gap<extra></extra>",
                ),
                row=row,
                col=1,
            )
        for place in table.index[table.refused.astype(bool)]:
            text = "no gap, no share"
            figure.add_annotation(text=text, x=0.03, y=place, xanchor="left", yshift=9, row=row, col=1)
        labels = [
            rule if pd.isna(part) else f"{rule}<br>{share(part)} of base unread"
            for rule, part in zip(table.rule, table.unread, strict=True)
        ]
        figure.update_yaxes(tickvals=list(table.index), ticktext=labels, range=[len(table) - 0.5, -0.5], row=row, col=1)
        for at, party in ((0, BASE), (1, TUNED)):
            line = {"color": party.colour, "dash": party.dash, "width": 1.5}
            figure.add_vline(at, line=line, layer="below", row=row, col=1)
    figure.update_xaxes(tickformat=".0%", row=len(tables), col=1)
    figure.update_xaxes(title="gap recovered by the hybrid", row=len(tables), col=1)
    return finish(figure, "The same texts graded by several rules: 0% is base, 100% is tuned", height=total, above=20)
