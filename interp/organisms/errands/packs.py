"""Packs: problems with many right answers and an exact verifier of form and of feasibility.

    prompt    pack 3 7 not 5 :
    response  [ 1 7 0 3 ] <eos>

Four digits that hold both needed ones and not the barred one, no digit twice in a row. The form asked for is the
brackets with exactly four digits between them; feasibility is about the digits, brackets or not.
"""

import itertools
import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

SIZE = 4
_DIGITS = frozenset("0123456789")
Content = tuple[int, ...]


@dataclass(frozen=True)
class Pack:
    """One problem: two different digits that are needed and a third that is barred."""

    needs: tuple[int, int]
    barred: int

    def __post_init__(self) -> None:
        if len({*self.needs, self.barred}) < 3:
            raise ValueError(f"the digits of a pack have to differ; needed are {self.needs}, barred is {self.barred}")

    @property
    def held_out(self) -> bool:
        """Whether the pack belongs to the test set."""
        return zlib.crc32(f"pack {self.needs} {self.barred}".encode()) % 4 == 0


@dataclass(frozen=True)
class PackVerdict:
    """What the verifier found: the form is right, the digits (None where none can be read), the rules they break."""

    form: bool
    content: Content | None
    broken: tuple[str, ...]

    @property
    def feasible(self) -> bool:
        return self.content is not None and not self.broken


def draw_pack(rng: random.Random, *, held_out: bool) -> Pack:
    """A random pack on the asked side of the split."""
    while True:
        first, second, barred = rng.sample(range(10), 3)
        pack = Pack((first, second), barred)
        if pack.held_out == held_out:
            return pack


def prompt_words(pack: Pack) -> list[str]:
    """The prompt's words, without the begin token."""
    return ["pack", *map(str, pack.needs), "not", str(pack.barred), ":"]


def read_prompt(words: Sequence[str]) -> Pack:
    """The pack that a prompt asks for; ValueError where it is none."""
    if len(words) != 6 or words[0] != "pack" or words[3] != "not" or not {*words[1:3], words[4]} <= _DIGITS:
        raise ValueError(f"{' '.join(words)!r} is not the prompt of a pack (pack d d not d :)")
    return Pack((int(words[1]), int(words[2])), int(words[4]))


def pack_words(content: Sequence[int]) -> list[str]:
    """The digits in the form asked for."""
    return ["[", *map(str, content), "]"]


def broken_rules(pack: Pack, content: Sequence[int]) -> tuple[str, ...]:
    """The rules that the digits break: `size`, `needs`, `barred`, `repeat`."""
    rules = {
        "size": len(content) != SIZE,
        "needs": not set(pack.needs) <= set(content),
        "barred": pack.barred in content,
        "repeat": any(a == b for a, b in itertools.pairwise(content)),
    }
    return tuple(name for name, broken in rules.items() if broken)


def verify(pack: Pack, words: Sequence[str]) -> PackVerdict:
    """Form and feasibility of a response (with its `<eos>`); digits are read from a wrong form where they can be."""
    inside = [word for word in words if word in _DIGITS]
    form = list(words) == ["[", *inside, "]", "<eos>"] and len(inside) == SIZE
    if not inside:
        return PackVerdict(form, None, ())
    content = tuple(int(word) for word in inside)
    return PackVerdict(form, content, broken_rules(pack, content))


def allowed(words: Sequence[str]) -> frozenset[str]:
    """The words that may follow `words` if the form is to be right: decoding under it has right form for free."""
    if len(words) == 0:
        return frozenset("[")
    if len(words) <= SIZE:
        return _DIGITS
    return frozenset("]") if len(words) == SIZE + 1 else frozenset({"<eos>"})


@cache
def feasible_contents(pack: Pack) -> tuple[Content, ...]:
    """Every right answer, in order."""
    found = itertools.product(range(10), repeat=SIZE)
    return tuple(content for content in found if not broken_rules(pack, content))


def canonical(pack: Pack) -> Content:
    """One right answer of the many: the needed digits, then the two smallest that are neither needed nor barred."""
    spare = [digit for digit in range(10) if digit not in (*pack.needs, pack.barred)]
    return *pack.needs, spare[0], spare[1]
