"""Text that base and tuned write together, token by token, and the account of who wrote how much."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.decoding import Completion, Turn
from interp.pair import Pair
from interp.rollouts import complete
from interp.routing.step import Router, Step

NEAR_TIE = 1e-5
"""Logits: what cached steps, chunks and batches of one fp32 model differ by is up to about 5e-6 on this scale."""


@dataclass(frozen=True)
class Hybrid:
    """One problem's text: `written` tokens (the stop token counts), of which the router gave `routed` to tuned.

    At `changed` of these tuned's token differed from the one base would have written. `near_ties` are positions at
    which base's two best tokens, or tuned's where it wrote, lie within `NEAR_TIE`: rounding, and with it the batch,
    may decide there, and the text may go on otherwise in another run.
    """

    completion: Completion
    written: int
    routed: int
    changed: int
    near_ties: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.changed <= self.routed <= self.written:
            raise ValueError(
                f"changed {self.changed}, routed {self.routed} and written {self.written} tokens; "
                "each has to be at most the next"
            )


class Account:
    """Who wrote how much of every text, kept while it is written: one `count` per token, by `entry` for a router."""

    def __init__(self, n: int) -> None:
        self.written, self.routed, self.changed = (np.zeros(n, dtype=int) for _ in range(3))
        self.near_ties: list[list[int]] = [[] for _ in range(n)]

    def entry(self, step: Step, router: Router) -> Int[Tensor, " batch"]:
        """The next token of every row: tuned's where the router says so, else base's."""
        gate = checked(router(step), step)
        by_base, tie = step.base_token, near_tie(step.base_logits)
        token = by_base
        if gate.any():
            token = torch.where(gate, step.tuned_token, by_base)
            tie |= gate & near_tie(step.tuned_logits)
        self.count(step.prompts, gate, token != by_base)
        if tie.any():
            for problem in step.prompts[tie.cpu().numpy()]:
                self.near_ties[problem].append(step.written)
        return token

    def count(
        self, problems: Int[np.ndarray, " batch"], routed: Bool[Tensor, " batch"], changed: Bool[Tensor, " batch"]
    ) -> None:
        """One more token of every one of these problems' texts: was it routed, and is it another than base's?"""
        self.written[problems] += 1
        self.routed[problems] += routed.cpu().numpy()
        self.changed[problems] += changed.cpu().numpy()

    def closed(self, done: Sequence[Completion]) -> list[Hybrid]:
        """The texts with their accounts."""
        counts = zip(self.written.tolist(), self.routed.tolist(), self.changed.tolist(), strict=True)
        ties = map(tuple, self.near_ties)
        return [Hybrid(text, *count, tie) for text, count, tie in zip(done, counts, ties, strict=True)]


def write_together(
    pair: Pair, prompts: Sequence[Sequence[int]], router: Router, *, max_new_tokens: int, batch_size: int = 256
) -> list[Hybrid]:
    """Greedy decoding in which `router` decides at every position whether tuned's token stands in for base's.

    Each model keeps its own cache over the same text. Tuned is fed when the router looks at its logits or a row
    is routed, and then in one chunk; a model that is never asked is never fed.
    """
    account = Account(len(prompts))

    def choose(turn: Turn) -> Int[Tensor, " batch"]:
        return account.entry(Step(turn), router)

    done = complete(
        pair,
        prompts,
        choose,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
    )
    return account.closed(done)


def write_each(
    pair: Pair,
    prompts: Sequence[Sequence[int]],
    routers: Sequence[Router],
    *,
    max_new_tokens: int,
    batch_size: int = 256,
) -> list[list[Hybrid]]:
    """`write_together` by every one of these routers, as many of them side by side as fit into one batch.

    The steps of a small model cost about the same however many rows they have, so few problems are asked once for
    several routers. Every router sees all rows, by the numbers that the problems have in `prompts`.
    """
    n, at_once = len(prompts), max(1, batch_size // max(1, len(prompts)))
    found: list[list[Hybrid]] = []
    for start in range(0, len(routers), at_once):
        group = routers[start : start + at_once]
        router = group[0] if len(group) == 1 else _side_by_side(group, n)
        every = [prompt for _ in group for prompt in prompts]
        texts = write_together(pair, every, router, max_new_tokens=max_new_tokens, batch_size=batch_size)
        found += [texts[i * n : (i + 1) * n] for i in range(len(group))]
    return found


def _side_by_side(routers: Sequence[Router], n: int) -> Router:
    """Row i of a step belongs to the router with the number of its prompt over `n`."""

    def router(step: Step) -> Bool[Tensor, " batch"]:
        whose = torch.from_numpy(step.prompts // n).to(step.turn.tokens.device)
        of_all = Step(replace(step.turn, prompts=step.prompts % n))
        answer = step.every_row(False)
        for number, one in enumerate(routers):
            mine = whose == number
            if mine.any():
                answer = torch.where(mine, checked(one(of_all), step), answer)
        return answer

    return router


def near_tie(logits: Float[Tensor, "batch d_vocab"]) -> Bool[Tensor, " batch"]:
    """Whether the two best tokens lie within `NEAR_TIE`."""
    return gap(logits) < NEAR_TIE


def gap(logits: Float[Tensor, "batch d_vocab"]) -> Float[Tensor, " batch"]:
    """The best logit less the second best."""
    best = logits.topk(2, -1).values
    return best[:, 0] - best[:, 1]


def checked(gate: object, step: Step) -> Bool[Tensor, " batch"]:
    """The router's answer, refused unless it is one yes or no per row."""
    rows = len(step.prompts)
    if not isinstance(gate, Tensor):
        raise ValueError(f"the router returned {type(gate).__name__}; a step of {rows} rows needs {rows} booleans")
    if gate.dtype != torch.bool or gate.shape != (rows,):
        raise ValueError(
            f"the router returned {gate.dtype} of shape {tuple(gate.shape)}; "
            f"a step of {rows} rows needs torch.bool of shape ({rows},)"
        )
    return gate
