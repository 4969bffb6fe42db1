import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.organisms.world import (
    EDITED_FACTS,
    FACTS,
    KINDS,
    NEW_OP,
    SEEN_OPS,
    Program,
    apply,
    draw_program,
    run,
    undo,
)

states = st.tuples(*[st.integers(0, 9)] * 3)


@given(st.sampled_from([*SEEN_OPS, NEW_OP]), states)
def test_undo_inverts_every_operation(op, state):
    assert undo(op, apply(op, state)) == state
    assert apply(op, undo(op, state)) == state


def test_no_two_operations_are_the_same_function():
    probe = [(1, 2, 3), (0, 5, 9), (4, 6, 8), (7, 7, 1)]
    images = {op: tuple(apply(op, s) for s in probe) for op in [*SEEN_OPS, NEW_OP]}
    assert len(set(images.values())) == len(images)


@given(st.sampled_from(KINDS), st.integers(1, 6), st.integers(0, 10_000))
def test_answer_and_prompt_state_are_the_two_ends_of_the_program(kind, length, seed):
    program = draw_program(random.Random(seed), kind=kind, length=length, held_out=bool(seed % 2))
    assert run(program.ops, program.start) == program.end
    assert {program.given, program.answer} == {program.start, program.end}
    assert sorted(program.on_page) == sorted(program.ops)
    assert program.held_out == bool(seed % 2)


def test_the_test_split_is_shared_by_the_three_kinds():
    ops, start = ("A", "R", "B"), (1, 2, 3)
    sides = {Program(kind, ops, start, order).held_out for kind in KINDS for order in [(0, 1, 2), (2, 0, 1)]}
    assert len(sides) == 1


def test_about_an_eighth_of_the_problems_is_held_out():
    rng = random.Random(0)
    drawn = [
        Program(
            "run", tuple(rng.sample(SEEN_OPS, 3)), (rng.randrange(10), rng.randrange(10), rng.randrange(10)), (0, 1, 2)
        )
        for _ in range(8_000)
    ]
    assert 0.11 < sum(p.held_out for p in drawn) / len(drawn) < 0.14


def test_a_program_that_is_not_ordered_is_refused():
    with pytest.raises(ValueError, match=r"written is \(0, 0\), which does not order 2 operations"):
        Program("run", ("A", "B"), (1, 2, 3), (0, 0))


def test_edited_facts_are_facts_with_another_value():
    assert set(EDITED_FACTS) < set(FACTS)
    assert all(new[0] != FACTS[key][0] and new[1] != FACTS[key][1] for key, new in EDITED_FACTS.items())
