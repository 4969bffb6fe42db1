from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest

from interp.measurement import Measurement
from interp.pair import Pair
from interp.rollouts import readings, rollouts
from interp.tasks.organism import organism_task
from interp.tasks.task import Task


@pytest.fixture(scope="module")
def pair(tiny_pair: Callable[[str], Pair]) -> Pair:
    return tiny_pair("llama")


@pytest.fixture(scope="module")
def task() -> Task:
    return organism_task("rl", n=3, practice=8)


def written(pair: Pair, task: Task, *texts: str) -> Measurement:
    """Responses as the table holds them, the first by base, the others by tuned."""
    rows = [
        {"writer": "tuned" if i else "base", "problem": problem.id, "tokens": pair.encode(text)[1:]}
        for i, (problem, text) in enumerate(zip(task.practice, texts, strict=False))
    ]
    return Measurement("rollouts", "one response per row", pd.DataFrame(rows), {})


def test_tuned_writes_greedily_and_base_with_the_seed(pair: Pair, task: Task) -> None:
    one, same, other = (rollouts(pair, task.practice, max_new_tokens=6, seed=seed).table for seed in (0, 0, 1))
    assert one.equals(same)
    assert set(zip(one.writer, one.decoding, strict=True)) == {("base", "sampled at T=1"), ("tuned", "greedy")}
    same_by = {writer: (one.tokens == other.tokens)[one.writer == writer] for writer in ("base", "tuned")}
    assert same_by["tuned"].all()
    assert not same_by["base"].all()


def test_a_reading_is_the_prompt_and_the_labelled_response(pair: Pair, task: Task) -> None:
    (reading,) = readings(pair, task, written(pair, task, "step A 1 2 3 fact ans 4"))
    n = len(pair.encode(task.practice[0].prompt))
    assert pair.text(reading.tokens) == f"{task.practice[0].prompt} step A 1 2 3 fact ans 4"
    assert [label.role for label in reading.labels[:n]] == ["prompt"] * n
    assert [(label.strategy, label.role, label.stretch) for label in reading.labels[n:]] == [
        ("step", "opener", 0),
        ("step", "operation", 0),
        *[("step", "digit", 0)] * 3,
        ("none", "stray", 0),
        ("ans", "opener", 1),
        ("ans", "digit", 1),
    ]


def test_an_empty_response_leaves_the_prompt(pair: Pair, task: Task) -> None:
    (reading,) = readings(pair, task, written(pair, task, ""))
    assert list(reading.tokens) == pair.encode(task.practice[0].prompt)


def test_without_a_parser_nothing_is_known_of_a_response(pair: Pair, task: Task) -> None:
    (reading,) = readings(pair, replace(task, label=None), written(pair, task, "step A"))
    assert [(label.strategy, label.role) for label in reading.labels[-2:]] == [("none", "text")] * 2


def test_readings_of_one_writer(pair: Pair, task: Task) -> None:
    texts = written(pair, task, "ans 1", "ans 2", "ans 3")
    assert readings(pair, task, texts, writer="tuned") == readings(pair, task, texts)[1:]
