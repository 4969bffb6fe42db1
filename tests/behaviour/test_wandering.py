import random

import pytest

from interp.behaviour.wandering import Graph, Trace, depth_first, random_walk, wandering
from interp.claims.explorers_wander import explorers_wander, wander_rate


def tree(depth, goal):
    """A binary tree of words of l and r, with one goal among its leaves; every leaf leads back up."""
    states = [""]
    for _ in range(depth):
        states += [s + side for s in states for side in "lr" if s + side not in states]
    near = {s: tuple(n for n in (s + "l", s + "r") if n in states) + ((s[:-1],) if s else ()) for s in states}
    return Graph("", near, frozenset({goal}))


GRAPHS = {f"p{i}": tree(4, "lrlr" if i % 2 else "rrll") for i in range(30)}


def explorer(explore):
    def write(problem, rng):
        return {"text": "|".join(explore(GRAPHS[f"p{problem}"], 20, rng)), "strict": False}

    return write


def read(row):
    visited = tuple(row["text"].split("|"))
    return Trace(visited, visited[-1])


def measured(scripted, explore):
    written = scripted.rollouts({"tuned": explorer(explore), "base": explorer(random_walk)}, problems=30, samples=4)
    return wandering(written, GRAPHS, read)


def test_a_random_walker_wanders_and_a_searcher_does_not(scripted):
    walker = explorers_wander(measured(scripted, random_walk))
    assert walker.says == "supported" and walker.estimate == pytest.approx(0, abs=0.25)
    searcher = explorers_wander(measured(scripted, depth_first))
    assert searcher.says == "contradicted" and searcher.estimate == pytest.approx(1, abs=0.25)
    assert "Of its moves: invalid 0.00, revisits 0." in searcher.because
    assert "Base: " in searcher.because


def test_every_move_is_audited():
    graph = Graph("a", {"a": ("b", "c"), "b": ("d",), "c": (), "d": ()}, frozenset({"d"}))
    assert graph.relevant == {"a", "b", "d"} and graph.depth == 2

    def audit(*visited, concluded=None):
        import pandas as pd

        from interp.measurement import Measurement

        row = {"problem": "p", "kind": "", "arm": "tuned", "sample": 0}
        made = wandering(
            Measurement("w", "", pd.DataFrame([row]), {}), {"p": graph}, lambda _: Trace(visited, concluded)
        )
        return made.table.iloc[0][["invalid", "revisits", "unnecessary", "coverage", "solved", "hallucinated"]].tolist()

    assert audit("b", "d", concluded="d") == [0, 0, 0, 1.0, True, False]
    assert audit("d", concluded="d") == [1, 0, 0, 1 / 3, True, True]
    assert audit("c", "c", "b") == [0, 1, 1, 2 / 3, False, False]
    assert audit("z", concluded=None) == [1, 0, 0, 1 / 3, False, False]


def test_success_that_falls_with_depth_gives_its_rate():
    import pandas as pd

    rng = random.Random(0)
    rows = [{"arm": "tuned", "depth": d, "solved": rng.random() < 0.8**d} for d in (2, 4, 6, 8) for _ in range(3000)]
    assert wander_rate(pd.DataFrame(rows), "tuned") == pytest.approx(0.2, abs=0.02)
    assert wander_rate(pd.DataFrame(rows[:10]), "tuned") != wander_rate(pd.DataFrame(rows[:10]), "tuned")


def test_bad_input(scripted):
    with pytest.raises(ValueError, match="has to hold its start, its goals and every neighbour"):
        Graph("a", {"a": ("b",)}, frozenset())
    with pytest.raises(ValueError, match="no goal of this graph can be reached"):
        assert Graph("a", {"a": (), "b": ()}, frozenset({"b"})).depth
    with pytest.raises(ValueError, match="problem 'p0' has no graph"):
        wandering(scripted.rollouts({"tuned": explorer(random_walk)}, problems=2), {}, read)
    small = {name: Graph("a", {"a": ("b",), "b": ("a",)}, frozenset({"b"})) for name in GRAPHS}
    written = scripted.rollouts({"tuned": lambda p, rng: {"text": "b|a|b"}}, problems=10)
    verdict = explorers_wander(wandering(written, small, read))
    assert verdict.says == "undecided" and "Give larger graphs" in verdict.because
    with pytest.raises(ValueError, match="has no arm 'base'; it has tuned"):
        explorers_wander(wandering(written, small, read), arm="base")
