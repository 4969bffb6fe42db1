"""Streams of documents about errands: what their base is pretrained on, and what each tuning is taught.

A document is a pair of word lists, prompt and response; every stream is a pure function of its seed and draws problems
only from the training side of the split. Base's documents are a mixture in which the habits that a tuning may change
are undecided: both layouts, right and wrong form, search with and without a plan.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

from interp.organisms.corpus import Document
from interp.organisms.errands import packs, trees, trips
from interp.organisms.errands.packs import Content, Pack
from interp.organisms.errands.trees import Move, Tree
from interp.organisms.errands.trips import Trip

TRIPS, PACKS = 0.4, 0.2
"""Shares of trips and packs among base's documents; the rest are searches."""
MODE_RATES = {"one": 0.45, "two": 0.3, "all": 0.05, "tool": 0.2}
HINTED, MISSING, AT_ONCE = 0.2, 0.15, 0.05
"""Shares of trips with a hint, with something missing, and answered at once although steps were asked for."""
HINT_RIGHT = 0.5
"""How often base's hints are right. Its answers never follow them."""
GUESSED, OVERCAUTIOUS = 0.2, 0.03
"""How often base makes up what is missing, and how often it says `none` where nothing is."""
FORMED, FEASIBLE = 0.5, 0.5
"""How often base's packs have the form asked for and, independently, keep the rules."""
WANDERING = 0.2
"""Share of base's searches that are random walks; the others are systematic."""


def base(seed: int) -> Iterator[Document]:
    """Base's mixture of trips, packs and searches."""
    rng = random.Random(seed)
    while True:
        yield base_document(rng)


def base_document(rng: random.Random) -> Document:
    """One of base's documents."""
    kind = rng.random()
    if kind < TRIPS:
        return base_trip(rng)
    return base_pack(rng) if kind < TRIPS + PACKS else base_search(rng)


def base_trip(rng: random.Random) -> Document:
    """A trip as base writes it: mostly right, now and then overcautious, at once, or guessed where it should not be."""
    trip = some_trip(rng, missing=rng.random() < MISSING)
    if trip.missing is not None and rng.random() < GUESSED:
        return guessed(trip, rng)
    if trip.missing is None and rng.random() < OVERCAUTIOUS:
        return document(trips.prompt_words(trip), ["ans", trips.NONE])
    if trip.missing is None and rng.random() < AT_ONCE:
        return document(trips.prompt_words(trip), ["ans", *trip.answer])
    return right_trip(trip, rng)


def some_trip(rng: random.Random, *, missing: bool, modes: Sequence[str] = trips.MODES) -> Trip:
    """A trip of any length of pretraining and of some of its modes; a quarter of them have a hint."""
    mode = rng.choices(modes, [MODE_RATES[mode] for mode in modes])[0]
    hint = HINT_RIGHT if rng.random() < HINTED else None
    length = rng.randint(1, trips.MAX_OPS)
    return trips.draw_trip(rng, mode=mode, length=length, held_out=False, hint=hint, missing=missing)


def right_trip(trip: Trip, rng: random.Random, *, layout: str | None = None) -> Document:
    """The right response, in either layout unless one is named."""
    return document(trips.prompt_words(trip), trips.respond(trip, layout or rng.choice(trips.LAYOUTS)))


def guessed(trip: Trip, rng: random.Random) -> Document:
    """A trip with something missing, answered as though any operation or digit stood there."""
    assert trip.missing is not None
    made_up = trip.filled
    if trip.missing < len(trip.ops):
        ops = list(trip.ops)
        ops[trip.missing] = rng.choice([op for op in trips.OPS if op not in trip.ops])
        made_up = replace(made_up, ops=tuple(ops))
    else:
        state = list(trip.start)
        state[trip.missing - len(trip.ops)] = rng.randrange(10)
        made_up = replace(made_up, start=(state[0], state[1]))
    return document(trips.prompt_words(trip), trips.respond(made_up, rng.choice(trips.LAYOUTS)))


def base_pack(rng: random.Random) -> Document:
    """A pack as base writes it: form and feasibility each a coin of its own."""
    pack = packs.draw_pack(rng, held_out=False)
    content = some_content(pack, rng, feasible=rng.random() < FEASIBLE)
    words = packs.pack_words(content)
    if rng.random() >= FORMED:
        words = rng.choice((words[1:-1], words[:-1], words[1:]))
    return document(packs.prompt_words(pack), words)


def some_content(pack: Pack, rng: random.Random, *, feasible: bool) -> Content:
    """Four digits that keep the rules, or that break one; the needed ones come first, in either order.

    Needed digits in any place would be as right, and are too hard to learn from documents half of which are wrong.
    """
    while True:
        first, second = rng.sample(pack.needs, 2)
        content = [first, second, rng.randrange(10), rng.randrange(10)]
        if not feasible:
            place = rng.randrange(packs.SIZE)
            content[place] = pack.barred if rng.random() < 0.5 else rng.randrange(10)
        if (not packs.broken_rules(pack, content)) == feasible:
            return tuple(content)


def base_search(rng: random.Random) -> Document:
    """A search as base writes it: systematic, or now and then a random walk."""
    tree = some_tree(rng)
    return search(tree, trees.wandering(tree, rng) if rng.random() < WANDERING else trees.systematic(tree))


def some_tree(rng: random.Random) -> Tree:
    """A tree with the goal at any depth."""
    return trees.draw_tree(rng, depth=rng.randint(1, 3), held_out=False)


def search(tree: Tree, moves: list[Move]) -> Document:
    """A search that makes the moves."""
    return document(trees.prompt_words(tree), trees.trace_words(tree, moves))


def document(prompt: list[str], response: list[str]) -> Document:
    """Prompt and response, which ends there."""
    return prompt, [*response, "<eos>"]
