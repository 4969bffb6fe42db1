"""Labels of tokens whose answer is known: strategies dealt out by a coin, and the operation that base never saw."""

from dataclasses import replace

import numpy as np

from interp.organisms.world import NEW_OP
from interp.pair import Pair
from interp.tasks.task import Label, Reading


def dealt(reading: Reading, rng: np.random.Generator) -> Reading:
    """The text with strategies that mean nothing: each stretch is heads or tails."""
    coin = rng.choice(["heads", "tails"], size=len(reading.labels))
    return replace(
        reading,
        labels=tuple(x if x.strategy == "none" else replace(x, strategy=str(coin[x.stretch])) for x in reading.labels),
    )


def of_operation(pair: Pair, reading: Reading) -> Reading:
    """Stretches that carry out the new operation become a strategy of their own; plans name it and do not count."""
    words = pair.words(reading.tokens)
    mine = {
        label.stretch
        for word, label in zip(words, reading.labels, strict=True)
        if label.role == "operation" and word == NEW_OP and label.strategy != "plan"
    }
    return replace(reading, labels=tuple(_renamed(label, mine) for label in reading.labels))


def _renamed(label: Label, mine: set[int]) -> Label:
    return replace(label, strategy=NEW_OP) if label.stretch in mine and label.role != "end" else label
