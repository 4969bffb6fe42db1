"""How far every tensor moved."""

from interp.claims.locus import weight_shares
from interp.plots.weight_map import weight_map


def draw(data):
    """The figure."""
    return weight_map(data["rl/weights"])


def headline(data):
    """What the caption quotes."""
    return weight_shares(data["rl/weights"])
