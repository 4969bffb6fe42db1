"""Between base and tuned on a straight line: when along base + lambda x change does what they write turn over?"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm.auto import tqdm

from interp.layers.batches import Batch, batches
from interp.layers.depth import thirds
from interp.layers.divergence import forks
from interp.layers.stages import logits, stream_after
from interp.layers.swapping import paired_modules
from interp.layers.written import Store
from interp.measurement import Measurement
from interp.pair import Pair
from interp.tasks.task import Task

LAMBDAS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)


@contextmanager
def along(
    pair: Pair, share: float, blocks: Sequence[int] = (), *, embedding: bool = False, head: bool = False
) -> Iterator[None]:
    """Inside the block the named parts of `pair.base` are base + share x (tuned - base); then as before, to the bit.

    Parts are those of `swapping.swapped`. Needs the memory of one more copy of them. Norms and biases move like the
    matrices. A matrix that embedding and head share moves with either.
    """
    twins: dict[int, tuple[nn.Parameter, nn.Parameter]] = {}
    for module, twin in paired_modules(pair, blocks, embedding=embedding, head=head):
        for name, parameter in module._parameters.items():
            other = twin._parameters[name]
            if parameter is not None and other is not None:
                twins[parameter.data_ptr()] = (parameter, other)
    saved = [ours.detach().clone() for ours, _ in twins.values()]
    try:
        with torch.no_grad():
            for (ours, theirs), before in zip(twins.values(), saved, strict=True):
                ours.copy_(theirs if share == 1 else before + share * (theirs - before))
        yield
    finally:
        with torch.no_grad():
            for (ours, _), before in zip(twins.values(), saved, strict=True):
                ours.copy_(before)


def change_path(
    pair: Pair, task: Task, *, lambdas: Sequence[float] = LAMBDAS, batch_size: int = 256, store: Store | None = None
) -> Measurement:
    """The contrast between tuned's and base's token where they part, with part of the change, whole and per group.

    Base's weights moved by lambda times the change read the texts up to the first difference (`divergence.forks`):
    `contrast` is logit(tuned's token) - logit(base's token), `tuned` whether tuned's token is the most likely of all.
    Groups: "everything", each third of the blocks, "outside the blocks". One row per lambda, group and problem. Beyond
    1 the change is exaggerated. A contrast that bends is an effect of several weights together (the straight line is
    what they would do one by one).
    """
    n_layers = pair.n_layers
    groups = {"everything": (range(n_layers), True)} | {
        name: (blocks, False) for name, blocks in thirds(n_layers).items()
    }
    groups["outside the blocks"] = (range(0), True)
    places = forks(pair, task, batch_size=batch_size, store=store)
    if not places:
        raise ValueError(f"base and tuned write the same to all {len(task.problems)} problems, so they part nowhere")
    rows = []
    with torch.no_grad():
        for group, (blocks, outside) in tqdm(groups.items(), desc="path", unit="group", disable=None):
            for share in lambdas:
                with along(pair, share, blocks, embedding=outside, head=outside):
                    for batch in batches(pair, [fork.tokens for fork in places], batch_size):
                        for row, i in zip(_next_logits(pair, batch), batch.rows, strict=True):
                            fork = places[i]
                            gap = float(row[fork.tuned_token] - row[fork.base_token])
                            likeliest = int(row.argmax()) == fork.tuned_token
                            rows.append((group, share, fork.problem.id, fork.problem.kind, gap, likeliest))
    table = pd.DataFrame(rows, columns=["group", "share", "problem", "kind", "contrast", "tuned"])
    made_with = pair.made_with(task=task.name, problems=task.digest, decoding="greedy")
    return Measurement("path", "logit of tuned's token less logit of base's token", table, made_with)


def _next_logits(pair: Pair, batch: Batch) -> Float[Tensor, "batch d_vocab"]:
    """Base's logits after the last token of each text, as its weights are now."""
    row = torch.arange(len(batch.rows), device=batch.mask.device)
    return logits(pair.base, stream_after(pair.base, batch)[row, batch.mask.sum(1) - 1]).float()
