"""Both models cut at every block boundary, so that any mixture of their parts can be run."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.model_bridge import TransformerBridge

from interp.layers.batches import Batch, batches
from interp.layers.hooks import hooked
from interp.pair import Pair

Hybrid = tuple[bool, ...]
"""Whose part computes, from embedding over every block to final norm and unembedding; True is tuned's."""
Stream = Float[Tensor, "batch pos d_model"]
Block = Callable[[Stream], Stream]

_TOLERANCE = 1e-4


def hybrid(
    n_layers: int,
    blocks: Iterable[int] = (),
    *,
    embedding: bool = False,
    final_norm: bool = False,
    unembedding: bool = False,
) -> Hybrid:
    """Base with tuned's weights in these parts; `complement` is tuned with base's in the same."""
    from_tuned = set(blocks)
    if strange := sorted(from_tuned - set(range(n_layers)), key=str):
        raise ValueError(f"there is no block {strange[0]}, the model has {n_layers}; count from 0")
    return (embedding, *(layer in from_tuned for layer in range(n_layers)), final_norm, unembedding)


def complement(word: Hybrid) -> Hybrid:
    """The hybrid in which every part is the other model's."""
    return tuple(not part for part in word)


def ends(n_layers: int) -> tuple[Hybrid, Hybrid]:
    """Base itself and tuned itself."""
    return hybrid(n_layers), complement(hybrid(n_layers))


@dataclass(frozen=True, eq=False)
class Stages:
    """Both models on one batch, base first: the stream before block 0, and every block as a function of its input.

    A block also takes several streams of the batch stacked along the first dimension.
    """

    starts: tuple[Stream, Stream]
    blocks: tuple[Sequence[Block], Sequence[Block]]


def stages(pair: Pair, batch: Batch) -> Stages:
    """Cut both models on this batch; each is run once, to see what its blocks are called with besides the stream."""
    base, tuned = (_cut(model, batch) for model in (pair.base, pair.tuned))
    return Stages((base[0], tuned[0]), (base[1], tuned[1]))


def logits(
    pair: Pair, stream: Float[Tensor, "... d_model"], *, final_norm: bool, unembedding: bool
) -> Float[Tensor, "... d_vocab"]:
    """What the stream after the blocks becomes: normed, unembedded and, on Gemma 2, capped; True is tuned's part."""
    model = pair.tuned if unembedding else pair.base
    raw = model.unembed((pair.tuned if final_norm else pair.base).ln_final(stream))
    cap = getattr(model.original_model.config, "final_logit_softcapping", None)
    return raw if cap is None else torch.tanh(raw / cap) * cap


def stream_after(model: TransformerBridge, batch: Batch) -> Stream:
    """The stream after the last block of one model, run as it is."""
    seen: list[Stream] = []
    with hooked(model, {f"blocks.{len(model.blocks) - 1}.hook_out": seen.append}):
        model(batch.tokens, attention_mask=batch.mask, logits_to_keep=1, use_cache=False)
    return seen[0]


def check_stages(pair: Pair) -> None:
    """Refuse a model that is more than its parts one after the other; the parts' logits have to be the model's.

    Every block is given the stream twice, stacked, so that what else it is called with is seen to be stacked too.
    """
    texts = [list(range(1, 1 + n)) for n in (5, 9)]
    with torch.inference_mode():
        (batch,) = batches(pair, texts, 2)
        cut = stages(pair, batch)
        for whose, model in enumerate((pair.base, pair.tuned)):
            stream = torch.cat([cut.starts[whose]] * 2)
            for block in cut.blocks[whose]:
                stream = block(stream)
            expected = model(batch.tokens, attention_mask=batch.mask)[batch.counted].float()
            for half in stream.chunk(2):
                found = logits(pair, half, final_norm=bool(whose), unembedding=bool(whose))[batch.counted].float()
                apart = float((found - expected).abs().max() / expected.abs().max())
                if not apart <= _TOLERANCE * (1 if pair.dtype == torch.float32 else 100):
                    raise ValueError(
                        f"{model.cfg.architecture} is more than its parts in a row: run one after the other they "
                        f"differ from the model by {apart:.1e} of its largest logit, so their exchange would not be "
                        "measured"
                    )


def _cut(model: TransformerBridge, batch: Batch) -> tuple[Stream, list[Block]]:
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def see(_module: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any]) -> None:
        calls.append((inputs, options))

    handles = [block.register_forward_pre_hook(see, with_kwargs=True) for block in model.blocks]
    try:
        # Without a key-value cache: a block that is called again would find its own past in it.
        model(batch.tokens, attention_mask=batch.mask, logits_to_keep=1, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    n_rows = len(batch.rows)
    run: list[Block] = [
        partial(_run, block, inputs[1:], options, n_rows)
        for block, (inputs, options) in zip(model.blocks, calls, strict=True)
    ]
    return calls[0][0][0], run


def _run(block: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any], n_rows: int, stream: Stream) -> Stream:
    copies = len(stream) // n_rows
    more, named = (_stacked(inputs, n_rows, copies), _stacked(options, n_rows, copies))
    out = block(stream, *more, **named)
    return out[0] if isinstance(out, tuple) else out


def _stacked(given: Any, n_rows: int, copies: int) -> Any:
    """What a block is called with, for several copies of the batch: masks and positions, which have a row per text."""
    if copies == 1 or n_rows == 1:  # with one row they broadcast
        return given
    if isinstance(given, Tensor):
        return torch.cat([given] * copies) if given.dim() > 1 and len(given) == n_rows else given
    if isinstance(given, tuple):
        return tuple(_stacked(item, n_rows, copies) for item in given)
    if isinstance(given, dict):
        return {name: _stacked(item, n_rows, copies) for name, item in given.items()}
    return given
