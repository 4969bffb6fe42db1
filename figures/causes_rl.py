"""What changing one token's activation does to a strategy, beside twins that move it as far."""

from interp.plots.causes import causes


def draw(data):
    """The figure."""
    return causes(data["rl/causes"])


def headline(data):
    """What the caption quotes: the direction added at the onset in base, and the furthest of its twins."""
    table = data["rl/causes"].table
    rows = table[(table["source"] == "difference of means") & (table["at"] == "onset") & (table["how"] == "add")]
    here = rows[rows["model"] == "base"]
    return {row.strategy: row.effect for row in here.itertuples()} | {
        f"{row.strategy}, furthest twin": row.controls_high for row in here.itertuples()
    }
