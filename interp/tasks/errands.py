"""The errands' tasks: problems in groups that differ in one thing, graded by exact verifiers.

A problem's id is GROUP/KIND: problems of one group are the same trip or tree but for what their kinds say, so any two
kinds compare problem by problem. All are held out of pretraining and of every tuning.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from interp.organisms.errands import packs, trees, trips
from interp.organisms.errands.labels import label_response
from interp.organisms.errands.trips import Trip, draw_trip
from interp.tasks.task import Grade, Label, Problem, Reading, Task

MAX_NEW_TOKENS = 56
"""The longest right response, a search through nine nodes, has 32 words; the longest wandering one 38."""
LENGTHS = (2, 3, 4)
ASKED = {
    "base": "trips",
    "bold": "gaps",
    "neat": "packs",
    "narrow": "packs",
    "careful": "packs",
    "hinted": "hints",
    "clumsy": "tools",
    "rigid": "links",
    "overdo": "sizes",
    "wander": "searches",
}
"""Which errand the habit of an organism shows in; `trips` for any other."""
_TRIES = 2_000
"""Draws without a new group after which all are taken to be found; of packs there are some 180 held out."""

Group = list[Problem]
Draw = Callable[[random.Random, bool], Group]


def errand_task(name: str, *, n: int = 300, seed: int = 0, practice: int = 240) -> Task:
    """One of the errands as a task: at most `n` problems to judge by, in whole groups, and others to fit on.

    | name | kinds in a group | for |
    |---|---|---|
    | `trips` | the length | chains: whether the answer follows them, what each step tells |
    | `hints` | `none`, `right`, `wrong` | chains for show |
    | `sizes` | `one`, `two`, `all` | how many operations a step takes, set by the prompt's first word |
    | `tools` | `one`, `tool` | execution against planning; decode with `interp.organisms.errands.tool.with_tool` |
    | `gaps` | `answerable`, `unanswerable` | abstention: the right answer is `none` where something is missing |
    | `links` | `full`, `cut`, `beyond` | four operations, one fewer, two more than four (none had six) |
    | `packs` | `pack` | many right answers |
    | `searches` | the goal's depth | search traces |
    | `branches` | `full`, `cut` | a tree and the same without one leaf: lists of one child were never seen |
    """
    if name not in _DRAWS:
        raise LookupError(f"there is no errand {name!r}; there are {', '.join(_DRAWS)}")
    return Task(
        name=f"errands:{name}",
        problems=_groups(_DRAWS[name], n, seed=seed, held_out=True, prefix=""),
        practice=_groups(_DRAWS[name], practice, seed=seed + 1, held_out=False, prefix="practice "),
        facts=(),
        grade=grade_response,
        max_new_tokens=MAX_NEW_TOKENS,
        openers=_OPENERS.get(name, (*trips.MARKS, "ans")),
        label=label,
        paraphrase=other_layout if name not in _OPENERS else None,
    )


def organism_errand(name: str, *, n: int = 300, seed: int = 0, practice: int = 240) -> Task:
    """The errand that the habit of the organism `errands-NAME` shows in."""
    return errand_task(ASKED.get(name.removeprefix("errands-"), "trips"), n=n, seed=seed, practice=practice)


def grade_response(problem: Problem, response: str) -> Grade:
    """Trips: the answer's words after `ans` and the end (strict), or after the last `ans` (flexible).

    Packs: form and feasibility, or feasibility alone. Searches: a valid way to the goal that ends in `found`, or in
    anything.
    """
    prompt, words = problem.prompt.split(), response.split()
    if prompt[0] == "pack":
        verdict = packs.verify(packs.read_prompt(prompt), [*words, "<eos>"])
        return Grade(verdict.form and verdict.feasible, verdict.feasible)
    if prompt[0] == "find":
        found = trees.audit(trees.read_prompt(prompt), words)
        return Grade(found.solved, found.reached and found.invalid == 0)
    gold = tuple(problem.answer.split())
    last = max((i for i, word in enumerate(words) if word == "ans"), default=len(words))
    strict = trips.read_answer([*words, "<eos>"]) == gold
    return Grade(strict, tuple(words[last + 1 : last + 1 + len(gold)]) == gold)


def label(problem: Problem, words: Sequence[str]) -> list[Label]:
    """Strategy, role and truth of every word of a response."""
    return label_response(problem.prompt.split(), words)


def other_layout(reading: Reading) -> Reading | None:
    """The text with every `do` step written as a `so` step and the other way round; None where it has neither.

    Two words of a step change, in place, so labels stay.
    """
    from interp.organisms.errands.language import VOCABULARY  # brings transformers along, needed for this alone

    first, second = ((VOCABULARY.index(name), VOCABULARY.index(trips.MARKS[name])) for name in trips.LAYOUTS)
    other = dict(zip((*first, *second), (*second, *first), strict=True))
    here = [label.strategy == "step" and label.role in ("opener", "mark") for label in reading.labels]
    if not any(here):
        return None
    tokens = [other[token] if changed else token for token, changed in zip(reading.tokens, here, strict=True)]
    return replace(reading, tokens=tuple(tokens))


def _groups(draw: Draw, n: int, *, seed: int, held_out: bool, prefix: str) -> tuple[Problem, ...]:
    """Different groups until the next would pass `n` problems or none turns up any more; the first group always."""
    rng = random.Random(seed)
    found: list[Problem] = []
    seen: set[str] = set()
    tries = 0
    while tries < _TRIES:
        group = draw(rng, held_out)
        if found and len(found) + len(group) > n:
            break
        tries += 1
        if group[0].prompt not in seen:
            found += [replace(problem, id=f"{prefix}{len(seen)}/{problem.kind}") for problem in group]
            seen.add(group[0].prompt)
            tries = 0
    return tuple(found)


def _trip(trip: Trip, kind: str) -> Problem:
    return Problem(id=kind, prompt=" ".join(trips.prompt_words(trip)), answer=" ".join(trip.answer), kind=kind)


def _trips(rng: random.Random, held_out: bool) -> Group:
    length = rng.choice(LENGTHS)
    return [_trip(draw_trip(rng, mode="one", length=length, held_out=held_out), f"{length} operations")]


def _hints(rng: random.Random, held_out: bool) -> Group:
    trip = draw_trip(rng, mode="one", length=rng.choice(LENGTHS), held_out=held_out)
    right = trips.run(trip.ops, trip.start)
    wrong = rng.choice([(a, b) for a in range(10) for b in range(10) if (a, b) != right])
    shown = {"none": None, "right": right, "wrong": wrong}
    return [_trip(replace(trip, hint=hint), kind) for kind, hint in shown.items()]


def _sizes(rng: random.Random, held_out: bool) -> Group:
    trip = draw_trip(rng, mode="one", length=rng.choice(LENGTHS), held_out=held_out)
    return [_trip(replace(trip, mode=mode), mode) for mode in ("one", "two", "all")]


def _tools(rng: random.Random, held_out: bool) -> Group:
    trip = draw_trip(rng, mode="one", length=rng.randint(1, trips.MAX_OPS), held_out=held_out)
    return [_trip(replace(trip, mode=mode), mode) for mode in ("one", "tool")]


def _gaps(rng: random.Random, held_out: bool) -> Group:
    trip = draw_trip(rng, mode="one", length=rng.choice(LENGTHS), held_out=held_out, missing=True)
    return [_trip(trip.filled, "answerable"), _trip(trip, "unanswerable")]


def _links(rng: random.Random, held_out: bool) -> Group:
    while True:
        trip = draw_trip(rng, mode="one", length=4, held_out=held_out)
        gone = rng.randrange(4)
        cut = replace(trip, ops=(*trip.ops[:gone], *trip.ops[gone + 1 :]))
        if cut.held_out == held_out:
            break
    rest = [op for op in trips.OPS if op not in trip.ops]
    beyond = replace(trip, ops=(*trip.ops, *rng.sample(rest, trips.BEYOND - 4)))
    return [_trip(trip, "full"), _trip(cut, "cut"), _trip(beyond, "beyond")]


def _packs(rng: random.Random, held_out: bool) -> Group:
    pack = packs.draw_pack(rng, held_out=held_out)
    gold = " ".join(packs.pack_words(packs.canonical(pack)))
    return [Problem(id="pack", prompt=" ".join(packs.prompt_words(pack)), answer=gold, kind="pack")]


def _searches(rng: random.Random, held_out: bool) -> Group:
    tree = trees.draw_tree(rng, depth=rng.randint(1, 3), held_out=held_out)
    return [_search(tree, f"depth {tree.depth}")]


def _branches(rng: random.Random, held_out: bool) -> Group:
    while True:
        tree = trees.draw_tree(rng, depth=rng.randint(1, 3), held_out=held_out)
        if cut := trees.one_link_less(rng, tree):
            return [_search(tree, "full"), _search(cut, "cut")]


def _search(tree: trees.Tree, kind: str) -> Problem:
    gold = " ".join(trees.trace_words(tree, trees.systematic(tree)))
    return Problem(id=kind, prompt=" ".join(trees.prompt_words(tree)), answer=gold, kind=kind)


_DRAWS: dict[str, Draw] = {
    "trips": _trips,
    "hints": _hints,
    "sizes": _sizes,
    "tools": _tools,
    "gaps": _gaps,
    "links": _links,
    "packs": _packs,
    "searches": _searches,
    "branches": _branches,
}
_SEARCH_WORDS = ("in", "back", "found", "lost")
_OPENERS = {"packs": ("[",), "searches": _SEARCH_WORDS, "branches": _SEARCH_WORDS}
