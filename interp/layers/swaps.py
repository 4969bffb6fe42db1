"""Which blocks carry what tuning changed? Exchange them between the two models and ask again."""

from collections.abc import Mapping, Sequence
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

    Parts: each third of the blocks (`depth.thirds`), their upper half, the embedding, final norm and unembedding
    together and each alone, all blocks, nothing; each in both directions. `direction` "tuned into base" is base with
    tuned's weights in that part; with "nothing" it is base itself, and "base into tuned" is tuned itself. `axis` and
    `correct` are those of `axes.outcomes`, one row per problem. Effects of parts do not add up: read what a part
    restores beside what its loss costs.

    Raises ValueError for a model of fewer than 3 blocks, or a prompt that leaves no room for its answer.
    """
    n_layers = pair.n_layers
    parts = {
        **{name: hybrid(n_layers, blocks) for name, blocks in thirds(n_layers).items()},
        "upper half": hybrid(n_layers, range(n_layers // 2, n_layers)),
        "embedding": hybrid(n_layers, embedding=True),
        "final norm and unembedding": hybrid(n_layers, final_norm=True, unembedding=True),
        "final norm": hybrid(n_layers, final_norm=True),
        "unembedding": hybrid(n_layers, unembedding=True),
        "all blocks": hybrid(n_layers, range(n_layers)),
        "nothing": hybrid(n_layers),
    }
    return _measured("swaps", pair, task, both_ways(pair, task, parts, "swapped", batch_size, store))


def depth_sweep(
    pair: Pair, task: Task, *, at: Sequence[int] | None = None, batch_size: int = 256, store: Store | None = None
) -> Measurement:
    """The same four axes at every depth: switched from one model to the other at a boundary, and one block alone.

    `sweep` "from here up": everything from block `layer` up, final norm and unembedding included, is the other
    model's; `layer` runs from 0 (all but the embedding) to the number of blocks (no block). This is the residual stream
    of one model continued by the other. "up to here": embedding and all blocks below `layer` are the other model's,
    the same arms seen from the other direction. "this block": block `layer` alone is. Directions and other columns as
    in `block_swaps`. Where the sweeps disagree blocks act together: each alone may do nothing, or each be enough.

    `at` names the layers where it is done, by default all; then only some depths of a deep model are looked at, and
    `made_with` says so.
    """
    n_layers = pair.n_layers
    layers = range(n_layers + 1) if at is None else sorted(set(at))
    parts = {("from here up", layer): _above(n_layers, layer) for layer in layers}
    parts |= {("up to here", layer): complement(_above(n_layers, layer)) for layer in layers}
    parts |= {("this block", layer): hybrid(n_layers, [layer]) for layer in layers if layer < n_layers}
    table = both_ways(pair, task, parts | {("nothing", -1): hybrid(n_layers)}, "part", batch_size, store)
    table.insert(0, "layer", [layer for _, layer in table["part"]])
    table.insert(0, "sweep", [kind for kind, _ in table.pop("part")])
    facts = {} if at is None else {"layers": list(layers), "of_layers": n_layers}
    return _measured("depth_sweep", pair, task, table, **facts)


def bands(pair: Pair, task: Task, *, batch_size: int = 256, store: Store | None = None) -> Measurement:
    """The same four axes for every run of neighbouring blocks: which is the smallest that carries the change?

    Blocks `first` to `last`, both included, are the other model's; all L (L + 1) / 2 of them and, as -1 to -1, none.
    Directions and other columns as in `block_swaps`. In "tuned into base" a small band that restores tuned is enough;
    in "base into tuned" a small one that loses it is needed.
    """
    n_layers = pair.n_layers
    parts = {
        (first, last): hybrid(n_layers, range(first, last + 1))
        for first in range(n_layers)
        for last in range(first, n_layers)
    }
    table = both_ways(pair, task, parts | {(-1, -1): hybrid(n_layers)}, "band", batch_size, store)
    table.insert(0, "last", [last for _, last in table["band"]])
    table.insert(0, "first", [first for first, _ in table.pop("band")])
    return _measured("bands", pair, task, table)


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


def _above(n_layers: int, layer: int) -> Hybrid:
    """Tuned's from block `layer` up."""
    return hybrid(n_layers, range(layer, n_layers), final_norm=True, unembedding=True)


def _measured(name: str, pair: Pair, task: Task, table: pd.DataFrame, **facts: Any) -> Measurement:
    made_with = pair.made_with(task=task.name, problems=task.digest, decoding="greedy", **facts)
    return Measurement(name, "whether the answer is right by the strict rule", table, made_with)
