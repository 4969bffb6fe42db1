"""Where a strategy can be told from the others: the labelled tokens that are compared, and of which problem."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int, Shaped

from interp.tasks.task import Reading

CONTENT_ROLES = ("digit", "text")
NO_STRATEGY = ("", "none")


@dataclass(frozen=True, eq=False)
class Sites:
    """Rows of `activations` that are compared, each with the strategy it belongs to.

    `at` is "onset" (the token before the one that opens a strategy) or "content" (a digit or a word inside a
    strategy's stretch). `stretch` numbers the stretches of text over all readings, `problem` the problems.
    """

    at: str
    row: Int[np.ndarray, " site"]
    strategy: Shaped[np.ndarray, " site"]
    stretch: Int[np.ndarray, " site"]
    problem: Int[np.ndarray, " site"]
    held_out: Bool[np.ndarray, " site"]

    def __post_init__(self) -> None:
        if len(self.row) == 0:
            raise ValueError(
                f"no token is labelled as the {self.at} of a strategy; give readings with labelled strategies"
            )
        if len(strategies := set(self.strategy.tolist())) == 1:
            raise ValueError(
                f"every token labelled as the {self.at} of a strategy belongs to {strategies.pop()!r}; "
                "label at least one more, so that there is something to tell it from"
            )
        for half, name in ((self.held_out, "held out"), (~self.held_out, "searched")):
            if not half.any():
                raise ValueError(f"no problem with a strategy's {self.at} is {name}; give readings of more problems")


def onset_sites(readings: Sequence[Reading]) -> Sites:
    """Every token whose next token opens a strategy.

    All sites are decision points, so the identity of the token says little about which strategy follows.
    """
    return _sites(readings, "onset")


def content_sites(readings: Sequence[Reading]) -> Sites:
    """Every digit or word inside a strategy's stretch."""
    return _sites(readings, "content")


def shuffled(sites: Sites, *, seed: int) -> Sites:
    """The same sites with the strategies dealt out anew among the stretches: labels that mean nothing.

    Whole stretches are relabelled, since tokens of one stretch resemble each other, and within each half.
    """
    strategy = sites.strategy.copy()
    generator = np.random.default_rng(seed)
    for half in (sites.held_out, ~sites.held_out):
        _, start, number = np.unique(sites.stretch[half], return_index=True, return_inverse=True)
        strategy[half] = generator.permutation(sites.strategy[half][start])[number]
    return replace(sites, strategy=strategy)


def is_held_out(problem: str) -> bool:
    """Which half a problem falls in, by its name alone, whoever wrote the text."""
    return hashlib.sha256(problem.encode()).digest()[0] % 2 == 1


def _sites(readings: Sequence[Reading], at: str) -> Sites:
    numbers = {problem: n for n, problem in enumerate(sorted({r.problem for r in readings}))}
    found: list[tuple[int, str, int, int, bool]] = []
    row = stretches = 0
    for reading in readings:
        held_out, problem = is_held_out(reading.problem), numbers[reading.problem]
        # Row `row` is position 1: the first position is in no table of activations.
        for position in range(1, len(reading.labels)):
            asked = position + (at == "onset")
            if asked < len(reading.labels):
                label = reading.labels[asked]
                wanted = label.role == "opener" if at == "onset" else label.role in CONTENT_ROLES
                if wanted and label.strategy not in NO_STRATEGY:
                    if label.stretch < 0:
                        raise ValueError(
                            f"token {asked} of problem {reading.problem!r} belongs to strategy {label.strategy!r} "
                            f"but to stretch {label.stretch}; number the stretches of each reading from 0"
                        )
                    found.append((row, label.strategy, stretches + label.stretch, problem, held_out))
            row += 1
        stretches += 1 + max(label.stretch for label in reading.labels)
    columns = list(zip(*found, strict=True)) or [(), (), (), (), ()]
    return Sites(
        at,
        np.array(columns[0], dtype=np.int64),
        np.array(columns[1], dtype=object),
        np.array(columns[2], dtype=np.int64),
        np.array(columns[3], dtype=np.int64),
        np.array(columns[4], dtype=bool),
    )
