"""Upstream or late? What each does to the choice at which base and tuned part, at every boundary."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interp.intervals import paired_bootstrap
from interp.measurement import Measurement
from interp.plots.theme import BASE, CONTROL, HYBRID, SHADE, TUNED, finish, panels

_PANEL = 230  # pixels
_FLIPS = 2_000
_EFFECTS = {
    "late_base": ("late stack under base's stream", BASE),
    "late_tuned": ("late stack under tuned's stream", TUNED),
    "interaction": ("interaction: needs both", HYBRID),
}


def divergence_table(divergence: Measurement) -> pd.DataFrame:
    """One row per boundary: each effect's mean with its 95% interval, the direct share, the label-swap limit, n.

    `direct` is mean late_base over mean total. Under the label swap (base and tuned exchanged for a random half of the
    problems) the interaction changes its sign there; `swap_limit` is the size that its mean stays under in 95% of
    such draws.
    """
    rows = []
    signs = np.random.default_rng(0).choice([-1, 1], (_FLIPS, divergence.table.problem.nunique()))
    for boundary, here in divergence.table.groupby("boundary"):
        row = {"boundary": boundary, "n": len(here), "total": here.total.mean()}
        for effect in _EFFECTS:
            values = here[effect].to_numpy()
            row[effect] = values.mean()
            row[f"{effect}_low"], row[f"{effect}_high"] = _ends(values)
        swapped = np.abs(signs @ here.interaction.to_numpy() / len(here))
        total = here.total.mean()
        rows.append(
            row | {"direct": row["late_base"] / total if total else np.nan, "swap_limit": np.quantile(swapped, 0.95)}
        )
    return pd.DataFrame(rows)


def interaction_by_boundary(divergence: Measurement) -> go.Figure:
    """What the late stack does to `logit(tuned's token) - logit(base's token)` under either stream, and the difference.

    The dotted line is the whole change. Grey is where the interaction's mean lies when base and tuned are exchanged
    at random: an interaction inside it is none.
    """
    table = divergence_table(divergence)
    n, first = int(table.n.iloc[0]), int((divergence.table.groupby("problem").position.first() == 0).sum())
    figure, total = panels([f"{n} problems parted, {first} of them at the first token"], [_PANEL])
    x = [*table.boundary, *table.boundary[::-1]]
    band = [*table.swap_limit, *(-table.swap_limit[::-1])]
    figure.add_trace(
        go.Scatter(
            x=x, y=band, fill="toself", fillcolor=SHADE, mode="lines", line={"width": 0}, name="labels exchanged",
            hoverinfo="skip",
        )
    )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=table.boundary,
            y=table.total,
            mode="lines",
            name="whole change",
            line={"color": CONTROL.colour, "dash": "dot", "width": 2},
        )
    )
    for effect, (name, role) in _EFFECTS.items():
        ends = {"array": table[f"{effect}_high"] - table[effect], "arrayminus": table[effect] - table[f"{effect}_low"]}
        figure.add_trace(
            go.Scatter(
                x=table.boundary,
                y=table[effect],
                mode="lines+markers",
                name=name,
                line={"color": role.colour, "dash": role.dash, "width": 2},
                marker={"symbol": role.symbol, "size": 7, "color": role.colour},
                error_y={"type": "data", "symmetric": False, "thickness": 1.5, "width": 3, **ends},
                customdata=table[["direct"]],
                hovertemplate=name
                + ", boundary %{x}: %{y:.2f}<br>direct share there %{customdata[0]:.0%}<extra></extra>",
            )
        )
    figure.update_yaxes(title="logits")
    figure.update_xaxes(title=f"boundary: the late stack begins at this layer (0 to {int(table.boundary.max())})")
    return finish(figure, "Where the models part: upstream state by late stack", height=total, above=20)


def _ends(values: np.ndarray) -> tuple[float, float]:
    if len(values) < 2:
        return float(values[0]), float(values[0])
    found = paired_bootstrap(lambda mean: mean, values, n_resamples=2_000)
    return found.low, found.high
