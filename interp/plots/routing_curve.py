"""How much of the gap comes back as more tokens are routed, beside what routing as many at random brings back."""

import math
import re
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from interp.budgets import BUDGET, ENOUGH, Curve, curve_of
from interp.measurement import Measurement
from interp.plots.arms import BY_CONSTRUCTION, arm_table, heading, worded
from interp.plots.theme import CONTROL, HYBRID, Role, finish, interval, safe

_SYMBOLS = ("star", "square", "triangle-up", "pentagon", "cross", "hexagon", "triangle-down")
DECISION = "decision tokens"
_DASHES = ("solid", "dash", "dashdot", "longdash")
_SAMPLE = 60
"""Pixels of line in the legend, so that a dash shows on either side of the symbol."""


def family(arm: str) -> str:
    """What the arms of one curve have in common: "KL over 0.5" and "KL over 1" are both "KL over ..."."""
    if arm.startswith("random"):
        return "random positions"
    return re.sub(r"\d+(\.\d+)?%?", "…", arm, count=1)


def routing_curve(answers: Measurement) -> go.Figure:
    """Gap recovered against the share of tokens routed, one curve per kind of router, random positions in grey.

    A router knows something only where it stands above the grey curve, about which lies its 95% band. Where the gap is
    refused the height is what was solved instead. The axis is logarithmic: an arm that routed nothing is base itself
    and is not drawn. Where decision tokens were thinned, the title says the area between their curve and the random one
    up to half of the tokens, and at which share of tokens theirs reaches 90%.
    """
    table = arm_table(answers)
    refused = bool(table.refused.iloc[0])
    value, low, high = ("accuracy", "low", "high") if refused else ("recovered", "recovered_low", "recovered_high")
    # under steering and in the arms of base alone tuned writes nothing, in a sum of logits it has a say in every token
    bought = ~table.arm.str.contains("steer", regex=False) & ~table.arm.str.startswith("base + ")
    bought &= ~table.arm.str.startswith(("base,", "base asked", "base after", "base into tuned"))
    routed = table[(table.routed > 0) & bought & ~table.arm.isin(["base", "tuned"])].assign(
        family=table.arm.map(family)
    )
    figure = go.Figure()
    chance = routed[routed.family == "random positions"].sort_values("routed")
    if len(chance) > 1:
        figure.add_trace(_band(chance, low, high))
    names = [name for name in dict.fromkeys(routed.family) if name not in ("random positions", BY_CONSTRUCTION)]
    for name in ["random positions", BY_CONSTRUCTION, *names]:
        here = routed[routed.family == name].sort_values("routed")
        if len(here):
            figure.add_trace(_curve(here, name, _drawn(name, names), value, low, high))
    figure.update_xaxes(title="tokens routed to tuned (log scale)", type="log", tickformat=".0%")
    figure.update_xaxes(tickvals=[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1])
    figure.update_yaxes(title="solved" if refused else "gap recovered", tickformat=".0%")
    figure.update_layout(legend_itemwidth=_SAMPLE)
    said = "" if refused else _in_words(answers, list(routed.arm))
    return finish(figure, f"{heading(table)}{said}", height=330)


def _in_words(answers: Measurement, arms: Sequence[str]) -> str:
    """What the curve of thinned decision tokens comes to, where it was measured beside random positions."""
    ours = [arm for arm in arms if re.fullmatch(rf"{DECISION}(, \d+% kept)?", arm)]
    chance = [arm for arm in arms if re.fullmatch(r"random \d+%", arm)]
    if len(ours) < 2 or not chance:
        return ""
    curve = curve_of(answers, ours, chance)
    return "" if curve is None else f" {_priced(curve)}"


def _priced(curve: Curve) -> str:
    over, price = curve.over_random, curve.price
    size = f"{over.estimate:.2f} ({over.low:.2f} to {over.high:.2f})"
    area = f"Decision tokens, thinned: area over random up to {BUDGET:.0%} of tokens {size}"
    if math.isinf(price.estimate):
        return f"{area}; they never reach {ENOUGH:.0%} of the gap."
    end = "no end" if math.isinf(price.high) else f"{price.high:.1%}"
    return f"{area}; {ENOUGH:.0%} of the gap costs {price.estimate:.1%} of tokens ({price.low:.1%} to {end})."


def _band(chance: pd.DataFrame, low: str, high: str) -> go.Scatter:
    """The 95% intervals of the random arms, joined."""
    return go.Scatter(
        x=[*chance.routed, *chance.routed[::-1]],
        y=[*chance[high], *chance[low][::-1]],
        name="random positions, 95% band",
        mode="lines",
        fill="toself",
        line={"color": CONTROL.colour, "width": 0},
        opacity=0.25,
        showlegend=False,
        hoverinfo="skip",
    )


def _drawn(name: str, names: list[str]) -> Role:
    """Controls in grey; every hybrid in the hybrids' colour, told apart by symbol and dash."""
    if name not in names or name == BY_CONSTRUCTION:
        return CONTROL._replace(symbol="x" if name == BY_CONSTRUCTION else CONTROL.symbol)
    place = names.index(name)
    return Role(HYBRID.colour, _DASHES[place % len(_DASHES)], _SYMBOLS[place % len(_SYMBOLS)])


def _curve(here: pd.DataFrame, name: str, party: Role, value: str, low: str, high: str) -> go.Scatter:
    """One kind of router; a single arm is a point with its own name."""
    label = worded(here.arm.iloc[0]) if len(here) == 1 else name
    if name == BY_CONSTRUCTION:
        label += " (tuned by construction)"
    return go.Scatter(
        x=here.routed,
        y=here[value],
        name=safe(label),
        mode="markers" if len(here) == 1 else "lines+markers",
        line={"color": party.colour, "dash": party.dash, "width": 1.5},
        marker={"symbol": party.symbol, "color": party.colour, "size": 9},
        error_y=interval(here[value], here[low], here[high], party),
        text=[safe(worded(arm)) for arm in here.arm],
        hovertemplate="%{text}: %{y:.1%} with %{x:.1%} of tokens routed<extra></extra>",
    )
