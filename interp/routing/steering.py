"""Steering: base writes every token, pushed by a vector where somebody says that a strategy should be opened.

Protocol: at an onset the vector, times a fixed coefficient, is added to the residual stream of the last position at
the hook where it was fitted; base reads its last token again and writes its most likely token. Only that position is
edited and it stays so in base's cache; nothing is added before or after. Tuned never writes: it can at most say where.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.decoding import Turn
from interp.pair import Pair
from interp.rollouts import complete
from interp.routing.decisions import Decisions
from interp.routing.hybrid import Account, Hybrid
from interp.routing.routers import BLOCK, decision_tokens
from interp.routing.step import Router, Step
from interp.routing.vectors import SteeringVector, onset_table

Onsets = Callable[[Step], Int[Tensor, " batch"]]
"""For every row, the number of the vector that base is pushed by at this step, or -1."""


def tuned_decides(decisions: Decisions, vectors: Sequence[SteeringVector], d_vocab: int) -> Onsets:
    """Where tuned would decide otherwise than base, the vector that opens tuned's token."""
    gate, table = decision_tokens(decisions), onset_table(vectors, d_vocab)

    def onsets(step: Step) -> Int[Tensor, " batch"]:
        routed = gate(step)
        if not routed.any():
            return torch.full_like(step.base_token, -1)
        return torch.where(routed, table.to(step.tuned_token.device)[step.tuned_token], -1)

    return onsets


def router_decides(router: Router, vectors: Sequence[SteeringVector]) -> Onsets:
    """Where the router fires, the vector whose opening base itself finds most likely.

    With a router that looks at base alone, such as a probe or `base_about_to_decide`, nothing of tuned is left at
    writing time but the vectors. One vector that opens anything is used wherever the router fires.
    """
    opens = [vector.opens for vector in vectors]
    if None in opens and len(opens) > 1:
        raise ValueError("one of several vectors opens anything, so base cannot choose between them; give it alone")

    def onsets(step: Step) -> Int[Tensor, " batch"]:
        fires = router(step)
        if opens == [None]:
            return torch.where(fires, 0, -1)
        tokens = torch.tensor([int(token or 0) for token in opens], device=step.base_logits.device)
        return torch.where(fires, step.base_logits[:, tokens].argmax(-1), -1)

    return onsets


def random_onsets(rate: float, n_vectors: int, *, seed: int, draw: int = 0) -> Onsets:
    """Each position with probability `rate`, by a vector drawn at random."""
    if not 0 <= rate <= 1:
        raise ValueError(f"rate is {rate}, a share of tokens lies between 0 and 1")

    @cache
    def drawn(problem: int, block: int) -> tuple[Float[np.ndarray, " positions"], Int[np.ndarray, " positions"]]:
        rng = np.random.default_rng((seed, draw, problem, block))
        return rng.random(BLOCK), rng.integers(n_vectors, size=BLOCK)

    def onsets(step: Step) -> Int[Tensor, " batch"]:
        block, place = divmod(step.written, BLOCK)
        draws = [drawn(int(problem), block) for problem in step.prompts]
        chosen = [int(which[place]) if uniform[place] < rate else -1 for uniform, which in draws]
        return torch.tensor(chosen, device=step.turn.tokens.device)

    return onsets


def write_steered(
    pair: Pair,
    prompts: Sequence[Sequence[int]],
    vectors: Sequence[SteeringVector],
    onsets: Onsets,
    *,
    max_new_tokens: int,
    coefficient: float = 1.0,
    hook: str | None = None,
    oracle: Literal["tuned", "base"] | None = None,
    candidates: Sequence[float] = (0.25, 0.5, 1.0, 2.0),
    batch_size: int = 256,
    watch: Callable[[Int[Tensor, " batch"]], None] | None = None,
) -> list[Hybrid]:
    """What base writes under steering; `routed` counts the onsets, `changed` those at which its token became another.

    `hook` may say where steering is meant: ValueError if a vector was fitted elsewhere, or on another base. `oracle`
    replaces the fixed coefficient by that of `candidates` whose token the named model likes best: a selection by an
    answer key and no longer a test of the vector, so results that use it have to say so. `watch` is shown the tokens
    of every step, after `onsets` was asked.
    """
    place = _one_place(pair, vectors, hook)
    directions = torch.stack([*(vector.direction for vector in vectors), torch.zeros_like(vectors[0].direction)])
    account = Account(len(prompts))

    def choose(turn: Turn) -> Int[Tensor, " batch"]:
        step = Step(turn)
        which, by_base = onsets(step), step.base_token
        token = by_base
        if which.shape != token.shape or which.is_floating_point():
            raise ValueError(
                f"onsets are {which.dtype} of shape {tuple(which.shape)}; a step of {len(token)} rows needs one vector "
                "number each, or -1"
            )
        at = which >= 0
        if at.any():
            added = directions[which]  # -1 is the last row, nothing
            strength = _best(turn, place, added, oracle, candidates) if oracle else coefficient
            token = turn.steered("base", place, strength * added).argmax(-1)
        account.count(step.prompts, at, token != by_base)
        if watch:
            watch(token)
        return token

    done = complete(
        pair,
        prompts,
        choose,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
    )
    return account.closed(done)


def _one_place(pair: Pair, vectors: Sequence[SteeringVector], hook: str | None) -> str:
    """The hook that all vectors were fitted at."""
    if not vectors:
        raise ValueError("there is no vector to steer by; give at least one")
    place = hook or vectors[0].hook
    for vector in vectors:
        if vector.hook != place:
            raise ValueError(
                f"the vector {vector.name!r} was fitted at {vector.hook} and cannot be applied at {place}; "
                "fit one there"
            )
        if vector.model != pair.base_checkpoint.digest:
            raise ValueError(
                f"the vector {vector.name!r} was fitted in model {vector.model} and cannot be applied in "
                f"{pair.base_checkpoint.digest}; fit one there"
            )
    return place


def _best(
    turn: Turn, place: str, added: Float[Tensor, "batch d_model"], judge: str, candidates: Sequence[float]
) -> Float[Tensor, "batch 1"]:
    """Per row the candidate coefficient whose token the judge finds most likely; base judges before it is steered."""
    likes = turn.logits(judge).log_softmax(-1)
    tokens = torch.stack([turn.steered("base", place, c * added).argmax(-1) for c in candidates], 1)
    best = likes.gather(1, tokens).argmax(1)
    return torch.tensor(list(candidates), device=best.device)[best][:, None]
