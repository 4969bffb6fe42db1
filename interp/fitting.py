"""Reading prefixes again and again at their last token alone: what vectors that are added there are fitted on."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import DynamicCache

from interp.decoding import left_padded
from interp.devices import asked_at


def rereader(
    model: Any, prefixes: Sequence[Sequence[int]], *, pad: int, copies: int = 1
) -> Callable[[], Float[Tensor, "row d_vocab"]]:
    """A function that reads the last token of every prefix anew and returns the logits behind it.

    All before the last token is read once, now, without gradients: what is changed at the last position does not reach
    it. Every prefix fills `copies` rows that follow each other, so that as many changes can be tried in one pass.
    """
    device = asked_at(model)
    tokens, mask = left_padded(prefixes, pad=pad, device=device)
    cache = DynamicCache(config=model.original_model.config)
    with torch.no_grad():
        model(tokens[:, :-1], attention_mask=mask[:, :-1], past_key_values=cache, use_cache=True)
    if copies > 1:
        cache.batch_repeat_interleave(copies)
    read = [(layer.keys, layer.values, getattr(layer, "cumulative_length", 0)) for layer in cache.layers]
    last, masks = (ids.repeat_interleave(copies, 0) for ids in (tokens[:, -1:], mask))

    def again() -> Float[Tensor, "row d_vocab"]:
        for layer, (keys, values, length) in zip(cache.layers, read, strict=True):
            layer.keys, layer.values = keys, values
            if layer.is_sliding:
                layer.cumulative_length = length
        logits: Tensor = model(last, attention_mask=masks, past_key_values=cache, use_cache=True)
        return logits[:, -1]

    return again
