"""Which blocks carry what tuning changed? Exchange them between the two models and ask again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pandas as pd
from torch import nn
from tqdm.auto import tqdm

from interp.decoding import decode, greedy
from interp.layers.depth import thirds
from interp.measurement import Measurement
from interp.pair import Pair
from interp.tasks.task import Task

_HEAD = ("ln_final", "unembed")


@contextmanager
def swapped(pair: Pair, blocks: Sequence[int] = (), *, embedding: bool = False, head: bool = False) -> Iterator[None]:
    """Inside the block `pair.base` computes with tuned's weights in the named parts, and `pair.tuned` with base's.

    `embedding` is everything before the blocks (token and learned position embeddings), `head` the final norm and
    the unembedding. Nothing is copied, and both models are as before when the block ends, however it ends. Where
    embedding and unembedding are tied, each use of the shared matrix is exchanged on its own: with `embedding=True`
    alone base reads with tuned's matrix and still writes with its own.

    The modules stay and exchange their parameters. Exchanging the modules themselves would leave the bridge's hooks,
    which it finds once when it is built, attached to the blocks that left for the other model.
    """
    parts = [(pair.base.blocks[layer], pair.tuned.blocks[layer]) for layer in _valid(blocks, pair.n_layers)]
    tuned_parts = dict(pair.tuned.named_children())
    for name, part in pair.base.named_children():
        if name != "blocks" and (head if name in _HEAD else embedding):
            parts.append((part, tuned_parts[name]))
    modules = [twins for ours, theirs in parts for twins in zip(ours.modules(), theirs.modules(), strict=True)]
    if len({id(ours) for ours, _ in modules}) < len(modules):
        raise ValueError("two of the parts to swap share a module, so neither can be swapped without the other")
    _exchange(modules)
    try:
        yield
    finally:
        _exchange(modules)


def _valid(blocks: Sequence[int], n_layers: int) -> Sequence[int]:
    if len(set(blocks)) < len(blocks) or not set(blocks) <= set(range(n_layers)):
        raise ValueError(f"blocks to swap are {list(blocks)}; give different numbers from 0 to {n_layers - 1}")
    return blocks


def _exchange(modules: Sequence[tuple[nn.Module, nn.Module]]) -> None:
    for ours, theirs in modules:
        ours._parameters, theirs._parameters = theirs._parameters, ours._parameters
        ours._buffers, theirs._buffers = theirs._buffers, ours._buffers


def block_swaps(pair: Pair, task: Task, *, batch_size: int = 256) -> Measurement:
    """Which answers and facts each model gets right with part of the other's weights in place of its own.

    Parts: each third of the blocks (`depth.thirds`), the embedding, final norm and unembedding, all blocks, nothing;
    each in both directions. `direction` "tuned into base" is base with tuned's weights in that part; with "nothing"
    it is base itself, and "base into tuned" is tuned itself. `axis` is "answers" (the task's problems) or "facts"
    (left out where the task has none); everything is decoded greedily and graded by the strict rule, one row per
    problem in `correct`. Effects of parts do not add up: read what a part restores beside what its loss costs.

    Raises ValueError for a model of fewer than 3 blocks, or a prompt that leaves no room for its answer.
    """
    every = range(pair.n_layers)
    parts: dict[str, tuple[Sequence[int], bool, bool]] = {
        **{name: (blocks, False, False) for name, blocks in thirds(pair.n_layers).items()},
        "embedding": ((), True, False),
        "final norm and unembedding": ((), False, True),
        "all blocks": (every, False, False),
        "nothing": ((), False, False),
    }
    asked = [("answers", problem) for problem in task.problems] + [("facts", problem) for problem in task.facts]
    prompts = [pair.encode(problem.prompt) for _, problem in asked]
    rows = []
    for part, (blocks, embedding, head) in tqdm(parts.items(), desc="swaps", unit="part", disable=None):
        for model, direction in (("base", "tuned into base"), ("tuned", "base into tuned")):
            with swapped(pair, blocks, embedding=embedding, head=head):
                written = decode(
                    pair.models,
                    prompts,
                    greedy(model),
                    max_new_tokens=task.max_new_tokens,
                    stop=pair.stop_ids,
                    pad=pair.pad_id,
                    batch_size=batch_size,
                    context=pair.context,
                )
            for (axis, problem), completion in zip(asked, written, strict=True):
                correct = task.grade(problem, pair.text(completion.tokens)).strict
                rows.append((part, direction, axis, problem.id, problem.kind, correct))
    table = pd.DataFrame(rows, columns=["swapped", "direction", "axis", "problem", "kind", "correct"])
    made_with = pair.made_with(task=task.name, problems=task.digest, decoding="greedy")
    return Measurement("swaps", "whether the answer is right by the strict rule", table, made_with)
