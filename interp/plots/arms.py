"""What each way of routing recovers, and how many tokens it takes to do so."""

import functools
import math
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interp.intervals import mcnemar
from interp.measurement import Measurement
from interp.plots.standing import outcomes, share, standing
from interp.plots.theme import BASE, CONTROL, HYBRID, TUNED, Role, finish, interval, safe, wrap
from interp.power import problems_for_width

BY_CONSTRUCTION = "every disagreement"
_ROW = 30  # pixels


@functools.lru_cache(maxsize=4)
def arm_table(answers: Measurement) -> pd.DataFrame:
    """One row per arm: accuracy and gap recovered with intervals, and the shares of tokens routed and changed.

    Three shares of all tokens written over all problems: `routed`, the gated ones, at which the router (or the rule for
    pushing base) fired; of these `attempted`, where both would have written the same, so that nothing came of it; and
    `changed`, where another token stands than base's. `tokens` is the mean length, `draws` how many answers per problem
    are averaged, `flexible` the accuracy by the flexible rule, `cut` the share of answers that ran into the length
    limit and `ended` that of answers that ended by themselves. `low` and `high` are the ends of the accuracy's
    interval, `recovered_low` and `recovered_high` those of the share of the gap. `mcnemar` is the p of the arm and
    base being right equally often, for arms drawn once; `needed` how many problems would bring the recovered share to
    5 points either way. One page needs the table four times, so the last few are kept.
    """
    table = answers.table
    solved = outcomes(table, "arm")
    by_arm = table.assign(cut=table.reason == "length").groupby("arm")
    sums = by_arm[["routed", "changed", "tokens"]].sum()
    means = by_arm[["flexible", "cut"]].mean()
    means["routed"], means["changed"] = sums.routed / sums.tokens, sums.changed / sums.tokens
    means["attempted"], means["ended"] = means["routed"] - means["changed"], 1 - means["cut"]
    means["draws"], means["tokens"] = by_arm.size() // len(solved), by_arm.tokens.mean()
    means["mcnemar"] = [_against_base(solved, str(arm)) for arm in means.index]
    stands = standing(solved, "base", "tuned")
    refused = bool(stands.refused.iloc[0])
    means["needed"] = [math.nan if refused else _needed(solved, str(arm)) for arm in means.index]
    return stands.merge(means, left_on="arm", right_index=True)


def _against_base(solved: pd.DataFrame, arm: str) -> float:
    single = solved[arm].isin([0, 1]).all() and arm != "base"
    return mcnemar(solved[arm].to_numpy(), solved["base"].to_numpy()) if single else math.nan


def _needed(solved: pd.DataFrame, arm: str) -> float:
    if arm in ("base", "tuned"):
        return math.nan
    return float(problems_for_width(*(solved[name].to_numpy() for name in (arm, "base", "tuned"))))


def role(arm: str) -> Role:
    """Who writes: base, tuned, both, or a control that shows nothing by itself."""
    if arm == BY_CONSTRUCTION or arm.startswith("random") or arm.endswith("at random"):
        return CONTROL
    return {"base": BASE, "tuned": TUNED}.get(arm, HYBRID)


def arms(answers: Measurement) -> go.Figure:
    """Share of the gap recovered per arm with its interval, and beside it the share of tokens routed.

    Where the gap is refused it shows what each arm solved instead, and says why. Routing every disagreement is
    marked: it writes what tuned writes, whatever base knows.
    """
    table = arm_table(answers)
    refused = bool(table.refused.iloc[0])
    value, low, high = ("accuracy", "low", "high") if refused else ("recovered", "recovered_low", "recovered_high")
    figure = make_subplots(cols=2, shared_yaxes=True, column_widths=[0.84, 0.16], horizontal_spacing=0.02)
    names = [_label(row) for row in table.itertuples()]
    for place, row in enumerate(table.itertuples()):
        figure.add_trace(_point(row, place, value, low, high), row=1, col=1)
    routed = go.Scatter(
        x=[0] * len(table),
        y=list(range(len(table))),
        mode="text",
        text=[share(routed) for routed in table.routed],
        hoverinfo="skip",
    )
    figure.add_trace(routed, row=1, col=2)
    figure.update_yaxes(tickvals=list(range(len(table))), ticktext=names, range=[len(table) - 0.4, -0.6])
    figure.update_xaxes(tickformat=".0%", row=1, col=1)
    figure.update_xaxes(visible=False, range=[-1, 1], row=1, col=2)
    figure.update_yaxes(showgrid=False, row=1, col=2)
    figure.update_xaxes(title="solved" if refused else "gap recovered", nticks=5, row=1, col=1)
    figure.add_annotation(text="tokens<br>routed", x=0, xref="x2", y=1, yref="paper", yanchor="bottom")
    for at, party in () if refused else ((0, BASE), (1, TUNED)):
        line = {"color": party.colour, "dash": party.dash, "width": 1.5}
        figure.add_vline(at, line=line, layer="below", opacity=0.8, row=1, col=1)
    return finish(figure, heading(table), height=_ROW * len(table), above=30)


def heading(table: pd.DataFrame) -> str:
    """What is shown, over how many problems, and why it is not a share of the gap where it is none."""
    first = table.iloc[0]
    if first.refused:
        return f"No share of the gap: {first.reason}. Shown instead: solved of {first.n}, 95% Wilson intervals"
    but = f" Mind: {first.reason}." if first.reason else ""
    return f"Gap recovered: 0% is base, 100% is tuned. {first.n} problems, 95% paired bootstrap intervals.{but}"


def worded(arm: str) -> str:
    """The arm's name as it is read: "first token", which in the table is "first 1 tokens"."""
    return "first token" if arm == "first 1 tokens" else arm


def named(row: Any) -> str:
    """The arm's name; where it was drawn several times, with the number of draws that are averaged."""
    return f"{worded(row.arm)} ({row.draws} draws)" if row.draws > 1 else worded(row.arm)


def _label(row: Any) -> str:
    """The arm's name in the margin, with what a reader must not overlook."""
    if row.arm == BY_CONSTRUCTION:
        return f"{wrap(row.arm)}<br>(tuned by construction)"
    open_ended = math.isinf(row.recovered_low) or math.isinf(row.recovered_high)
    return wrap(named(row), 23) + ("<br>(interval has no end)" if open_ended else "")


def _point(row: Any, place: int, value: str, low: str, high: str) -> go.Scatter:
    """One arm."""
    party = role(row.arm)
    x = [getattr(row, value)]
    return go.Scatter(
        x=x,
        y=[place],
        name=safe(worded(row.arm)),
        showlegend=False,
        mode="markers",
        marker={"symbol": party.symbol, "color": party.colour, "size": 9},
        error_x=interval(x, [getattr(row, low)], [getattr(row, high)], party),
        customdata=[[row.accuracy, row.n, row.routed, row.changed, row.tokens]],
        hovertemplate="%{fullData.name}: %{x:.1%}<br>solved %{customdata[0]:.1%} of %{customdata[1]}<br>routed "
        "%{customdata[2]:.1%} of tokens, changed %{customdata[3]:.1%}<br>%{customdata[4]:.0f} tokens long"
        "<extra></extra>",
    )
