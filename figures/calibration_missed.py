"""How often a planted answer is missed, by problems and gap."""

from interp.plots.missed import missed


def draw(data):
    """The figure."""
    return missed(data["calibration/power"])


def headline(data):
    """What the caption quotes: missed of all resamples with 200 problems, per verdict and share reached."""
    table = data["calibration/power"].table
    cells = table[table.n == 200].groupby(["instrument", "reached"])[["right", "resamples"]].sum()
    return {f"{name}, {reached:g}": 1 - row.right / row.resamples for (name, reached), row in cells.iterrows()}
