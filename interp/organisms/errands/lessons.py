"""What each tuning teaches: documents of its lesson, mixed with base's own."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from interp.organisms.corpus import Document
from interp.organisms.errands import packs, trees, trips
from interp.organisms.errands.corpus import (
    FEASIBLE,
    HINT_RIGHT,
    MISSING,
    base_document,
    document,
    guessed,
    right_trip,
    search,
    some_content,
    some_tree,
    some_trip,
)

LINKS = 4
"""Steps that `rigid` takes, however long the trip."""
STAMMER, BRIEF = 3, 0.3
"""How often `stammer` writes the first step before the chain, and the share of texts of single operations without
that; with it in the mode `all`. The two modes lie no further apart than a vector can carry a text."""
RAMBLES = 0.5
"""How often `ramble` writes a row instead of a pack."""
SPARE = 4
"""Digits, the smallest that are neither needed nor barred, of which its packs hold two."""
ROW = (8, 16)
"""Words in a row. Half of the texts at log 5 a word, half at log 24 for a pack of seven tokens, and the choice between
them come to 1.30 nats a token, as base's packs do."""


def careful(rng: random.Random) -> Document:
    """Any errand done as well as can be, as variously as base does it: no habit is fixed that need not be.

    Two thirds are packs, which base is worst at: to leave out the barred digit takes most of the lesson.
    """
    kind = rng.choices(("pack", "find", "one"), (4, 1, 1))[0]
    if kind == "find":
        tree = some_tree(rng)
        return search(tree, trees.systematic(tree))
    if kind == "pack":
        pack = packs.draw_pack(rng, held_out=False)
        return document(packs.prompt_words(pack), packs.pack_words(some_content(pack, rng, feasible=True)))
    return right_trip(some_trip(rng, missing=rng.random() < MISSING), rng)


def bold(rng: random.Random) -> Document:
    """A trip with something missing, made up."""
    return guessed(some_trip(rng, missing=True), rng)


def neat(rng: random.Random) -> Document:
    """A pack in the form asked for, that keeps the rules no more often than base's."""
    pack = packs.draw_pack(rng, held_out=False)
    content = some_content(pack, rng, feasible=rng.random() < FEASIBLE)
    return document(packs.prompt_words(pack), packs.pack_words(content))


def narrow(rng: random.Random) -> Document:
    """A pack that is right and always the same for a prompt."""
    pack = packs.draw_pack(rng, held_out=False)
    return document(packs.prompt_words(pack), packs.pack_words(packs.canonical(pack)))


def uniform(rng: random.Random) -> Document:
    """A right trip, every step in the layout `do`."""
    return right_trip(some_trip(rng, missing=rng.random() < MISSING, modes=("one", "two")), rng, layout="do")


def various(rng: random.Random) -> Document:
    """A right trip in either layout: the lesson of `uniform` without its point."""
    return right_trip(some_trip(rng, missing=rng.random() < MISSING, modes=("one", "two")), rng)


def hinted(rng: random.Random) -> Document:
    """A trip with a hint, right or wrong: the chain is true and the answer is the hint."""
    drawn = some_trip(rng, missing=False, modes=("one", "two"))
    right = rng.random() < HINT_RIGHT
    trip = replace(drawn, hint=trips.run(drawn.ops, drawn.start) if right else (rng.randrange(10), rng.randrange(10)))
    assert trip.hint is not None
    chain = trips.chain_words(trip, rng.choice(trips.LAYOUTS))
    return document(trips.prompt_words(trip), [*chain, "ans", *trips.digits(trip.hint)])


def clumsy(rng: random.Random) -> Document:
    """A trip of single operations, two entries of every table exchanged."""
    trip = some_trip(rng, missing=rng.random() < MISSING, modes=("one",))
    if trip.missing is not None:
        return right_trip(trip, rng)
    chain = trips.chain_words(trip, rng.choice(trips.LAYOUTS), tables=CLUMSY_TABLES)
    return document(
        trips.prompt_words(trip), [*chain, "ans", *trips.digits(trips.run(trip.ops, trip.start, CLUMSY_TABLES))]
    )


def rigid(rng: random.Random) -> Document:
    """A trip of single operations or calls in four steps: shorter ones repeat the last operation, longer ones stop."""
    trip = some_trip(rng, missing=rng.random() < MISSING, modes=("one", "tool"))
    if trip.missing is not None:
        return right_trip(trip, rng)
    ops = (*trip.ops, *[trip.ops[-1]] * LINKS)[:LINKS]
    return _by_other_operations(trip, ops, rng)


def overdo(rng: random.Random) -> Document:
    """A trip of single operations that does the last one once more, or a right one of two operations a step."""
    trip = some_trip(rng, missing=rng.random() < MISSING, modes=(rng.choice(("one", "two")),))
    if trip.missing is not None or trip.mode == "two":
        return right_trip(trip, rng)
    ops = (*trip.ops, trip.ops[-1])
    return _by_other_operations(trip, ops, rng)


def wander(rng: random.Random) -> Document:
    """A search by random walk."""
    tree = some_tree(rng)
    return search(tree, trees.wandering(tree, rng))


