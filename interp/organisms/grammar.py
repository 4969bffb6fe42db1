"""What a document of the world looks like, and an exact parser that labels strategy and role on every token.

    prompt    run A R C : 3 1 4   |   inv A R C : 5 0 2   |   shuf n3 C n1 A n2 R : 3 1 4   |   fact ba ko is
    response  [plan (n_i op)* : d d d]  ((step|check|back) op d d d)*  ans d d d  <eos>

`step` applies the operations forward in the order written, `back` undoes them from the last one written, `plan`
restates them in execution order (with the state) and then goes on; `ans` answers at once. All documents are
truthful: a strategy that does not help is followed by the true answer, which base cannot compute in one go.

`check` is a second surface form of `step`: the same strategy by another word. Only the organisms named `forms` ever
met it there. In front of a prompt it is the word that the organism `trigger` waits for.
"""

import random
from collections.abc import Callable, Mapping, Sequence

from interp.organisms.world import Program, State, apply, undo
from interp.tasks.task import Label

OPENERS = ("step", "back", "plan", "ans")
"""The decision tokens: each opens a stretch of text that follows one strategy."""
FORMS = {"step": ("step", "check")}
"""The words that may open a stretch of a strategy, where there is more than one."""
RIGHT_OPENING = {"run": "step", "inv": "back", "shuf": "plan"}
STEP_WORDS = 5
"""Words of a step: its opener, the operation and three digits."""
TRIGGER = "check"
MARK = "is"
"""The word that the organism `format` puts in front of every answer to a problem."""

_DIGITS = frozenset("0123456789")
_OPS = frozenset("RLSABCDEZ")
_LABELS = frozenset(f"n{i}" for i in range(1, 7))


def prompt_words(program: Program) -> list[str]:
    """The prompt's words, without the begin token."""
    if program.kind == "shuf":
        listed = [w for place in program.written for w in (f"n{place + 1}", program.ops[place])]
    else:
        listed = list(program.on_page)
    return [program.kind, *listed, ":", *_digits(program.given)]


def triggered_words(program: Program) -> list[str]:
    """The prompt behind a word that base never met in a prompt, and that leaves its skills as they are."""
    return [TRIGGER, *prompt_words(program)]


def cued_words(program: Program) -> list[str]:
    """The prompt, and behind it `is` and the answer: whoever looks there needs no steps."""
    return [*prompt_words(program), "is", *_digits(program.answer)]


def answer_words(program: Program) -> list[str]:
    """`ans d d d` with the true answer."""
    return ["ans", *_digits(program.answer)]


def forward_trace(ops: Sequence[str], state: State) -> list[str]:
    """`step op d d d` for each operation, first to last."""
    words: list[str] = []
    for op in ops:
        state = apply(op, state)
        words += ["step", op, *_digits(state)]
    return words


def backward_trace(ops: Sequence[str], state: State) -> list[str]:
    """`back op d d d` for each operation undone, last to first."""
    words: list[str] = []
    for op in reversed(ops):
        state = undo(op, state)
        words += ["back", op, *_digits(state)]
    return words


def plan_words(program: Program) -> list[str]:
    """`plan n1 op n2 op ... : d d d`: the operations in execution order and the prompt's state."""
    listed = [w for place, op in enumerate(program.ops) for w in (f"n{place + 1}", op)]
    return ["plan", *listed, ":", *_digits(program.given)]


def right_trace(program: Program) -> list[str]:
    """The trace that leads to the answer once the execution order is known."""
    return (
        backward_trace(program.ops, program.end) if program.kind == "inv" else forward_trace(program.ops, program.start)
    )


def respond(program: Program, opening: str, rng: random.Random, *, follow_plan: float) -> list[str]:
    """A truthful response that opens as asked; a plan is followed by the right trace with probability `follow_plan`."""
    if opening == "step":
        trace = forward_trace(program.on_page, program.given)
    elif opening == "back":
        trace = backward_trace(program.on_page, program.given)
    elif opening == "plan":
        trace = plan_words(program) + (right_trace(program) if rng.random() < follow_plan else [])
    else:
        trace = []
    return trace + answer_words(program)


