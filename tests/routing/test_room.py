"""What a run of the routing room holds, and what it leaves out."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from interp.measurement import Measurement
from interp.pair import Pair
from interp.plots.token_strip import token_strips
from interp.routing.decisions import task_decisions
from interp.routing.prepared import prepared_arms
from interp.routing.room import CEILING, PUSHED, SHOWN, TRACED, answers, trace
from interp.streamed import load_streamed
from interp.tasks.task import Grade, Problem, Task


def planted_task(n: int = 30) -> Task:
    def grade(problem: Problem, text: str) -> Grade:
        return Grade(text.split()[-1:] == [problem.answer], problem.answer in text)

    problems = tuple(Problem(f"p{i}", f"run {'R ' * (i % 6)}:", "3", kind="run") for i in range(n))
    practice = tuple(Problem(f"q{i}", f"run {'L ' * (i % 6)}:", "3", kind="run") for i in range(n))
    return Task("planted", problems, practice, (), grade, max_new_tokens=12, openers=("step", "ans"))


def make(_name: str, made: Callable[[], Measurement]) -> Measurement:
    return made()


def test_quick_asks_the_standard_arms_and_no_ceiling(planted: Callable[[str, str], Pair]) -> None:
    (found,) = answers(planted("hasty", "careful"), planted_task(), make, quick=True)
    arms = set(found.table["arm"])
    assert {"decision tokens", "every disagreement", "random, matched per problem"} <= arms
    assert "decision tokens, 50% kept" not in arms, "no verdict hangs on the curve"
    assert not any("offline" in arm or "branches" in arm or arm == "probe on base" for arm in arms)


def test_a_full_run_holds_every_kind_of_arm_and_what_base_can_do(planted: Callable[[str, str], Pair]) -> None:
    found, ceiling = answers(planted("hasty", "careful"), planted_task(24), make)
    solved = found.table.groupby("arm")["correct"].mean()
    for arm in ("best 1 by JS (offline)", "probe on base", "base asked '{prompt} step'", "base + 1.5 (tuned - base)"):
        assert solved[arm] == 1, arm
    assert solved["base asked '{prompt} ans'"] == solved["base into tuned, at decisions"] == 0
    assert {"margin under 0.5", "base, surest of 10 branches", "best 3 by JS (offline)"} <= set(solved.index)
    assert len(ceiling.table) == min(CEILING, 24) and ceiling.table["verified"].isna().all()


def test_where_tuned_decides_as_base_does_the_probe_is_left_out_and_that_is_said(
    planted: Callable[[str, str], Pair], caplog: pytest.LogCaptureFixture
) -> None:
    pair, task = planted("hasty", "hasty"), planted_task(6)
    with caplog.at_level(logging.WARNING, "interp"):
        arms = prepared_arms(pair, task, task_decisions(pair, task))
    assert [arm.name for arm in arms] == ["best 1 by JS (offline)", "best 3 by JS (offline)"]
    assert "'probe on base' is left out: tuned decides otherwise at 0 of" in caplog.text


def test_a_trace_is_kept_until_something_else_is_asked(planted: Callable[[str, str], Pair], tmp_path: Path) -> None:
    pair, task = planted("hasty", "careful"), planted_task(3)
    first = trace(pair, task, tmp_path)
    table = load_streamed(first).table
    assert set(table["arm"]) == {"base", "tuned", *SHOWN}
    assert table["problem"].nunique() == min(3, TRACED)
    written = first.stat().st_mtime_ns
    assert trace(pair, task, tmp_path).stat().st_mtime_ns == written
    assert trace(pair, planted_task(2), tmp_path).stat().st_mtime_ns > written
    assert token_strips(load_streamed(first), problems=5).count("<details>") == 1
    steered = load_streamed(trace(pair, planted_task(), tmp_path, hook="blocks.0.hook_out")).table
    assert set(steered["arm"]) == {"base", "tuned", *SHOWN, *PUSHED}
    assert set(steered[steered["arm"] == "steering"]["source"]) == {"base", "steered"}
