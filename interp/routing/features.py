"""Routers that a feature of a sparse autoencoder of base decides: tuned writes where it fires."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from interp.pair import Pair
from interp.routing.arms import Arm
from interp.routing.decisions import Decisions
from interp.routing.hybrid import write_together
from interp.routing.probes import LEAST
from interp.routing.routers import decision_tokens
from interp.routing.step import Router, Step
from interp.tasks.task import Task

DRAWS = 3
"""How many features are drawn as a control."""
ALIKE = 10
"""Features, the nearest in how often they fire, of which the control is drawn."""
CONTROL = "SAE features fire in base, drawn at random"

_log = logging.getLogger("interp")


@dataclass(frozen=True, eq=False)
class Dictionary:
    """What this room needs of a sparse autoencoder: how base's activations at `hook` become features, and whose it is.

    `name` stands in sentences, `made_with` in the provenance.
    """

    encode: Callable[[Float[Tensor, "token d_in"]], Float[Tensor, "token d_sae"]]
    hook: str
    name: str
    made_with: Mapping[str, Any] = field(default_factory=dict)


def feature_fires(dictionary: Dictionary, feature: int) -> Router:
    """Where the feature is active in base's state after the last token; tuned is not looked at.

    The whole encoder is read, so that a TopK autoencoder fires as it does elsewhere; of a plain direction see `fires`.
    """

    def router(step: Step) -> Bool[Tensor, " batch"]:
        active = dictionary.encode(step.turn.state("base", dictionary.hook))
        if not 0 <= feature < active.shape[1]:
            raise ValueError(
                f"there is no feature {feature}; {dictionary.name} has features 0 to {active.shape[1] - 1}"
            )
        return active[:, feature] > 0

    return router


def feature_arms(
    pair: Pair, task: Task, decisions: Decisions, dictionary: Dictionary, *, batch_size: int = 256, seed: int = 0
) -> list[Arm]:
    """ "SAE feature N fires in base" and its control, `DRAWS` other features that fire about as often.

    N is chosen on practice problems: of all features the one for which (share of the tokens at which tuned would decide
    otherwise, where it fires) - (share of the other tokens, where it fires) is largest. None, with a logged sentence,
    where practice holds fewer than `LEAST` such tokens, or where no feature is ahead. ValueError where base does not
    have the hook that the autoencoder reads.
    """
    if dictionary.hook not in pair.base.hook_dict:
        raise ValueError(f"{dictionary.name} reads {dictionary.hook!r}, a hook that base does not have")
    at, often, n, of = _firing(pair, task, decisions, dictionary, batch_size)
    if min(n, of - n) < LEAST:
        _log.warning(
            "the arm of an SAE feature is left out: tuned decides otherwise at %d of %d tokens of the practice "
            "problems, and choosing needs %d of either kind",
            *(n, of, LEAST),
        )
        return []
    ahead = at / n - (often - at) / (of - n)
    best = int(ahead.argmax())
    if float(ahead[best]) <= 0:
        _log.warning("the arm of an SAE feature is left out: none fires more where tuned decides than elsewhere")
        return []
    apart = (often - often[best]).abs()
    apart[(often == 0) | (torch.arange(len(often)) == best)] = torch.inf
    alike = [int(i) for i in apart.argsort(stable=True)[:ALIKE] if apart[i] < torch.inf]
    drawn = np.random.default_rng(seed).permutation(alike)[:DRAWS].tolist()
    arms = [Arm(f"SAE feature {best} fires in base", feature_fires(dictionary, best))]
    return arms + [Arm(CONTROL, feature_fires(dictionary, feature), draw=draw) for draw, feature in enumerate(drawn)]


def _firing(
    pair: Pair, task: Task, decisions: Decisions, dictionary: Dictionary, batch_size: int
) -> tuple[Float64[Tensor, " d_sae"], Float64[Tensor, " d_sae"], int, int]:
    """How often each feature fires where tuned decides otherwise, and anywhere; and the number of these tokens."""
    gate, counts, tokens = decision_tokens(decisions), list[Tensor](), [0, 0]

    def look(step: Step) -> Bool[Tensor, " batch"]:
        routed = gate(step)
        active = (dictionary.encode(step.turn.state("base", dictionary.hook)) > 0).double().cpu()
        counts.append(torch.stack([active[routed.cpu()].sum(0), active.sum(0)]))
        tokens[0] += int(routed.sum())
        tokens[1] += len(routed)
        return routed

    prompts = [pair.encode(problem.prompt) for problem in task.practice]
    write_together(pair, prompts, look, max_new_tokens=task.max_new_tokens, batch_size=batch_size)
    at, often = torch.stack(counts).sum(0) if counts else torch.zeros(2, 1, dtype=torch.float64)
    return at, often, *tokens