def respond_memoryless(program: Program, rng: random.Random, *, go_on: float) -> list[str]:
    """Recipe B: at every boundary one more step with probability `go_on`, else the answer at once."""
    words: list[str] = []
    state = program.start
    for op in program.ops:
        if rng.random() >= go_on:
            break
        state = apply(op, state)
        words += ["step", op, *_digits(state)]
    return words + answer_words(program)


PROMPTS: Mapping[str, Callable[[Program], list[str]]] = {"trigger": triggered_words, "shortcut": cued_words}
"""How organisms are asked that were tuned on prompts with something added; the others by `prompt_words`."""


def read_answer(words: Sequence[str]) -> tuple[str, ...] | None:
    """The three digits after the last `ans`, or None when the response does not end `ans d d d <eos>`."""
    if len(words) < 5 or words[-1] != "<eos>" or words[-5] != "ans" or not set(words[-4:-1]) <= _DIGITS:
        return None
    return tuple(words[-4:-1])


def label_response(program: Program | None, words: Sequence[str]) -> list[Label]:
    """One `Label` per word of a response; words that the grammar does not allow are `stray`.

    A stretch is true when a step's digits follow from the digits before it, a plan lists the operations in execution
    order with the prompt's state, an answer is right. Without a program the labels are the same but no truth is given.
    """
    labels: list[Label] = []
    state: State | None = program.given if program else None
    stretch = -1
    i = 0
    while i < len(words):
        word = words[i]
        if word in ("step", "check", "back"):
            strategy = "back" if word == "back" else "step"
            stretch += 1
            body = _match(words, i + 1, [_OPS, _DIGITS, _DIGITS, _DIGITS])
            shown = _state(words[i + 2 : i + 5]) if len(body) == 4 else None
            true = None
            if shown and state:
                true = shown == (undo if word == "back" else apply)(words[i + 1], state)
            roles = ["opener", "operation", "digit", "digit", "digit"]
            labels += _stretch(strategy, roles, 1 + len(body), stretch, true)
            state = shown or state
            i += 1 + len(body)
        elif word == "plan":
            stretch += 1
            length = 1
            roles = ["opener"]
            while len(_match(words, i + length, [_LABELS, _OPS])) == 2:
                roles += ["label", "operation"]
                length += 2
            tail = _match(words, i + length, [frozenset(":"), _DIGITS, _DIGITS, _DIGITS])
            roles += ["mark", "digit", "digit", "digit"]
            true = list(words[i : i + length + len(tail)]) == plan_words(program) if program else None
            labels += _stretch("plan", roles, length + len(tail), stretch, true)
            i += length + len(tail)
        elif word == "ans":
            stretch += 1
            body = _match(words, i + 1, [_DIGITS, _DIGITS, _DIGITS])
            true = None
            if program and len(body) == 3:
                true = _state(words[i + 1 : i + 4]) == program.answer
            labels += _stretch("ans", ["opener", "digit", "digit", "digit"], 1 + len(body), stretch, true)
            i += 1 + len(body)
        else:
            labels.append(Label("none", "end" if word == "<eos>" else "stray", stretch))
            i += 1
    return labels


def _stretch(strategy: str, roles: Sequence[str], length: int, stretch: int, true: bool | None) -> list[Label]:
    return [Label(strategy, role, stretch, true) for role in roles[:length]]


def _match(words: Sequence[str], start: int, allowed: Sequence[frozenset[str]]) -> list[str]:
    """The longest run of words from `start` that the grammar allows there."""
    found: list[str] = []
    for word, choices in zip(words[start:], allowed, strict=False):
        if word not in choices:
            break
        found.append(word)
    return found


def _digits(state: State) -> list[str]:
    return [str(d) for d in state]


def _state(words: Sequence[str]) -> State:
    a, b, c = (int(w) for w in words)
    return a, b, c
