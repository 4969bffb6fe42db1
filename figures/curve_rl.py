"""Gap recovered against tokens routed, one decision per answer."""

from interp.claims.routing_recovers import routing_recovers_gain
from interp.plots.routing_curve import routing_curve


def draw(data):
    """The figure."""
    return routing_curve(data["rl/answers"])


def headline(data):
    """What the caption quotes."""
    verdict = routing_recovers_gain(data["rl/answers"])
    return {"estimate": verdict.estimate, "low": verdict.low, "high": verdict.high, "says": verdict.says}
