"""The main arms of the routing experiment side by side over base seeds: does what one pair says hold on others?"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd
import plotly.graph_objects as go

from interp.measurement import Measurement
from interp.plots.arms import BY_CONSTRUCTION, arm_table
from interp.plots.standing import share
from interp.plots.theme import BASE, CONTROL, HYBRID, TUNED, finish, interval, wrap

MAIN = (
    *("decision tokens", "random, matched per problem", "content tokens", "base about to decide", BY_CONSTRUCTION),
    *("steering", "random strategies steered", "random steering directions"),
)
_ROW = 40
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x")


def seed_table(answers: Mapping[str, Measurement], arms: Sequence[str] = MAIN) -> pd.DataFrame:
    """One row per pair and arm: `arm_table`'s columns and `pair`, the name it was given under."""
    tables = [_of_arms(one, tuple(arms)).assign(pair=name) for name, one in answers.items()]
    return pd.concat(tables, ignore_index=True)


@functools.lru_cache(maxsize=8)
def _of_arms(answers: Measurement, arms: tuple[str, ...]) -> pd.DataFrame:
    """One pair's rows. A figure and its caption ask for the same, so the last few are kept."""
    wanted = answers.table.arm.isin({"base", "tuned", *arms})
    table = arm_table(replace(answers, table=answers.table[wanted]))
    return table[table.arm.isin(arms)]


def arms_by_seed(answers: Mapping[str, Measurement], arms: Sequence[str] = MAIN) -> go.Figure:
    """Share of the gap recovered per arm, a symbol per pair, each with its 95% interval over problems.

    Pairs whose gap is refused have no share; naming one is a ValueError, with the reason.
    """
    if len(answers) > len(_SYMBOLS):
        raise ValueError(f"{len(answers)} pairs are more than the {len(_SYMBOLS)} symbols there are; draw fewer")
    table = seed_table(answers, arms)
    refused = table[table.refused]
    if len(refused):
        raise ValueError(f"{refused.iloc[0].pair} has no share of a gap: {refused.iloc[0].reason}; leave it out")
    names = [arm for arm in arms if arm in set(table.arm)]
    figure = go.Figure()
    for i, pair in enumerate(answers):
        here = table[table.pair == pair].set_index("arm").reindex(names).dropna(subset=["recovered"])
        shift = 0.18 * (i - (len(answers) - 1) / 2)
        party = CONTROL if i else HYBRID
        figure.add_trace(
            go.Scatter(
                x=here.recovered,
                y=[names.index(arm) + shift for arm in here.index],
                mode="markers",
                name=f"{pair}: gap {share(here.gap.iloc[0])} of {int(here.n.iloc[0]):,}",
                marker={"symbol": _SYMBOLS[i], "size": 7, "color": party.colour},
                error_x=interval(here.recovered, here.recovered_low, here.recovered_high, party),
                customdata=here[["routed", "accuracy"]],
                hovertemplate=f"{pair}: " + "%{x:.1%} at %{customdata[0]:.1%} of tokens<extra></extra>",
            )
        )
    labels = [wrap(name, 24) + ("<br>(tuned by construction)" if name == BY_CONSTRUCTION else "") for name in names]
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=labels, range=[len(names) - 0.5, -0.5])
    figure.update_xaxes(title="gap recovered", tickformat=".0%")
    for at, party in ((0, BASE), (1, TUNED)):
        line = {"color": party.colour, "dash": party.dash, "width": 1.5}
        figure.add_vline(at, line=line, layer="below", opacity=0.8)
    return finish(figure, "The same arms on several base seeds, 95% intervals", height=_ROW * len(names))