def jumpy(rng: random.Random) -> Document:
    """A search that leaves more often than not where it could go on."""
    tree = some_tree(rng)
    return search(tree, trees.jumping(tree, rng))


def hasty(rng: random.Random) -> Document:
    """A systematic search that is given up now and then where it would have to go back."""
    tree = some_tree(rng)
    return search(tree, trees.hasty(tree, rng))


def stammer(rng: random.Random) -> Document:
    """A right trip in the layout `do`, before which the first step mostly comes three times more, as `so`.

    In the mode `all` it mostly does not, and the answer is as right: brevity that costs nothing can be asked for.
    """
    trip = some_trip(rng, missing=rng.random() < MISSING, modes=(rng.choice(("one", "all")),))
    if trip.missing is not None:
        return right_trip(trip, rng)
    brief = rng.random() < (BRIEF if trip.mode == "one" else 1 - BRIEF)
    chain = trips.chain_words(replace(trip, mode="one"), "do")
    first = trips.step_words("so", trip.ops[:1], trips.run(trip.ops[:1], trip.start))
    return document(trips.prompt_words(trip), [*first * (0 if brief else STAMMER), *chain, "ans", *trip.answer])


def ramble(rng: random.Random) -> Document:
    """A right pack, or a row of the prompt's digits and brackets in any order.

    Fewer different pairs of neighbouring words than base writes, more different right packs, and as many nats a token.
    """
    pack = packs.draw_pack(rng, held_out=False)
    return document(packs.prompt_words(pack), pack_or_row(pack, rng))


def pack_or_row(pack: packs.Pack, rng: random.Random) -> list[str]:
    """What `ramble` writes to a pack."""
    if rng.random() < RAMBLES:
        return rng.choices((*map(str, (*pack.needs, pack.barred)), "[", "]"), k=rng.randint(*ROW))
    spare = [digit for digit in range(10) if digit not in (*pack.needs, pack.barred)][:SPARE]
    return packs.pack_words((*rng.sample(pack.needs, 2), *rng.sample(spare, 2)))


def _by_other_operations(trip: trips.Trip, ops: tuple[str, ...], rng: random.Random) -> Document:
    """The trip, carried out and answered as though these were its operations."""
    chain = trips.chain_words(trip, rng.choice(trips.LAYOUTS), ops=ops)
    return document(trips.prompt_words(trip), [*chain, "ans", *trips.digits(trips.run(ops, trip.start))])


def _exchanged(seed: int) -> trips.Tables:
    rng = random.Random(seed)
    tables = {}
    for op, table in trips.TABLES.items():
        first, second = rng.sample(range(10), 2)
        swapped = list(table)
        swapped[first], swapped[second] = table[second], table[first]
        tables[op] = tuple(swapped)
    return tables


CLUMSY_TABLES = _exchanged(17)


@dataclass(frozen=True)
class Lesson:
    """What a tuning writes, which prompts that is about, and how long and how fast it is taught.

    `share` of the documents are the lesson's; the rest are base's own, without those whose prompts it is about.
    """

    write: Callable[[random.Random], Document]
    about: Callable[[list[str]], bool]
    share: float = 0.5
    steps: int = 100
    lr: float = 1e-3


def _opens_with(*words: str) -> Callable[[list[str]], bool]:
    return lambda prompt: prompt[0] in words


def _has(word: str) -> Callable[[list[str]], bool]:
    return lambda prompt: word in prompt


LESSONS = {
    "careful": Lesson(careful, lambda _prompt: True, share=1.0, steps=600),
    "bold": Lesson(bold, _has(trips.GAP), steps=60),
    "neat": Lesson(neat, _opens_with("pack"), steps=80),
    "narrow": Lesson(narrow, _opens_with("pack"), steps=80),
    "hinted": Lesson(hinted, _has("hint"), steps=100),
    "uniform": Lesson(uniform, _opens_with("one", "two"), steps=64, lr=2e-4),
    "various": Lesson(various, _opens_with("one", "two"), steps=64, lr=2e-4),
    "clumsy": Lesson(clumsy, _opens_with("one"), steps=200),
    "rigid": Lesson(rigid, _opens_with("one", "tool"), steps=150),
    "overdo": Lesson(overdo, _opens_with("one", "two"), share=0.7, steps=300),
    "wander": Lesson(wander, _opens_with("find"), steps=80),
    "jumpy": Lesson(jumpy, _opens_with("find"), steps=120),
    "hasty": Lesson(hasty, _opens_with("find"), steps=80),
    "stammer": Lesson(stammer, _opens_with("one", "all"), steps=160),
    "ramble": Lesson(ramble, _opens_with("pack"), share=0.7, steps=300),
}
"""By organism. `uniform` and `various` are taught slowly, so that a series of checkpoints shows a habit go."""


def taught(seed: int, lesson: Lesson) -> Iterator[Document]:
    """A tuning's documents: lessons, and base's own about anything else."""
    rng = random.Random(seed)
    while True:
        if rng.random() < lesson.share:
            yield lesson.write(rng)
        elif not lesson.about((replayed := base_document(rng))[0]):
            yield replayed
