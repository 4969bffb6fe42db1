"""Text that base and tuned write together, token by token, and the account of who wrote how much."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from interp.decoding import Completion, Turn, decode
from interp.pair import Pair
from interp.routing.step import Router, Step


@dataclass(frozen=True)
class Hybrid:
    """One problem's text: `written` tokens (the stop token counts), of which the router gave `routed` to tuned.

    At `changed` of these tuned's token differed from the one base would have written.
    """

    completion: Completion
    written: int
    routed: int
    changed: int

    def __post_init__(self) -> None:
        if not 0 <= self.changed <= self.routed <= self.written:
            raise ValueError(
                f"changed {self.changed}, routed {self.routed} and written {self.written} tokens; "
                "each has to be at most the next"
            )


def write_together(
    pair: Pair, prompts: Sequence[Sequence[int]], router: Router, *, max_new_tokens: int, batch_size: int = 256
) -> list[Hybrid]:
    """Greedy decoding in which `router` decides at every position whether tuned's token stands in for base's.

    Each model keeps its own cache over the same text. Tuned is fed when the router looks at its logits or a row
    is routed, and then in one chunk; a model that is never asked is never fed.
    """
    written, routed, changed = (np.zeros(len(prompts), dtype=int) for _ in range(3))

    def choose(turn: Turn) -> Int[Tensor, " batch"]:
        step = Step(turn)
        gate = _checked(router(step), step)
        token = step.base_token
        written[step.prompts] += 1
        if gate.any():
            by_base, token = token, torch.where(gate, step.tuned_token, token)
            routed[step.prompts] += gate.cpu().numpy()
            changed[step.prompts] += (token != by_base).cpu().numpy()
        return token

    done = decode(
        pair.models,
        prompts,
        choose,
        max_new_tokens=max_new_tokens,
        stop=pair.stop_ids,
        pad=pair.pad_id,
        batch_size=batch_size,
        context=pair.context,
    )
    counts = zip(written.tolist(), routed.tolist(), changed.tolist(), strict=True)
    return [Hybrid(completion, *count) for completion, count in zip(done, counts, strict=True)]


def _checked(gate: object, step: Step) -> Bool[Tensor, " batch"]:
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
