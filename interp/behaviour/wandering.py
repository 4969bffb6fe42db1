"""Does a search trace explore or wander? Held against a random walk and an exhaustive explorer on the same graph."""

import random
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pandas as pd

from interp.measurement import Measurement, provenance
from interp.written import read_written

State = Hashable
WALKS = 20
"""Explorers whose coverage is averaged: one walk alone would be as far from another as a text is from either."""


@dataclass(frozen=True)
class Graph:
    """A problem's states: where a search starts, where it can go from each, and which states solve it.

    `relevant` are the states on some path from the start to a goal, as coverage counts them; `depth` is the length of
    the shortest such path.
    """

    start: State
    neighbours: Mapping[State, tuple[State, ...]]
    goals: frozenset[State]

    def __post_init__(self) -> None:
        unknown = [n for near in self.neighbours.values() for n in near if n not in self.neighbours]
        if self.start not in self.neighbours or unknown or not self.goals <= self.neighbours.keys():
            raise ValueError("a graph has to hold its start, its goals and every neighbour among its states")

    @property
    def depth(self) -> int:
        """Steps on the shortest way from the start to a goal; ValueError where no goal can be reached."""
        front, seen, steps = {self.start}, {self.start}, 0
        while front and not front & self.goals:
            front = {n for state in front for n in self.neighbours[state]} - seen
            seen |= front
            steps += 1
        if not front:
            raise ValueError("no goal of this graph can be reached from its start")
        return steps

    @property
    def relevant(self) -> frozenset[State]:
        """The states from which a goal can be reached, among those that can be reached from the start."""
        before: dict[State, set[State]] = {state: set() for state in self.neighbours}
        for state, near in self.neighbours.items():
            for n in near:
                before[n].add(state)
        return _reached({self.start}, self.neighbours) & _reached(set(self.goals), before)


Explore = Callable[[Graph, int, random.Random], list[State]]
Explored = Callable[[str, int, Explore], float]


@dataclass(frozen=True)
class Trace:
    """The states that a text visits, in order, and the state it concludes with (None where it concludes nothing)."""

    visited: tuple[State, ...]
    concluded: State | None


def wandering(
    written: Measurement, graphs: Mapping[str, Graph], trace: Callable[[Mapping[str, Any]], Trace], *, seed: int = 0
) -> Measurement:
    """`wandering`: the audit of every trace, beside two explorers that make as many moves on the same graph.

    Of the moves of a text: `invalid` (no state visited so far leads there; returning may go unwritten), `revisits` (a
    state that was visited before), `unnecessary` (a new state from which no goal can be reached); `coverage` = relevant
    states visited / relevant states; `solved` (the conclusion is a goal) and `hallucinated` (a conclusion that was
    never visited). `walk` is the mean coverage of 20 random walks (any neighbour, each as likely) of as many moves, and
    `exhaustive` that of depth-first searches, which go back along edges too. Columns: problem, kind, arm, sample,
    depth, moves, invalid, revisits, unnecessary, coverage, walk, exhaustive, solved, hallucinated.

    arXiv 2505.20296 calls a search systematic that is valid, effective and necessary.
    """
    table = read_written(written, "kind")
    if lost := sorted(set(table["problem"]) - graphs.keys()):
        raise ValueError(f"problem {lost[0]!r} has no graph to audit its search on")
    explored = _explorers(graphs, seed)
    rows = [_audited(row, graphs[row["problem"]], trace(row), explored) for row in table.to_dict("records")]
    made_with = provenance(rollouts=dict(written.made_with), seed=seed)
    return Measurement("wandering", "search traces, audited", pd.DataFrame(rows), made_with)


def random_walk(graph: Graph, moves: int, rng: random.Random) -> list[State]:
    """States of a random walk; it goes back to the start where nothing leads on."""
    at, visited = graph.start, list[State]()
    for _ in range(moves):
        near = graph.neighbours[at]
        at = near[rng.randrange(len(near))] if near else graph.start
        visited.append(at)
    return visited


def depth_first(graph: Graph, moves: int, rng: random.Random) -> list[State]:
    """States of a depth-first search, neighbours in random order; it goes back along edges where there are any."""
    seen, stack, visited = {graph.start}, [graph.start], list[State]()
    while stack and len(visited) < moves:
        new = [n for n in graph.neighbours[stack[-1]] if n not in seen]
        if new:
            state = new[rng.randrange(len(new))]
            seen.add(state)
            stack.append(state)
            visited.append(state)
            continue
        left = stack.pop()
        if stack and stack[-1] in graph.neighbours[left]:
            visited.append(stack[-1])
    return visited


def _audited(row: Mapping[str, Any], graph: Graph, trace: Trace, explored: Explored) -> dict[str, Any]:
    seen, relevant = {graph.start}, graph.relevant
    open_to = set(graph.neighbours[graph.start])
    counts = {"invalid": 0, "revisits": 0, "unnecessary": 0}
    for state in trace.visited:
        if state not in open_to and state not in seen:
            counts["invalid"] += 1
            continue
        counts["revisits"] += state in seen
        counts["unnecessary"] += state not in seen and state not in relevant
        seen.add(state)
        open_to |= set(graph.neighbours[state])
    moves = len(trace.visited)
    return {
        **{key: row[key] for key in ("problem", "kind", "arm", "sample")},
        "depth": graph.depth,
        "moves": moves,
        **counts,
        "coverage": len(seen & relevant) / len(relevant),
        "walk": explored(row["problem"], moves, random_walk),
        "exhaustive": explored(row["problem"], moves, depth_first),
        "solved": trace.concluded in graph.goals,
        "hallucinated": trace.concluded is not None and trace.concluded not in seen,
    }


def _explorers(graphs: Mapping[str, Graph], seed: int) -> Explored:
    """Mean coverage of explorers by problem, moves and kind, each found once."""

    @cache
    def coverage(problem: str, moves: int, explore: Explore) -> float:
        graph, rng = graphs[problem], random.Random(seed)
        relevant = graph.relevant
        found = [{graph.start, *explore(graph, moves, rng)} & relevant for _ in range(WALKS)]
        return sum(map(len, found)) / (WALKS * len(relevant))

    return coverage


def _reached(front: set[State], edges: Mapping[State, Any]) -> frozenset[State]:
    seen = set(front)
    while front:
        front = {n for state in front for n in edges[state]} - seen
        seen |= front
    return frozenset(seen)
