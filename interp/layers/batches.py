"""Texts of like length side by side, padded on the right and masked by length, never by token id."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from interp.backoff import at_most
from interp.pair import Pair
from interp.tasks.task import Reading


@dataclass(frozen=True)
class Batch:
    """`rows[i]` is the number of the text in row i; `counted` leaves out padding and the first token, an outlier."""

    rows: tuple[int, ...]
    tokens: Int[Tensor, "batch pos"]
    mask: Int[Tensor, "batch pos"]
    counted: Bool[Tensor, "batch pos"]


def texts_of(readings: Sequence[Reading]) -> list[tuple[int, ...]]:
    """The tokens of the readings, in their order, some of which have to be more than a begin token."""
    texts = [reading.tokens for reading in readings if reading.tokens]
    if max(map(len, texts), default=0) < 2:
        raise ValueError("there is nothing to read: every reading is empty or only a begin token; give longer texts")
    return texts


def batches(pair: Pair, texts: Sequence[Sequence[int]], batch_size: int) -> list[Batch]:
    """All texts, shortest first, `batch_size` at a time; ValueError for one that is empty or exceeds the context."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    if not texts or not len(texts[order[0]]):
        raise ValueError("there is nothing to read: no text, or one without a token; give longer texts")
    if (longest := len(texts[order[-1]])) > pair.context:
        raise ValueError(f"a reading has {longest} tokens, the models' context is {pair.context}; cut it shorter")
    rows = at_most(min(batch_size, len(texts)))
    return [_padded(pair, texts, order[i : i + rows]) for i in range(0, len(order), rows)]


def _padded(pair: Pair, texts: Sequence[Sequence[int]], rows: Sequence[int]) -> Batch:
    lengths = torch.tensor([len(texts[i]) for i in rows], device=pair.device)
    tokens = torch.full((len(rows), int(lengths.max())), pair.pad_id, device=pair.device)
    for row, i in enumerate(rows):
        tokens[row, : len(texts[i])] = torch.tensor(list(texts[i]), device=pair.device)
    position = torch.arange(tokens.shape[1], device=pair.device)
    within = position < lengths[:, None]
    return Batch(tuple(rows), tokens, within.long(), within & (position > 0))
