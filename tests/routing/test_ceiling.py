from collections.abc import Callable
from dataclasses import replace

import pytest

from interp.pair import Pair
from interp.routing.ceiling import base_samples, is_verified
from interp.tasks.organism import organism_task


def test_a_guess_is_no_process() -> None:
    task = organism_task("rl", n=3, practice=3)
    problem = task.problems[0]  # run forward
    operations, given = problem.prompt.split(" : ")
    assert operations.startswith("run ")
    assert not is_verified(task, problem, ["ans", *problem.answer.split(), "<eos>"]), "right, but nothing leads to it"
    false_step = ["step", operations.split()[1], *("0" if d != "0" else "1" for d in given.split())]
    assert not is_verified(task, problem, [*false_step, "ans", *problem.answer.split(), "<eos>"])
    with pytest.raises(ValueError, match="has no parser"):
        is_verified(replace(task, label=None), problem, [])


def test_base_sampled_often_is_counted(organism_pair: Callable[..., Pair]) -> None:
    pair, task = organism_pair("rl"), organism_task("rl", n=12, practice=3)
    table = base_samples(pair, task, samples=6).table
    assert (table["n"] == 6).all()
    assert (table["verified"] + table["guessed"] == table["right"]).all()
    assert 0 < table["verified"].sum() < 6 * 12, "base can, and does not always"
    new = organism_task("newskill", n=6, practice=3)
    assert base_samples(pair, new, samples=3).table["verified"].sum() == 0, "base has no such skill"
    with pytest.raises(ValueError, match="samples is 0"):
        base_samples(pair, task, samples=0)
