"""Between base and tuned on a straight line: when along base + lambda x change does what they write turn over?"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm.auto import tqdm

from interp.decoding import Completion, greedy
from interp.layers.axes import asked, read
from interp.layers.batches import Batch, batches
from interp.layers.depth import thirds
from interp.layers.divergence import forks
from interp.layers.nulls import changed_tensors, gaussian_change
from interp.layers.stages import ends, logits, stream_after
from interp.layers.swapping import paired_modules
from interp.layers.written import Store, written
from interp.measurement import Measurement
from interp.pair import Pair
from interp.rollouts import complete
from interp.tasks.task import Task

LAMBDAS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
EVERYTHING, OUTSIDE, RANDOM = "everything", "outside the blocks", "random change of equal norm"
DRAWS = 3
"""Random directions; what one does is nearly what another does, so that few show it."""


@contextmanager
def along(pair: Pair, share: float, blocks: Sequence[int] = (), *, outside: bool = False) -> Iterator[None]:
    """Inside the block the named parts of `pair.base` are base + share x (tuned - base); then as before, to the bit.

    `outside` is embedding, final norm and unembedding. Needs the memory of one more copy of the parts. Norms and biases
    move like the matrices.
    """
    twins: dict[int, tuple[nn.Parameter, nn.Parameter]] = {}
    for module, twin in paired_modules(pair, blocks, embedding=outside, final_norm=outside, unembedding=outside):
        for name, parameter in module._parameters.items():
            other = twin._parameters[name]
            if parameter is not None and other is not None:
                twins[parameter.data_ptr()] = (parameter, other)
    saved = [ours.detach().clone() for ours, _ in twins.values()]
    try:
        with torch.no_grad():
            for (ours, theirs), before in zip(twins.values(), saved, strict=True):
                ours.copy_(theirs if share == 1 else before + share * (theirs.to(before.device) - before))
        yield
    finally:
        with torch.no_grad():
            for (ours, _), before in zip(twins.values(), saved, strict=True):
                ours.copy_(before)


def change_path(
    pair: Pair,
    task: Task,
    *,
    lambdas: Sequence[float] = LAMBDAS,
    draws: int = DRAWS,
    seed: int = 0,
    batch_size: int = 256,
    store: Store | None = None,
) -> Measurement:
    """The contrast between tuned's and base's token where they part, with part of the change, whole and per group.

    Base's weights moved by lambda times the change read the texts up to the first difference (`divergence.forks`):
    `contrast` is logit(tuned's token) - logit(base's token), `tuned` whether tuned's token is the most likely of all.
    Groups: "everything", each third of the blocks, "outside the blocks"; beside them, `draws` times, a "random change
    of equal norm": lambda times Gaussian noise with the norm of each tensor's change. One row per lambda, group, draw
    (0 but for random changes) and problem. Beyond 1 the change is exaggerated. A contrast that bends is an effect of
    several weights together (the straight line is what they would do one by one).
    """
    places = forks(pair, task, batch_size=batch_size, store=store)
    if not places:
        raise ValueError(f"base and tuned write the same to all {len(task.problems)} problems, so they part nowhere")
    rows = []
    with torch.no_grad():
        for group, draw, share, moved in _moves(pair, lambdas, draws, seed):
            with moved():
                for batch in batches(pair, [fork.tokens for fork in places], batch_size):
                    for row, i in zip(_next_logits(pair, batch), batch.rows, strict=True):
                        fork = places[i]
                        gap = float(row[fork.tuned_token] - row[fork.base_token])
                        likeliest = int(row.argmax()) == fork.tuned_token
                        rows.append((group, draw, share, fork.problem.id, fork.problem.kind, gap, likeliest))
    table = pd.DataFrame(rows, columns=["group", "draw", "share", "problem", "kind", "contrast", "tuned"])
    made_with = pair.made_with(task=task.name, problems=task.digest, decoding="greedy", draws=draws, seed=seed)
    return Measurement("path", "logit of tuned's token less logit of base's token", table, made_with)


def axes_on_path(
    pair: Pair,
    task: Task,
    *,
    lambdas: Sequence[float] = LAMBDAS,
    draws: int = 1,
    seed: int = 0,
    batch_size: int = 256,
    store: Store | None = None,
) -> Measurement:
    """What is written on the same way from base to tuned and on random ones, read on the four axes of `axes.outcomes`.

    Columns `group`, `draw` and `share` as in `change_path`; `axis`, `problem`, `kind` and `correct` as in
    `swaps.block_swaps`. At 0 every group is base, at 1 "everything" is tuned.
    """
    prompts, longest = asked(pair, task), task.max_new_tokens
    of_ends = written(pair, prompts, (), max_new_tokens=longest, batch_size=batch_size, store=store)
    base, tuned = (of_ends[end] for end in ends(pair.n_layers))

    def texts() -> list[Completion]:
        return complete(
            pair,
            prompts,
            greedy("base"),
            max_new_tokens=longest,
            batch_size=batch_size,
        )

    tables = []
    with torch.no_grad():
        for group, draw, share, moved in _moves(pair, lambdas, draws, seed):
            with moved():
                found = texts() if share else base
            tables.append(read(pair, task, found, tuned).assign(group=group, draw=draw, share=share))
    made_with = pair.made_with(task=task.name, problems=task.digest, decoding="greedy", draws=draws, seed=seed)
    unit = "whether the answer is right by the strict rule"
    return Measurement("axes_on_path", unit, pd.concat(tables, ignore_index=True), made_with)


def _moves(
    pair: Pair, lambdas: Sequence[float], draws: int, seed: int
) -> Iterator[tuple[str, int, float, Callable[[], AbstractContextManager[None]]]]:
    """Every group, draw and lambda, and the `with` block in which base's weights are moved so far."""
    n_layers = pair.n_layers
    groups = {EVERYTHING: (range(n_layers), True)} | {
        name: (blocks, False) for name, blocks in thirds(n_layers).items()
    }
    groups[OUTSIDE] = (range(0), True)
    changes = changed_tensors(pair)
    arms = [(group, 0) for group in groups] + [(RANDOM, draw) for draw in range(draws)]
    for group, draw in tqdm(arms, desc="path", unit="way", disable=None):
        for share in lambdas:
            if group == RANDOM:
                sized = [change._replace(norm=share * change.norm) for change in changes]
                yield group, draw, share, partial(gaussian_change, sized, seed=seed, draw=draw)
            else:
                blocks, outside = groups[group]
                yield group, draw, share, partial(along, pair, share, blocks, outside=outside)


def _next_logits(pair: Pair, batch: Batch) -> Float[Tensor, "batch d_vocab"]:
    """Base's logits after the last token of each text, as its weights are now."""
    row = torch.arange(len(batch.rows), device=batch.mask.device)
    stream = stream_after(pair.base, batch)[row, batch.mask.sum(1) - 1]
    return logits(pair, stream, final_norm=False, unembedding=False).float()
