"""Chains read back: the steps that a response to a trip is made of, their audit, and exact counterfactuals of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from interp.organisms.errands.trips import (
    LAYOUTS,
    MARKS,
    NONE,
    OPS,
    PER_STEP,
    State,
    Trip,
    read_answer,
    run,
    step_words,
)

_DIGITS = frozenset("0123456789")


@dataclass(frozen=True)
class Step:
    """One step as written: its opener (`do`, `so` or `call`), operations, result, and the words `start` to `end`."""

    opener: str
    ops: tuple[str, ...]
    after: State
    start: int
    end: int


@dataclass(frozen=True)
class ChainAudit:
    """What a response to a trip is worth, step by step.

    `layout` is the opener that all steps share, "mixed", or "" without steps. `planned[i]`: step i has the operations
    that are due (right so far and no others). `executed[i]`: its digits follow from those before it by the operations
    it names. `complete`: the steps, all planned, go through the whole trip. `consistent`: the answer is the state that
    the last step shows. `read`: every word belongs to a step or to the answer.
    """

    layout: str
    steps: tuple[Step, ...]
    planned: tuple[bool, ...]
    executed: tuple[bool, ...]
    complete: bool
    answer: tuple[str, ...] | None
    right: bool
    abstained: bool
    consistent: bool
    read: bool

    @property
    def verified(self) -> bool:
        """Whether the answer is right and so is the whole way to it."""
        return self.right and self.complete and all(self.executed)


def read_steps(words: Sequence[str]) -> list[Step]:
    """The steps from the first word on, up to the first word that opens none."""
    steps: list[Step] = []
    at = 0
    while (step := _step_at(words, at)) is not None:
        steps.append(step)
        at = step.end
    return steps


def audit(trip: Trip, words: Sequence[str]) -> ChainAudit:
    """Follow a response (with its `<eos>`) along the trip."""
    steps = read_steps(words)
    done, state = 0, trip.start
    planned: list[bool] = []
    executed: list[bool] = []
    for step in steps:
        size = PER_STEP.get(trip.mode, 1)
        planned.append(all(planned) and step.ops == trip.ops[done : done + size])
        executed.append(run(step.ops, state) == step.after)
        done, state = done + len(step.ops), step.after
    answer = read_answer(words)
    layouts = {step.opener for step in steps}
    end = steps[-1].end if steps else 0
    return ChainAudit(
        layout=layouts.pop() if len(layouts) == 1 else "mixed" if layouts else "",
        steps=tuple(steps),
        planned=tuple(planned),
        executed=tuple(executed),
        complete=bool(steps) and all(planned) and done == len(trip.ops),
        answer=answer,
        right=answer == trip.answer,
        abstained=answer == (NONE,),
        consistent=bool(steps) and answer == (str(state[0]), str(state[1])),
        read=answer is not None and len(words) - end == 2 + len(answer),
    )


def corrupted(words: Sequence[str], number: int, after: State) -> list[str]:
    """The chain up to and with step `number`, in which that step shows another result; what follows is cut off."""
    steps = read_steps(words)
    if not 0 <= number < len(steps):
        raise ValueError(f"step {number} was to be changed, but the chain has {len(steps)}")
    step = steps[number]
    return [*words[: step.start], *step_words(step.opener, step.ops, after)]


def carried_on(trip: Trip, number: int, after: State) -> State:
    """The answer that follows if step `number` has left the state at `after`: the exact counterfactual."""
    return run(trip.ops[(number + 1) * PER_STEP[trip.mode] :], after)


def other_layout(words: Sequence[str]) -> list[str]:
    """The same response with every `do` step written as `so` and the other way round; equally long."""
    swapped = list(words)
    for step in read_steps(words):
        if step.opener in LAYOUTS:
            other = LAYOUTS[1 - LAYOUTS.index(step.opener)]
            swapped[step.start : step.end] = step_words(other, step.ops, step.after)
    return swapped


def _step_at(words: Sequence[str], at: int) -> Step | None:
    """The step that starts at a word, or None where there is none or it breaks off."""
    if at >= len(words) or words[at] not in MARKS:
        return None
    end = at + 1
    while end < len(words) and words[end] in OPS:
        end += 1
    ops, rest = tuple(words[at + 1 : end]), words[end : end + 3]
    if not ops or len(rest) < 3 or rest[0] != MARKS[words[at]] or not set(rest[1:]) <= _DIGITS:
        return None
    return Step(words[at], ops, (int(rest[1]), int(rest[2])), at, end + 3)
