"""What each way of routing recovers where tuning taught when."""

from interp.claims.routing_recovers import routing_recovers_gain
from interp.plots.arms import arms


def draw(data):
    """The figure."""
    return arms(data["rl/answers"])


def headline(data):
    """What the caption quotes."""
    verdict = routing_recovers_gain(data["rl/answers"])
    return {"estimate": verdict.estimate, "low": verdict.low, "high": verdict.high, "says": verdict.says}
