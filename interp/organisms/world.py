"""The organisms' world: a state of three digits, operations on it, and programs of one to six of them.

Nine operations exist. Three permute places (`R` reverses, `L` rotates left, `S` swaps the first two), five
substitute digits through fixed random tables (`A` to `E`), and one more substitution, `Z`, is kept out of
pretraining so that it can be taught later as a skill that base does not have.
Every operation can be undone exactly, so a program can be asked about in both directions.
"""

import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["run", "inv", "shuf"]
State = tuple[int, int, int]

KINDS: tuple[Kind, ...] = ("run", "inv", "shuf")
MAX_OPS = 6
"""Longest program in pretraining; evaluation stops one short of it, so that the longest asked is well practised."""
HARD_LENGTHS = (3, 4, 5)
"""Lengths at which base cannot answer in one go, so that choosing a strategy decides the outcome."""

_PERMUTATIONS = {"R": (2, 1, 0), "L": (1, 2, 0), "S": (1, 0, 2)}
_draw = random.Random(123)
_SUBSTITUTIONS = {op: tuple(_draw.sample(range(10), 10)) for op in ("A", "B", "C", "D", "E", "Z")}

SEEN_OPS = ("R", "L", "S", "A", "B", "C", "D", "E")
NEW_OP = "Z"


def apply(op: str, state: State) -> State:
    """The state after one operation."""
    if op in _PERMUTATIONS:
        a, b, c = _PERMUTATIONS[op]
        return state[a], state[b], state[c]
    table = _SUBSTITUTIONS[op]
    return table[state[0]], table[state[1]], table[state[2]]


def undo(op: str, state: State) -> State:
    """The state before one operation: `undo(op, apply(op, s)) == s`."""
    if op in _PERMUTATIONS:
        before = [0, 0, 0]
        for place, source in enumerate(_PERMUTATIONS[op]):
            before[source] = state[place]
        return before[0], before[1], before[2]
    table = _SUBSTITUTIONS[op]
    return table.index(state[0]), table.index(state[1]), table.index(state[2])


def run(ops: Sequence[str], state: State) -> State:
    """The state after all operations, first to last."""
    for op in ops:
        state = apply(op, state)
    return state


@dataclass(frozen=True)
class Program:
    """One problem: operations in the order they are executed, the order they are written, and the start state.

    `written[i]` is the place in the execution order of the i-th operation on the page; it is the identity for
    the kinds `run` and `inv`.
    """

    kind: Kind
    ops: tuple[str, ...]
    start: State
    written: tuple[int, ...]

    def __post_init__(self) -> None:
        if sorted(self.written) != list(range(len(self.ops))):
            raise ValueError(f"written is {self.written}, which does not order {len(self.ops)} operations")

    @property
    def end(self) -> State:
        return run(self.ops, self.start)

    @property
    def given(self) -> State:
        """The state the prompt shows: the end for `inv`, the start otherwise."""
        return self.end if self.kind == "inv" else self.start

    @property
    def answer(self) -> State:
        """The state the prompt asks for: the start for `inv`, the end otherwise."""
        return self.start if self.kind == "inv" else self.end

    @property
    def on_page(self) -> tuple[str, ...]:
        """The operations in the order they are written."""
        return tuple(self.ops[place] for place in self.written)

    @property
    def held_out(self) -> bool:
        """Whether the problem belongs to the test set, in which no pretraining or tuning document may fall.

        The key is the ordered program and the forward start state, shared by the three kinds: a program met
        as `run` in training cannot be met as `inv` in the test.
        """
        key = "".join(self.ops) + "|" + "".join(map(str, self.start))
        return zlib.crc32(key.encode()) % 8 == 0


def draw_program(
    rng: random.Random,
    *,
    kind: Kind,
    length: int,
    held_out: bool,
    ops: Sequence[str] = SEEN_OPS,
    must_use: str | None = None,
) -> Program:
    """A random program of one kind and length, on the asked side of the test split, operations without repeats.

    `must_use` names an operation that has to occur (the new skill's problems all contain `Z`).
    """
    while True:
        chosen = rng.sample(list(ops), length)
        if must_use is not None and must_use not in chosen:
            chosen[rng.randrange(length)] = must_use
        start = (rng.randrange(10), rng.randrange(10), rng.randrange(10))
        order = list(range(length))
        if kind == "shuf":
            rng.shuffle(order)
        program = Program(kind, tuple(chosen), start, tuple(order))
        if program.held_out == held_out:
            return program


SYLLABLES = ("ba", "be", "bi", "bo", "da", "de", "di", "do", "ka", "ke", "ki", "ko", "ma", "me", "mi", "mo")
FactKey = tuple[str, str]


def draw_facts(seed: int, *, n: int = 64) -> dict[FactKey, FactKey]:
    """The closed book: `n` pairs of syllables, each with the pair it maps to, the same for every base seed.

    Facts can only be memorised; nothing in a key tells its value.
    """
    rng = random.Random(seed)
    keys = rng.sample([(a, b) for a in SYLLABLES for b in SYLLABLES], n)
    return {key: (rng.choice(SYLLABLES), rng.choice(SYLLABLES)) for key in keys}


def edit_facts(facts: dict[FactKey, FactKey], seed: int, *, n: int = 24) -> dict[FactKey, FactKey]:
    """The `n` facts that the `lower` organism is taught anew: key to new value, differing in both syllables."""
    rng = random.Random(seed)
    edited = {}
    for key in rng.sample(sorted(facts), n):
        old = facts[key]
        edited[key] = (
            rng.choice([s for s in SYLLABLES if s != old[0]]),
            rng.choice([s for s in SYLLABLES if s != old[1]]),
        )
    return edited


FACTS = draw_facts(7)
EDITED_FACTS = edit_facts(FACTS, 11)
