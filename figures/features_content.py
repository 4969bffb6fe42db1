"""How well a strategy can be told in base and in tuned, at its content."""

from interp.plots.features import features


def draw(data):
    """The figure."""
    return features(data["rl/features"], at="content")


def headline(data):
    """What the caption quotes: the held-out AUROC in base of the best SAE feature and of the best random direction."""
    table = data["rl/features"].table
    rows = table[(table["at"] == "content") & (table["model"] == "base") & (table["text"] == "base")]
    chosen = rows[rows["source"].isin(["sae", "random direction"])]
    return {f"{row.strategy}, {row.source}": row.auroc for row in chosen.itertuples()}
