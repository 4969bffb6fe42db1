"""Where a model is changed and what it is asked there: decisions, contents, and places where nothing should happen."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from interp.pair import Pair
from interp.sae.sites import Sites
from interp.sae.strength import strata
from interp.tasks.task import Reading

OWN = 0.5
"""A token is the own of a strategy that follows it more often than all others together."""


@dataclass(frozen=True, eq=False)
class Asked:
    """Places where the models are asked for the next token, and the tokens that count as the strategy's."""

    prefixes: Sequence[Sequence[int]]
    wanted: Bool[Tensor, "place d_vocab"]
    problem: Int[np.ndarray, " place"]


def asked_of(
    pair: Pair, readings: Sequence[Reading], sites: Sites, strategy: str, n_places: int, seed: int
) -> Mapping[str, Asked] | None:
    """Where each kind of edit is made for one strategy; None where the strategy or the others have no place.

    None also at the onset of a strategy that has no opening token of its own: whatever makes a shared token likelier
    says nothing about which of the strategies it opens would follow.
    """
    held_out, stratum = np.flatnonzero(sites.held_out), strata(sites.position)
    own = [int(i) for i in held_out if sites.strategy[i] == strategy]
    beside = {int(stratum[i]) for i in own}
    rest = [int(i) for i in held_out if sites.strategy[i] != strategy and int(stratum[i]) in beside]
    if sites.at == "content":
        own = [i for i in own if _goes_on(readings[sites.reading[i]], int(sites.position[i]))]
        rest = own
    if not own or not rest:
        return None
    openers = torch.zeros(pair.d_vocab, dtype=torch.bool)
    openers[own_openers(readings, sites, strategy)] = True
    if sites.at == "onset" and not openers.any():
        return None
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(f"{strategy}{seed}".encode()).digest()[:4]))

    def ask(numbers: list[int]) -> Asked:
        some = sorted(rng.permutation(numbers)[:n_places])
        ids = [readings[sites.reading[i]].tokens for i in some]
        ends = [int(sites.position[i]) for i in some]
        wanted = openers.repeat(len(some), 1)
        if sites.at == "content":
            wanted[torch.arange(len(some)), torch.tensor([t[e + 1] for t, e in zip(ids, ends, strict=True)])] = True
        return Asked([t[: e + 1] for t, e in zip(ids, ends, strict=True)], wanted, sites.problem[some])

    others, strategy_s = ask(rest), ask(own)
    return {"add": others, "clamp": others, "ablate": strategy_s if sites.at == "onset" else others}


def own_openers(readings: Sequence[Reading], sites: Sites, strategy: str) -> list[int]:
    """The tokens that open this strategy in more than `OWN` of the stretches they open; none in content."""
    if sites.at != "onset":
        return []
    opens = np.array([readings[r].tokens[p + 1] for r, p in zip(sites.reading, sites.position, strict=True)])
    mine = sites.strategy == strategy
    return [int(token) for token in np.unique(opens[mine]) if mine[opens == token].mean() > OWN]


def _goes_on(reading: Reading, position: int) -> bool:
    """Whether the next token belongs to the same stretch."""
    return (
        position + 1 < len(reading.labels) and reading.labels[position + 1].stretch == reading.labels[position].stretch
    )


@dataclass(frozen=True, eq=False)
class Places:
    """Prefixes whose last token is edited, and the problem each comes from."""

    prefixes: Sequence[tuple[int, ...]]
    problem: Int[np.ndarray, " place"]


def random_places(readings: Sequence[Reading], n_places: int, seed: int) -> Places:
    """Prefixes that end at tokens of responses drawn evenly, whatever their labels."""
    every = [
        (number, position)
        for number, reading in enumerate(readings)
        for position in range(1, len(reading.tokens))
        if reading.labels[position].role != "prompt"
    ]
    drawn = [every[i] for i in sorted(np.random.default_rng(seed).permutation(len(every))[:n_places])]
    problem = np.unique([readings[number].problem for number, _ in drawn], return_inverse=True)[1]
    return Places([tuple(readings[number].tokens[: end + 1]) for number, end in drawn], problem)
