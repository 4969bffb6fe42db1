"""The fair share of each group of weights in what tuning changed, as rows of text."""

import pandas as pd

from interp.intervals import paired_bootstrap
from interp.measurement import Measurement
from interp.plots.standing import span
from interp.plots.tables import TextTable


def shapley_table(shapley: Measurement) -> pd.DataFrame:
    """One row per axis and group: mean Shapley value over problems with its 95% interval, `alone`, `last`, n."""
    rows = []
    for (axis, group), here in shapley.table.groupby(["axis", "group"], sort=False):
        values = here.value.to_numpy()
        found = paired_bootstrap(lambda mean: mean, values, n_resamples=2_000) if len(values) > 1 else None
        ends = (found.low, found.high) if found else (float(values[0]), float(values[0]))
        row = {"axis": axis, "group": group, "value": values.mean(), "low": ends[0], "high": ends[1]}
        rows.append(row | {"alone": here.alone.mean(), "last": here["last"].mean(), "n": len(values)})
    return pd.DataFrame(rows)


def shapley_text(shapley: Measurement) -> TextTable:
    """Per group, what it changes on average over all orders of putting tuned's groups into base."""
    head = ["axis", "group", "Shapley value", "put in first", "put in last", "n"]
    rows = [
        [row.axis, row.group, span(row.value, row.low, row.high), f"{row.alone:.0%}", f"{row.last:.0%}", str(row.n)]
        for row in shapley_table(shapley).itertuples()
    ]
    return TextTable("Shares of tuned - base by group, exact over all 16 subsets; 95% intervals", head, rows)
