"""How well a strategy can be told in base and in tuned, at its onset."""

from interp.claims.features_precede import features_precede_tuning
from interp.plots.features import features


def draw(data):
    """The figure."""
    return features(data["rl/features"], at="onset")


def headline(data):
    """What the caption quotes."""
    verdict = features_precede_tuning(data["rl/features"], data["rl/sae_quality"])
    return {"estimate": verdict.estimate, "low": verdict.low, "high": verdict.high, "says": verdict.says}
