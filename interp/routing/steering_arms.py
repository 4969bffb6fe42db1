"""The steering arms of the routing experiment: fitted vectors, what simpler vectors do, and their controls."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from interp.pair import Pair
from interp.routing.decisions import Decisions
from interp.routing.steering import Onsets, random_onsets, tuned_decides
from interp.routing.vectors import (
    SteeringVector,
    bias_vector,
    by_strategy,
    fitted_vectors,
    mean_difference_vectors,
    opening_sites,
    random_vectors,
    shuffled_vectors,
    two_thirds_up,
)
from interp.tasks.task import Task

DRAWS = 2
"""How often random directions and random onsets are drawn."""


@dataclass(frozen=True, eq=False)
class SteeredArm:
    """Vectors and where base is pushed by them, by the name the arm has in the table."""

    name: str
    vectors: Sequence[SteeringVector]
    onsets: Onsets
    rate: float = math.nan
    draw: int = 0


def steering_arms(
    pair: Pair, task: Task, decisions: Decisions, *, rate: float, hook: str | None = None, seed: int = 0
) -> list[SteeredArm]:
    """Steering at tuned's decisions by vectors fitted on practice problems, and the controls; `rate` is of the onsets
    drawn at random.

    None where tuned opens no strategy often enough in practice texts. The mean difference and shuffled strategies need
    two strategies. The layer is two thirds up by default. That rule was chosen among four layers on `organism:rl` of
    seed 0, so on that pair the arm is flattered; `organism:rl@1` is the pair that it was confirmed on.
    """
    groups = by_strategy(opening_sites(pair, task, decisions))
    if not groups:
        return []
    hook = hook or two_thirds_up(pair)
    vectors = fitted_vectors(pair, groups, hook=hook)

    def at_decisions(name: str, chosen: Sequence[SteeringVector], draw: int = 0) -> SteeredArm:
        return SteeredArm(name, chosen, tuned_decides(decisions, chosen, pair.d_vocab), draw=draw)

    arms = [
        at_decisions("steering", vectors),
        at_decisions("steering by one vector", [bias_vector(pair, groups, hook=hook)]),
    ]
    if len(vectors) > 1:
        means = mean_difference_vectors(pair, groups, vectors, hook=hook)
        arms.append(at_decisions("steering by mean difference", means))
        arms.append(at_decisions("random strategies steered", shuffled_vectors(pair, vectors)))
    for draw in range(DRAWS):
        random = random_vectors(pair, vectors, seed=seed, draw=draw)
        arms.append(at_decisions("random steering directions", random, draw))
    for draw in range(DRAWS):
        onsets = random_onsets(rate, len(vectors), seed=seed, draw=draw)
        arms.append(SteeredArm("random steering onsets", vectors, onsets, rate, draw))
    return arms
