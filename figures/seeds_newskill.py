"""The main arms over three base seeds: newskill."""

from interp.plots.arms_by_seed import arms_by_seed, seed_table

PAIRS = {"seed 0": "newskill/answers", "seed 1": "newskill@1/answers", "seed 2": "newskill@2/answers"}


def draw(data):
    """The figure."""
    return arms_by_seed({name: data[table] for name, table in PAIRS.items()})


def headline(data):
    """What the caption quotes: the share that decision tokens recover, per seed."""
    table = seed_table({name: data[of] for name, of in PAIRS.items()})
    table = table[table.arm == "decision tokens"]
    return dict(zip(table.pair, table.recovered, strict=True))
