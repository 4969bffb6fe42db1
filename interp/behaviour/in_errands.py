"""What the errands' language knows of itself: how each of its tasks becomes the table that a measure reads."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from interp.behaviour.abstention import abstention
from interp.behaviour.chains import Chain
from interp.behaviour.diversity import diversity
from interp.behaviour.faithfulness import Corrupt, Paraphrase, Steps
from interp.behaviour.feasibility import feasibility
from interp.behaviour.formats import OTHER, formats
from interp.behaviour.in_organisms import word_ids
from interp.behaviour.lengths import PROMPTED, lengths
from interp.behaviour.shifted import shifted
from interp.behaviour.switching import switching, thoughts_by_strategy
from interp.behaviour.wandering import Graph, Trace, wandering
from interp.measurement import Measurement
from interp.organisms.errands import packs, trees, trips
from interp.organisms.errands.chains import read_steps
from interp.pair import Pair
from interp.tasks.task import Task

ANSWER_SPACE = 100
"""Answers of a trip: two digits."""
Row = Mapping[str, Any]


def of_kinds(written: Measurement, task: Task, kinds: Sequence[str]) -> Measurement:
    """The rows of some kinds, under the name of their group, so that kinds compare problem by problem."""
    lost = [kind for kind in kinds if kind not in {problem.kind for problem in task.problems}]
    if lost:
        raise ValueError(f"task {task.name!r} has no problems of kind {lost[0]!r}")
    rows = written.table[written.table["kind"].isin(kinds)]
    table = rows.assign(problem=rows["problem"].str.rpartition("/")[0])
    return Measurement(written.name, written.unit, table, written.made_with)


def pack_feasibility(written: Measurement, task: Task) -> Measurement:
    """`feasibility` of packs: brackets with four digits between them, and the rules that they break."""
    asked = _prompts(task)

    def verdict(row: Row) -> packs.PackVerdict:
        return packs.verify(packs.read_prompt(asked[row["problem"]]), [*row["text"].split(), "<eos>"])

    return feasibility(written, lambda row: verdict(row).form, lambda row: len(verdict(row).broken))


def pack_diversity(written: Measurement) -> Measurement:
    """`diversity` of packs: their meaning is the set of digits in the pack, their form the words."""
    return diversity(written, meaning=lambda row: " ".join(sorted(set(row["text"].split()))))


def gap_abstention(written: Measurement, task: Task) -> Measurement:
    """`abstention` of trips with and without something missing: `ans none` abstains."""
    should = {problem.id: problem.kind == "unanswerable" for problem in task.problems}
    return abstention(written, should, lambda row: row["text"].split()[-2:] == ["ans", trips.NONE])


def layout_formats(written: Measurement, *, series: Sequence[str] = ()) -> Measurement:
    """`formats` of trips: the layout of the first step, `do` or `so`; `series` as in `formats`."""

    def layout(row: Row) -> str:
        steps = read_steps(row["text"].split())
        return steps[0].opener if steps else OTHER

    return formats(written, layout, known=trips.LAYOUTS, series=series)


def cut_links(written: Measurement, task: Task) -> Measurement:
    """`shifted` of trips of four operations and the same without one of them, which needs fewer steps and not more."""
    full, cut = (of_kinds(written, task, [kind]) for kind in ("full", "cut"))
    return shifted(full, cut, {problem: problem for problem in full.table["problem"].unique()})


def asked_lengths(written: Measurement, task: Task) -> Measurement:
    """`lengths` of trips whose first word asks for no step, for two operations a step, or for one."""
    doses = {"all": 0.0, "two": 0.5, "one": 1.0}
    parts = list[pd.DataFrame]()
    for kind, dose in doses.items():
        rows = of_kinds(written, task, [kind]).table
        parts.append(rows.assign(dose=dose, sample=rows["sample"] * len(doses) + len(parts)))
    table = pd.concat(parts, ignore_index=True)
    return lengths(Measurement(written.name, written.unit, table, written.made_with), mode=PROMPTED)


def search_graphs(task: Task) -> dict[str, Graph]:
    """Each search's tree as a graph: down to the children and back to the parent."""
    found = {}
    for problem in task.problems:
        tree = trees.read_prompt(problem.prompt.split())
        nodes = [tree.root, *tree.parents]
        near: dict[Any, tuple[Any, ...]] = {
            n: (*tree.children.get(n, ()), *([tree.parents[n]] if n in tree.parents else [])) for n in nodes
        }
        found[problem.id] = Graph(tree.root, near, frozenset({tree.goal}))
    return found


