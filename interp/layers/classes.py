"""What kind of token a position is about to write: prompt, knowledge, format, strategy onset or content."""

import logging
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from interp.layers.batches import Batch
from interp.pair import Pair
from interp.tasks.task import Label, Reading, Task

_log = logging.getLogger("interp")

CLASSES = ("prompt", "knowledge", "format", "strategy onset", "content")
_OF_ROLE = {
    "prompt": "prompt",
    "knowledge": "knowledge",
    "mark": "format",
    "end": "format",
    "opener": "strategy onset",
    "operation": "content",
    "digit": "content",
    "label": "content",
    "text": "content",
}
POSITION_BINS = ((1, 4), (4, 8), (8, 16), (16, 32), (32, 64), (64, 128), (128, 256), (256, 512), (512, 2**31))
"""From, and up to but without; each twice as wide as the one before, as texts of every length get thinner."""

Group = tuple[str, str]
"""What tokens are told apart by ("all", "token class", "position"), and which of them these are."""


def token_class(label: Label) -> str:
    """The class of a labelled token; "" for a token of which nothing is known."""
    return _OF_ROLE.get(label.role, "")


def fact_readings(pair: Pair, task: Task) -> list[Reading]:
    """The task's closed-book facts as texts: prompt and gold answer, whose tokens are labelled `knowledge`."""
    readings = []
    for fact in task.facts:
        prompt = pair.encode(fact.prompt)
        whole = pair.encode(f"{fact.prompt} {fact.answer}")
        if whole[: len(prompt)] != prompt or len(whole) == len(prompt):
            continue  # the answer changed how the prompt is cut into tokens: where it begins cannot be said
        labels = [Label("none", "prompt")] * len(prompt) + [Label("none", "knowledge")] * (len(whole) - len(prompt))
        readings.append(Reading(fact.id, tuple(whole), tuple(labels)))
    if lost := len(task.facts) - len(readings):
        _log.warning(
            "%d of %d facts are left out where activations are compared: their answer changes how the prompt is cut "
            "into tokens, so where it begins cannot be said",
            *(lost, len(task.facts)),
        )
    return readings


def groups_of(readings: Sequence[Reading]) -> list[Group]:
    """All tokens together, then every token class and every range of positions that the readings hold."""
    found = {token_class(label) for reading in readings for label in reading.labels[2:]}
    longest = max(len(reading.tokens) for reading in readings)
    by_class = [("token class", name) for name in CLASSES if name in found]
    return [("all", "all"), *by_class, *(("position", _span(a, b)) for a, b in POSITION_BINS if a < longest)]


def memberships(
    batch: Batch, readings: Sequence[Reading], groups: Sequence[Group]
) -> Float64[Tensor, "batch pos group"]:
    """1 where a position belongs to a group, else 0.

    A position belongs to the class of the token after it: what is computed there serves to write that one. At a
    strategy's onset it is the position before the word that opens it; a reading's last position has no class. The
    first position is in no group.
    """
    number = {group: i for i, group in enumerate(groups)}
    of = np.zeros((*batch.tokens.shape, len(groups)))
    for row, i in enumerate(batch.rows):
        labels = readings[i].labels
        for position in range(1, len(labels)):
            after = token_class(labels[position + 1]) if position + 1 < len(labels) else ""
            for group in (("all", "all"), ("token class", after), ("position", _span_at(position))):
                if group in number:
                    of[row, position, number[group]] = 1
    return torch.from_numpy(of).to(batch.tokens.device)


def per_group(
    values: Float64[Tensor, "batch pos"], of: Float64[Tensor, "batch pos group"]
) -> Float64[Tensor, " group"]:
    """Sums over the tokens of each group."""
    return torch.einsum("bp,bpg->g", values, of)


def _span(start: int, end: int) -> str:
    return f"{start} to {end - 1}" if end < 2**31 else f"{start} on"


def _span_at(position: int) -> str:
    return next(_span(a, b) for a, b in POSITION_BINS if a <= position < b)
