"""What a model itself expects at a decision: the chance it gives to the tokens that open each strategy."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interp.sae.activations import TOKENS_AT_ONCE, batches
from interp.sae.sites import Sites, opening_tokens
from interp.tasks.task import Reading

_LOGITS_AT_ONCE = 2**25


@torch.inference_mode()
def opening(
    model: Any, d_vocab: int, readings: Sequence[Reading], sites: Sites, once: Sequence[int] | None = None
) -> Float[np.ndarray, "decision strategy"]:
    """The chance that the next token opens each strategy, at the sites asked for (all of them, unless told `once`).

    What a model itself gives to a strategy's opening tokens is the best that anything it computes could tell about
    which strategy it will follow: if the chance is right, no score orders its own samples better.
    """
    once = range(len(sites.row)) if once is None else once
    openers = torch.zeros(d_vocab, len(sites.strategies), dtype=torch.float64)
    for number, strategy in enumerate(sites.strategies):
        openers[sorted(opening_tokens(readings, sites, strategy)), number] = 1.0
    at: dict[int, list[tuple[int, int]]] = {}
    for row, site in enumerate(once):
        at.setdefault(int(sites.reading[site]), []).append((row, int(sites.position[site])))
    found = np.full((len(once), len(sites.strategies)), np.nan)
    needed = sorted(at)
    at_once = max(1, min(TOKENS_AT_ONCE, _LOGITS_AT_ONCE // d_vocab))
    for numbers, tokens, mask in batches(model, [readings[n] for n in needed], tokens_at_once=at_once):
        logits: Tensor = model(tokens, attention_mask=mask)
        for line, number in enumerate(numbers):
            rows, ends = zip(*at[needed[number]], strict=True)
            chance = logits[line, list(ends)].double().softmax(-1)[:, :d_vocab]
            found[list(rows)] = (chance @ openers.to(chance.device)).cpu().numpy()
    return found
