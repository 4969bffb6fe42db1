"""Which heads and MLPs carry the difference: tuned's activation put into base's run, one component at a time."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm
from transformer_lens.model_bridge import TransformerBridge

from interp.layers.batches import Batch, batches
from interp.layers.divergence import Fork, contrast, forks
from interp.layers.hooks import Hook, hooked
from interp.layers.stages import Stages, check_stages, stages
from interp.layers.written import Store
from interp.measurement import Measurement
from interp.pair import Pair
from interp.tasks.task import Task

MOST_FORKS = 64


def component_patches(
    pair: Pair,
    task: Task,
    *,
    most: int = MOST_FORKS,
    at: Sequence[int] | None = None,
    batch_size: int = 64,
    store: Store | None = None,
) -> Measurement:
    """What one component's activation from tuned's run does in base's run, and the other way round.

    Where base and tuned first write different tokens (`divergence.forks`, `most` of them, evenly), the activation of
    one component at all positions is replaced by the other model's, and everything above recomputes with it. `attn`
    and `mlp` are patched as they enter the stream. A head is patched at what it writes into the attention's output,
    before any norm of it: `z_head W_O_head` of the one model in place of the other's, so that a change of what the head
    reads and one of how it writes both count. `effect` is the change of the
    contrast `logit(tuned's token) - logit(base's token)`, in "base into tuned" with its sign turned, so that a
    component that carries the change has a positive effect both ways; `total` is tuned's contrast less base's.
    One row per problem, layer, component ("attn", "mlp", "head") and head (NA for the others).

    Blocks below the patched one are not run again: one model's stream is kept, and each patch starts at its block. `at`
    names the layers whose components are patched, by default all; `made_with` says so where it is some.
    """
    layers = range(pair.n_layers) if at is None else sorted(set(at))
    check_stages(pair)
    places = forks(pair, task, store=store)
    if not places:
        raise ValueError(f"base and tuned write the same to all {len(task.problems)} problems, so they part nowhere")
    places = [places[i] for i in np.unique(np.linspace(0, len(places) - 1, most).round().astype(int))]
    tables = []
    with torch.inference_mode():
        for batch in tqdm(
            batches(pair, [fork.tokens for fork in places], batch_size), desc="patches", unit="batch", disable=None
        ):
            tables += _patched(pair, batch, [places[i] for i in batch.rows], layers)
    table = pd.concat(tables, ignore_index=True).astype({"head": "Int64"})
    some = {} if at is None else {"layers": list(layers), "of_layers": pair.n_layers}
    made_with = pair.made_with(task=task.name, problems=task.digest, decoding="greedy", forks=len(places), **some)
    return Measurement("patches", "change of logit(tuned's token) - logit(base's token)", table, made_with)


def _patched(pair: Pair, batch: Batch, places: Sequence[Fork], layers: Sequence[int]) -> list[pd.DataFrame]:
    cut = stages(pair, batch)
    seen = [_run(model, cut, i) for i, model in enumerate((pair.base, pair.tuned))]
    end = batch.mask.sum(1) - 1
    tokens = [(fork.tuned_token, fork.base_token) for fork in places]

    def read(stream: Float[Tensor, "batch pos d_model"], into: int) -> Float[np.ndarray, " fork"]:
        return contrast(pair, stream[torch.arange(len(places), device=end.device), end], tokens, late=bool(into))

    own = [read(streams[-1], i) for i, (streams, _) in enumerate(seen)]
    about = pd.DataFrame({"problem": [f.problem.id for f in places], "kind": [f.problem.kind for f in places]})
    tables = []
    for into, direction in enumerate(("tuned into base", "base into tuned")):
        model, (streams, _) = (pair.base, pair.tuned)[into], seen[into]
        for layer in layers:
            for component, head, name, hook in _replacements(
                pair, layer, into, [activations for _, activations in seen]
            ):
                stream = streams[layer]
                with hooked(model, {name: hook}):
                    stream = cut.blocks[into][layer](stream)
                for block in cut.blocks[into][layer + 1 :]:
                    stream = block(stream)
                effect = (read(stream, into) - own[into]) * (1 if into == 0 else -1)
                row = about.assign(direction=direction, layer=layer, component=component, head=head)
                tables.append(row.assign(effect=effect, total=own[1] - own[0]))
    return tables


def _run(model: TransformerBridge, cut: Stages, which: int) -> tuple[list[Tensor], dict[str, Tensor]]:
    """One model's stream at every boundary, and the activations of its components."""
    streams, seen = [cut.starts[which]], dict[str, Tensor]()

    def keep(name: str) -> Hook:
        return lambda activation: seen.update({name: activation})

    for layer, block in enumerate(cut.blocks[which]):
        with hooked(model, {name: keep(name) for name in _names(layer)}):
            streams.append(block(streams[-1]))
    return streams, seen


def _names(layer: int) -> tuple[str, str, str]:
    """What heads read, and what attention and MLP really add to the stream."""
    return f"blocks.{layer}.attn.o.hook_in", f"blocks.{layer}.hook_attn_out", f"blocks.{layer}.hook_mlp_out"


def _replacements(
    pair: Pair, layer: int, into: int, seen: Sequence[Mapping[str, Tensor]]
) -> Iterator[tuple[str, int | None, str, Hook]]:
    """Component, head, hook and what stands in for the activation there."""
    z, attention, mlp = _names(layer)
    theirs = seen[1 - into]
    yield "attn", None, attention, lambda _: theirs[attention]
    yield "mlp", None, mlp, lambda _: theirs[mlp]
    for head in range(int(pair.base.cfg.n_heads)):
        base, tuned = (
            _writes(model, layer, head, of[z]) for model, of in zip((pair.base, pair.tuned), seen, strict=True)
        )
        yield "head", head, f"blocks.{layer}.attn.o.hook_out", partial(torch.add, (tuned - base) * (1 - 2 * into))


def _writes(
    model: TransformerBridge, layer: int, head: int, z: Float[Tensor, "batch pos z"]
) -> Float[Tensor, "batch pos d_model"]:
    """The output matrix applied to one head's z alone; less the bias, which belongs to no head."""
    matrix, width = model.blocks[layer].attn.o.original_component, z.shape[-1] // int(model.cfg.n_heads)
    alone = torch.zeros_like(z, device=next(matrix.parameters()).device)  # other than z's where models lie apart
    alone[..., head * width : (head + 1) * width] = z[..., head * width : (head + 1) * width]
    return (matrix(alone) - matrix(torch.zeros_like(alone[:1, :1]))).to(z.device)
