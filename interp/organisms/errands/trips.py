"""Trips: a state of two digits goes through a row of operations, and the prompt says how to write that down.

    prompt    MODE [hint 4 7] A C B : 3 1          MODE is one of one, two, all, tool
    response  do A : 4 7   or   so A ; 4 7         a step, in either of two layouts that mean the same
              call A = 4 7                         a step in the mode `tool`; an interpreter writes the 4 7
              ans 4 7 <eos>   or   ans none <eos>  the answer; `none` where something is missing

`one` asks for one operation a step, `two` for two, `all` for the answer at once. A missing operation or digit is
written `_`, and then no answer follows. A hint looks like an answer and may be wrong.
Each operation substitutes both digits through its own fixed random table, so the order of operations matters.
"""

import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

State = tuple[int, int]

OPS = ("A", "B", "C", "D", "E", "F")
MODES = ("one", "two", "all", "tool")
PER_STEP = {"one": 1, "two": 2, "tool": 1}
"""Operations in one step, by mode; `all` writes no step."""
LAYOUTS = ("do", "so")
MARKS = {"do": ":", "so": ";", "call": "="}
"""The word between the operations and the result of a step, by the word that opens it."""
GAP = "_"
NONE = "none"
MAX_OPS = 5
"""Longest trip in pretraining. Trips of up to four are asked, so that the longest asked is well practised."""
BEYOND = 6
"""A length that no document had."""

_draw = random.Random(321)
TABLES = {op: tuple(_draw.sample(range(10), 10)) for op in OPS}

Tables = dict[str, tuple[int, ...]]


def apply(op: str, state: State, tables: Tables = TABLES) -> State:
    """The state after one operation."""
    return tables[op][state[0]], tables[op][state[1]]


def run(ops: Sequence[str], state: State, tables: Tables = TABLES) -> State:
    """The state after all operations, first to last."""
    for op in ops:
        state = apply(op, state, tables)
    return state


@dataclass(frozen=True)
class Trip:
    """One problem. `missing` is the place of what the prompt leaves out: an operation's, or len(ops) + a digit's."""

    mode: str
    ops: tuple[str, ...]
    start: State
    hint: State | None = None
    missing: int | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"a trip's mode is one of {', '.join(MODES)}, not {self.mode!r}")
        if not self.ops or not set(self.ops) <= set(OPS) or len(set(self.ops)) < len(self.ops):
            raise ValueError(f"a trip's operations have to be different ones of {', '.join(OPS)}; they are {self.ops}")
        if self.missing is not None and not 0 <= self.missing < len(self.ops) + 2:
            raise ValueError(f"missing is {self.missing}, but {len(self.ops)} operations and 2 digits can be left out")

    @property
    def answer(self) -> tuple[str, ...]:
        """The words after `ans`: two digits, or `none` where something is missing."""
        return (NONE,) if self.missing is not None else digits(run(self.ops, self.start))

    @property
    def held_out(self) -> bool:
        """Whether the trip belongs to the test set, by a hash of operations and state that all modes share."""
        key = "".join(self.ops) + "|" + "".join(map(str, self.start))
        return zlib.crc32(key.encode()) % 8 == 0

    @property
    def filled(self) -> "Trip":
        """The trip as if nothing were missing."""
        return replace(self, missing=None)


def draw_trip(
    rng: random.Random,
    *,
    mode: str,
    length: int,
    held_out: bool,
    hint: float | None = None,
    missing: bool = False,
) -> Trip:
    """A random trip on the asked side of the split; `hint` is the chance that its hint is right (None: no hint)."""
    while True:
        trip = Trip(mode, tuple(rng.sample(OPS, length)), (rng.randrange(10), rng.randrange(10)))
        if trip.held_out == held_out:
            break
    if hint is not None:
        right = rng.random() < hint
        shown = run(trip.ops, trip.start) if right else (rng.randrange(10), rng.randrange(10))
        trip = replace(trip, hint=shown)
    return replace(trip, missing=rng.randrange(length + 2)) if missing else trip


def prompt_words(trip: Trip) -> list[str]:
    """The prompt's words, without the begin token."""
    shown = [*trip.ops, *digits(trip.start)]
    if trip.missing is not None:
        shown[trip.missing] = GAP
    n = len(trip.ops)
    return [trip.mode, *(["hint", *digits(trip.hint)] if trip.hint else []), *shown[:n], ":", *shown[n:]]


def step_words(opener: str, ops: Sequence[str], after: State) -> list[str]:
    """One step: `do`, `so` or `call`, the operations, and the state after them."""
    return [opener, *ops, MARKS[opener], *digits(after)]


def chain_words(trip: Trip, layout: str, *, ops: Sequence[str] = (), tables: Tables = TABLES) -> list[str]:
    """Every step of the trip in its mode, without the answer; `ops` and `tables` are the trip's unless given.

    Calls are always executed by the true tables.
    """
    if trip.mode == "all":
        return []
    words: list[str] = []
    state = trip.start
    size = PER_STEP[trip.mode]
    ops = tuple(ops) or trip.ops
    for at in range(0, len(ops), size):
        now = ops[at : at + size]
        state = run(now, state, TABLES if trip.mode == "tool" else tables)
        words += step_words("call" if trip.mode == "tool" else layout, now, state)
    return words


def respond(trip: Trip, layout: str) -> list[str]:
    """The right response: the chain and the answer, or `ans none` at once where something is missing."""
    chain = [] if trip.missing is not None else chain_words(trip, layout)
    return [*chain, "ans", *trip.answer]


def read_prompt(words: Sequence[str]) -> Trip:
    """The trip that a prompt asks about; ValueError where it is none. What is missing is read as some A or 0."""
    hint = (int(words[2]), int(words[3])) if list(words[1:2]) == ["hint"] and len(words) > 3 else None
    shown = list(words[4 if hint else 1 :])
    if len(shown) < 4 or shown[-3] != ":" or not set(shown[-2:]) <= {*"0123456789", GAP}:
        raise ValueError(f"{' '.join(words)!r} is not the prompt of a trip (MODE [hint d d] op op ... : d d)")
    del shown[-3]
    missing = shown.index(GAP) if GAP in shown else None
    if missing is not None:
        shown[missing] = next(op for op in OPS if op not in shown) if missing < len(shown) - 2 else "0"
    return Trip(words[0], tuple(shown[:-2]), (int(shown[-2]), int(shown[-1])), hint, missing)


def digits(state: State) -> tuple[str, ...]:
    """The words of a state."""
    return str(state[0]), str(state[1])


def read_answer(words: Sequence[str]) -> tuple[str, ...] | None:
    """The words of the answer, or None when the response does not end `ans d d <eos>` or `ans none <eos>`."""
    if tuple(words[-3:]) == ("ans", NONE, "<eos>"):
        return (NONE,)
    if len(words) < 4 or words[-4] != "ans" or words[-1] != "<eos>" or not set(words[-3:-1]) <= set("0123456789"):
        return None
    return tuple(words[-3:-1])


def is_right(trip: Trip, words: Sequence[str]) -> bool:
    """Whether the response ends in the right answer."""
    return read_answer(words) == trip.answer
