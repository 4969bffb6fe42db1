"""Both models cut at every block boundary, to run any mixture of their parts and do shared work once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
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
"""Whose part computes, from embedding over every block to head (final norm, unembedding); True is tuned's."""
Stream = Float[Tensor, "batch pos d_model"]
Block = Callable[[Stream], Stream]

_TOLERANCE = 1e-4


def hybrid(n_layers: int, blocks: Iterable[int] = (), *, embedding: bool = False, head: bool = False) -> Hybrid:
    """Base with tuned's weights in these parts; `complement` is tuned with base's in the same."""
    from_tuned = set(blocks)
    return (embedding, *(layer in from_tuned for layer in range(n_layers)), head)


def complement(word: Hybrid) -> Hybrid:
    """The hybrid in which every part is the other model's."""
    return tuple(not part for part in word)


@dataclass(frozen=True, eq=False)
class Stages:
    """Both models on one batch, base first: the stream before block 0, and every block as a function of its input."""

    starts: tuple[Stream, Stream]
    blocks: tuple[Sequence[Block], Sequence[Block]]


def stages(pair: Pair, batch: Batch) -> Stages:
    """Cut both models on this batch; each is run once, to see what its blocks are called with besides the stream."""
    base, tuned = (_cut(model, batch) for model in (pair.base, pair.tuned))
    return Stages((base[0], tuned[0]), (base[1], tuned[1]))


def sweep(cut: Stages, bodies: Iterable[Hybrid]) -> Iterator[tuple[Hybrid, Stream]]:
    """The stream after the last block, of every hybrid (without its head): each shared prefix is computed once.

    In lexicographic order a hybrid shares with the one before it everything up to the first part that differs, and
    only the streams along the current one are kept. Over all L (L + 1) / 2 bands of blocks that is about L^3 / 6
    block passes where running each from the start takes L^3 / 2; over all suffixes L^2 / 2 instead of L^2. The same
    operations in the same order, so the results are bit for bit those of the slow way.
    """
    streams: list[Stream] = []
    before: Hybrid = ()
    for word in sorted(set(bodies)):
        shared = next((i for i, (a, b) in enumerate(zip(before, word, strict=False)) if a != b), len(before))
        del streams[shared:]
        for stage in range(shared, len(word)):
            whose = int(word[stage])
            streams.append(cut.starts[whose] if stage == 0 else cut.blocks[whose][stage - 1](streams[-1]))
        before = word
        yield word, streams[-1]


def logits(model: TransformerBridge, stream: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_vocab"]:
    """What a model's head (final norm, unembedding and, on Gemma 2, soft cap) makes of the stream after the blocks."""
    raw = model.unembed(model.ln_final(stream))
    cap = getattr(model.original_model.config, "final_logit_softcapping", None)
    return raw if cap is None else torch.tanh(raw / cap) * cap


def stream_after(model: TransformerBridge, batch: Batch) -> Stream:
    """The stream after the last block of one model, run as it is."""
    seen: list[Stream] = []
    with hooked(model, {f"blocks.{len(model.blocks) - 1}.hook_out": seen.append}):
        model(batch.tokens, attention_mask=batch.mask, logits_to_keep=1, use_cache=False)
    return seen[0]


def check_stages(pair: Pair) -> None:
    """Refuse a model that is more than its parts one after the other; the parts' logits have to be the model's."""
    texts = [list(range(1, 1 + n)) for n in (5, 9)]
    with torch.inference_mode():
        (batch,) = batches(pair, texts, 2)
        cut = stages(pair, batch)
        for model, word in ((pair.base, (False,)), (pair.tuned, (True,))):
            ((_, stream),) = sweep(cut, [word * (pair.n_layers + 1)])
            expected = model(batch.tokens, attention_mask=batch.mask)[batch.counted].float()
            found = logits(model, stream)[batch.counted].float()
            apart = float((found - expected).abs().max() / expected.abs().max())
            if not apart <= _TOLERANCE * (1 if pair.dtype == torch.float32 else 100):
                raise ValueError(
                    f"{model.cfg.architecture} is more than its parts in a row: run one after the other they differ "
                    f"from the model by {apart:.1e} of its largest logit, so their exchange would not be measured"
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
    run: list[Block] = [
        partial(_run, block, inputs[1:], options) for block, (inputs, options) in zip(model.blocks, calls, strict=True)
    ]
    return calls[0][0][0], run


def _run(block: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any], stream: Stream) -> Stream:
    out = block(stream, *inputs, **options)
    return out[0] if isinstance(out, tuple) else out
