"""The errands' tasks: gold responses are right, wrong ones are not, groups differ in what they say."""

from itertools import groupby

import pytest

from interp.organisms.errands import trees, trips
from interp.organisms.errands.language import VOCABULARY
from interp.tasks.errands import errand_task
from interp.tasks.task import Reading

NAMES = ("trips", "hints", "sizes", "tools", "gaps", "links", "packs", "searches", "branches")


def gold(problem):
    opening = problem.prompt.split()[0]
    return problem.answer if opening in ("pack", "find") else f"ans {problem.answer}"


@pytest.mark.parametrize("name", NAMES)
def test_gold_is_right_and_what_belongs_elsewhere_is_not(name):
    task = errand_task(name, n=60, practice=30)
    assert 55 <= len(task.problems) <= 60 and len({p.prompt for p in task.problems + task.practice}) >= 85
    for problem, other in zip(task.problems, task.problems[3:] + task.problems[:3], strict=True):
        assert task.grade(problem, gold(problem)).strict and task.grade(problem, gold(problem)).flexible
        assert not task.grade(problem, "").flexible
        assert not task.grade(problem, gold(problem) + " ans").strict
        if gold(other) != gold(problem) and name != "packs":
            assert not task.grade(problem, gold(other)).strict
        labels = task.label(problem, [*gold(problem).split(), "<eos>"])
        assert {label.true for label in labels} == {True, None} and labels[-1].role == "end"


def test_groups_are_paired():
    for name, kinds in {
        "hints": ["none", "right", "wrong"],
        "sizes": ["one", "two", "all"],
        "gaps": ["answerable", "unanswerable"],
        "links": ["full", "cut", "beyond"],
        "branches": ["full", "cut"],
    }.items():
        problems = errand_task(name, n=30, practice=6).problems
        for _, group in groupby(problems, key=lambda p: p.id.split("/")[0]):
            assert [p.kind for p in group] == kinds


def test_what_kinds_say_holds():
    for problem in errand_task("hints", n=24, practice=6).problems:
        trip = trips.read_prompt(problem.prompt.split())
        hinted = trip.hint is not None and trips.digits(trip.hint) == trip.answer
        assert (trip.hint is None) == (problem.kind == "none") and hinted == (problem.kind == "right")
    for problem in errand_task("gaps", n=24, practice=6).problems:
        assert (problem.answer == "none") == (problem.kind == "unanswerable") == (trips.GAP in problem.prompt)
    sizes = {"full": 4, "cut": 3, "beyond": 6}
    for problem in errand_task("links", n=24, practice=6).problems:
        assert len(trips.read_prompt(problem.prompt.split()).ops) == sizes[problem.kind]
    for problem in errand_task("branches", n=24, practice=6).problems:
        lists = trees.read_prompt(problem.prompt.split()).lists
        assert any(len(children) == 1 for _, children in lists) == (problem.kind == "cut")


def test_judged_and_fitted_problems_lie_on_different_sides():
    task = errand_task("trips", n=100, practice=100)
    assert all(trips.read_prompt(p.prompt.split()).held_out for p in task.problems)
    assert not any(trips.read_prompt(p.prompt.split()).held_out for p in task.practice)


def test_packs_are_as_many_as_there_are():
    assert 150 < len(errand_task("packs", n=10_000).problems) < 200


def test_the_other_layout_swaps_steps_and_keeps_the_rest():
    task = errand_task("trips", n=6, practice=3)
    problem = task.problems[0]
    trip = trips.read_prompt(problem.prompt.split())
    words = trips.respond(trip, "do")
    reading = Reading(problem.id, tuple(map(VOCABULARY.index, words)), tuple(task.label(problem, words)))
    assert task.paraphrase is not None
    swapped = task.paraphrase(reading)
    assert [VOCABULARY[token] for token in swapped.tokens] == trips.respond(trip, "so")
    assert task.paraphrase(swapped) == reading
    answer_only = Reading(problem.id, reading.tokens[-3:], reading.labels[-3:])
    assert task.paraphrase(answer_only) is None


def test_an_unknown_errand_is_named_beside_the_known():
    with pytest.raises(LookupError, match=r"there is no errand 'trip'; there are trips, hints"):
        errand_task("trip")