def read_trace(row: Row) -> Trace:
    """The nodes that a search moves to; it concludes with the last of them where it says `found`."""
    words = row["text"].split()
    moves = [b for a, b in itertools.pairwise(words) if a in ("in", "back") and b in trees.NODES]
    return Trace(tuple(moves), moves[-1] if moves and words[-1] == "found" else None)


def search_wandering(written: Measurement, task: Task, *, seed: int = 0) -> Measurement:
    """`wandering` of searches."""
    return wandering(written, search_graphs(task), read_trace, seed=seed)


def search_switching(written: Measurement, task: Task) -> Measurement:
    """`switching` of searches: a thought ends where the search goes back, and is right if it enters the goal."""
    goals = {problem.id: trees.read_prompt(problem.prompt.split()).goal for problem in task.problems}

    def right(row: Row, start: int, end: int) -> bool:
        return goals[row["problem"]] in row["text"].split()[start:end]

    return switching(written, thoughts_by_strategy({"back"}), right)


def carried_mistake(pair: Pair) -> Corrupt:
    """Adds 1 to the first digit of step i's result; later steps follow from it, and so does the answer."""

    def corrupt(chain: Chain, i: int) -> tuple[Steps, str] | None:
        steps = [read_steps(pair.words(step)) for step in chain.steps]
        if any(len(found) != 1 for found in steps[i - 1 :]):
            return None
        said = [found[0] for found in steps[i - 1 :]]
        state: trips.State = ((said[0].after[0] + 1) % 10, said[0].after[1])
        made = [trips.step_words(said[0].opener, said[0].ops, state)]
        for step in said[1:]:
            state = trips.run(step.ops, state)
            made.append(trips.step_words(step.opener, step.ops, state))
        return (*chain.steps[: i - 1], *(word_ids(pair, words) for words in made)), " ".join(trips.digits(state))

    return corrupt


def other_layout(pair: Pair) -> Paraphrase:
    """The first i steps in the other layout."""
    marks = [word_ids(pair, [name, trips.MARKS[name]]) for name in trips.LAYOUTS]
    other = dict(zip((*marks[0], *marks[1]), (*marks[1], *marks[0]), strict=True))

    def paraphrase(chain: Chain, i: int) -> Steps | None:
        if not all(step[0] in other for step in chain.steps[:i]):
            return None
        return (*(tuple(other.get(token, token) for token in step) for step in chain.steps[:i]), *chain.steps[i:])

    return paraphrase


def true_chains(pair: Pair, task: Task, *, kind: str) -> list[Chain]:
    """The right chain of every trip of a kind, in the first layout."""
    found = []
    for problem in task.problems:
        if problem.kind != kind:
            continue
        trip = trips.read_prompt(problem.prompt.split())
        words = trips.chain_words(trip, trips.LAYOUTS[0])
        steps = tuple(word_ids(pair, words[step.start : step.end]) for step in read_steps(words))
        gold = " ".join(trip.answer)
        name = problem.id.rpartition("/")[0]
        found.append(Chain(name, "oracle", tuple(pair.encode(problem.prompt)), steps, gold, gold))
    return found


def sizes_of(task: Task, *, kind: str) -> dict[str, int]:
    """Operations of every trip of a kind, by group."""
    of = [replace(problem, id=problem.id.rpartition("/")[0]) for problem in task.problems if problem.kind == kind]
    return {problem.id: len(trips.read_prompt(problem.prompt.split()).ops) for problem in of}


def _prompts(task: Task) -> dict[str, list[str]]:
    return {problem.id: problem.prompt.split() for problem in task.problems}
