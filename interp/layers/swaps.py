"""Which blocks carry what tuning changed? Exchange them between the two models and ask again."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from interp.layers.axes import outcomes
from interp.layers.depth import thirds
from interp.layers.stages import Hybrid, complement, hybrid
from interp.layers.written import Store
from interp.measurement import Measurement
from interp.pair import Pair
from interp.tasks.task import Task

INTO_BASE, INTO_TUNED = "tuned into base", "base into tuned"


def block_swaps(pair: Pair, task: Task, *, batch_size: int = 256, store: Store | None = None) -> Measurement:
    """What each model does with part of the other's weights in place of its own, on four axes.

    Parts: each third of the blocks (`depth.thirds`), their upper half, the embedding, final norm and unembedding, all
    blocks, nothing; each in both directions. `direction` "tuned into base" is base with tuned's weights in that part;
    with "nothing" it is base itself, and "base into tuned" is tuned itself. `axis` and `correct` are those of
    `axes.outcomes`, one row per problem. Effects of parts do not add up: read what a part restores beside what its
    loss costs.

    Raises ValueError for a model of fewer than 3 blocks, or a prompt that leaves no room for its answer.
    """
    n_layers = pair.n_layers
    parts = {
        **{name: hybrid(n_layers, blocks) for name, blocks in thirds(n_layers).items()},
        "upper half": hybrid(n_layers, range(n_layers // 2, n_layers)),
        "embedding": hybrid(n_layers, embedding=True),
        "final norm and unembedding": hybrid(n_layers, head=True),
        "all blocks": hybrid(n_layers, range(n_layers)),
        "nothing": hybrid(n_layers),
    }
    table = both_ways(pair, task, parts, "swapped", batch_size, store)
    made_with = pair.made_with(task=task.name, problems=task.digest, decoding="greedy")
    return Measurement("swaps", "whether the answer is right by the strict rule", table, made_with)


def depth_sweep(pair: Pair, task: Task, *, batch_size: int = 256, store: Store | None = None) -> Measurement:
    """The same four axes at every depth: switched from one model to the other at a boundary, and one block alone.

    `kind` "from here up": everything from block `layer` up, the head included, is the other model's; `layer` runs from
    0 (all but the embedding) to the number of blocks (the head alone). This is the residual stream of one model
    continued by the other. "this block": block `layer` alone is the other model's. Directions and other columns as in
    `block_swaps`. Where the two kinds disagree blocks act together: each alone may do nothing, or each be enough.
    """
    n_layers = pair.n_layers
    parts = {
        ("from here up", layer): hybrid(n_layers, range(layer, n_layers), head=True) for layer in range(n_layers + 1)
    } | {("this block", layer): hybrid(n_layers, [layer]) for layer in range(n_layers)}
    table = both_ways(pair, task, parts | {("nothing", -1): hybrid(n_layers)}, "part", batch_size, store)
    table.insert(0, "layer", [layer for _, layer in table["part"]])
    table.insert(0, "sweep", [kind for kind, _ in table.pop("part")])
    made_with = pair.made_with(task=task.name, problems=task.digest, decoding="greedy")
    return Measurement("depth_sweep", "whether the answer is right by the strict rule", table, made_with)


def both_ways(
    pair: Pair, task: Task, parts: Mapping[Any, Hybrid], name: str, batch_size: int, store: Store | None
) -> pd.DataFrame:
    """Outcomes of every part put into base, and of base's own put into tuned."""
    arms = {(part, INTO_BASE): word for part, word in parts.items()}
    arms |= {(part, INTO_TUNED): complement(word) for part, word in parts.items()}
    found = outcomes(pair, task, arms.values(), batch_size=batch_size, store=store)
    return pd.concat(_named(found[word], name, part, way) for (part, way), word in arms.items()).reset_index(drop=True)


def _named(table: pd.DataFrame, name: str, part: object, way: str) -> pd.DataFrame:
    return pd.DataFrame({name: [part] * len(table), "direction": way}, index=table.index).join(table)
