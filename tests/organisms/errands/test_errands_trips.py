"""Trips and their chains: what is written reads back, and the audit tells a wrong plan from a wrong execution."""

import random

import pytest

from interp.organisms.errands import chains, trips
from interp.organisms.errands.trips import MODES, OPS, TABLES, Trip, draw_trip, prompt_words, read_prompt, respond

TRIP = Trip("one", ("B", "C", "A"), (1, 5))


def many(n: int = 60, **choices) -> list[Trip]:
    rng = random.Random(0)
    return [
        draw_trip(
            rng,
            mode=choices.get("mode", MODES[i % 4]),
            length=1 + i % 5,
            held_out=bool(i % 2),
            hint=0.5 if i % 3 == 0 else None,
            missing=choices.get("missing", False),
        )
        for i in range(n)
    ]


def test_every_table_is_a_permutation_and_order_matters():
    assert all(sorted(table) == list(range(10)) for table in TABLES.values())
    assert trips.run("AB", (3, 1)) != trips.run("BA", (3, 1))


@pytest.mark.parametrize("missing", [False, True])
def test_a_prompt_reads_back_as_its_trip(missing):
    for trip in many(missing=missing):
        read = read_prompt(prompt_words(trip))
        assert prompt_words(read) == prompt_words(trip)
        assert read.answer == trip.answer
        if not missing:
            assert read == trip


@pytest.mark.parametrize("words", ["one A B 3 1", "one hint 3 1", "one A A : 3 1", "go A : 3 1", "one A : 3 x"])
def test_what_is_no_prompt_is_refused(words):
    with pytest.raises(ValueError, match=r"is not the prompt|different ones|mode is one of"):
        read_prompt(words.split())


def test_right_responses_are_verified_in_every_mode_and_layout():
    for trip in many():
        for layout in trips.LAYOUTS:
            found = chains.audit(trip, [*respond(trip, layout), "<eos>"])
            assert found.right and found.read and not found.abstained
            assert found.verified == found.consistent == (trip.mode != "all")
            assert found.layout == {"all": "", "tool": "call"}.get(trip.mode, layout)


def test_abstaining_is_right_exactly_where_something_is_missing():
    for trip in many(missing=True):
        assert chains.audit(trip, ["ans", "none", "<eos>"]).right
        assert not chains.audit(trip.filled, ["ans", "none", "<eos>"]).right
        assert not chains.audit(trip, [*respond(trip.filled, "do"), "<eos>"]).right


def test_a_wrong_table_is_a_wrong_execution_of_a_right_plan():
    tables = {**TABLES, "C": tuple((digit + 1) % 10 for digit in TABLES["C"])}
    found = chains.audit(TRIP, [*trips.chain_words(TRIP, "do", tables=tables), "ans", "0", "0", "<eos>"])
    assert found.planned == (True, True, True)
    assert found.executed == (True, False, True)
    assert found.complete and not found.verified


def test_a_skipped_operation_is_a_wrong_plan_rightly_executed():
    found = chains.audit(TRIP, [*trips.chain_words(TRIP, "so", ops=("B", "A")), "ans", "0", "0", "<eos>"])
    assert found.planned == (True, False)
    assert found.executed == (True, True)
    assert not found.complete


def test_an_answer_that_leaves_its_chain_is_inconsistent():
    words = respond(TRIP, "do")
    other = ["9" if words[-1] != "9" else "8"]
    assert chains.audit(TRIP, [*words, "<eos>"]).consistent
    assert not chains.audit(TRIP, [*words[:-1], *other, "<eos>"]).consistent


def test_a_corrupted_step_carries_on_to_the_answer_that_follows_from_it():
    for trip in (t for t in many() if t.mode in ("one", "two")):
        words = respond(trip, "do")
        steps = chains.read_steps(words)
        for number, step in enumerate(steps):
            wrong = ((step.after[0] + 1) % 10, step.after[1])
            cut = chains.corrupted(words, number, wrong)
            assert chains.read_steps(cut)[number].after == wrong
            assert cut[: step.start] == words[: step.start] and len(cut) == step.end
            assert chains.carried_on(trip, number, step.after) == trips.run(trip.ops, trip.start)
            assert chains.carried_on(trip, number, wrong) != trips.run(trip.ops, trip.start)
    with pytest.raises(ValueError, match=r"step 9 was to be changed, but the chain has 3"):
        chains.corrupted(respond(TRIP, "do"), 9, (0, 0))


def test_the_other_layout_says_the_same_in_as_many_words():
    for trip in many():
        there = respond(trip, "do")
        back = chains.other_layout(there)
        assert len(back) == len(there) and back == respond(trip, "so")
        assert chains.other_layout(back) == there


@pytest.mark.parametrize("broken", ["do B : 4", "do : 4 7", "do B 4 7", "so B : 4 7", "walk B : 4 7", "do b : 4 7"])
def test_what_breaks_off_is_no_step(broken):
    assert chains.read_steps(broken.split()) == []


@pytest.mark.parametrize("words", ["ans 3", "ans 3 1", "ans none", "ans 3 1 2 <eos>", "do A : 3 1 <eos>", ""])
def test_what_does_not_end_in_an_answer_has_none(words):
    assert trips.read_answer(words.split()) is None


def test_modes_and_missing_places_are_checked():
    with pytest.raises(ValueError, match=r"one of one, two, all, tool, not 'three'"):
        Trip("three", ("A",), (0, 0))
    with pytest.raises(ValueError, match=r"missing is 4, but 2 operations and 2 digits"):
        Trip("one", OPS[:2], (0, 0), missing=4)
