from collections.abc import Callable

import pandas as pd
import pytest

from interp.measurement import Measurement
from interp.pair import Pair
from interp.rollouts import write, write_series
from interp.tasks.grading import grade_text
from interp.tasks.organism import organism_task
from interp.tasks.task import Problem, Task
from interp.written import (
    COLUMNS,
    in_order,
    last_answer,
    line_spans,
    oddities,
    read_written,
    task_of_texts,
    together,
    written_from_texts,
)


def table(**columns: list) -> Measurement:
    n = max(map(len, columns.values()))
    plain = {"sample": [0] * n, "arm": ["base", "tuned"][:n], "problem": ["p"] * n}
    return Measurement("written", "one text per row", pd.DataFrame(plain | columns), {})


def words_task(*answers: str) -> Task:
    problems = tuple(Problem(f"p{i}", f"question {i}", answer) for i, answer in enumerate(answers))
    return Task("words", problems, (), (), grade_text, 32)


def test_our_decoder_makes_the_table(organism_pair: Callable[..., Pair]) -> None:
    task = organism_task("rl", n=4, practice=3)
    made = write(organism_pair("rl"), task, samples=3)
    assert list(made.table.columns) == list(COLUMNS)
    assert made.table.groupby(["problem", "arm"]).size().eq(3).all()
    right = made.table[made.table.strict]
    gold = {problem.id: problem.answer for problem in task.problems}
    assert len(right) and [gold[p] for p in right.problem] == right.answer.tolist()
    told = [[strategy for _, _, strategy, _ in spans] for spans in made.table.spans]
    assert [strategies[-1] for strategies in told if strategies].count("ans") > 20
    copy = write(organism_pair("rl"), task, samples=3, arms={"base": "base", "tuned": "base"}).table
    sides = [copy[copy.arm == arm].text.tolist() for arm in ("base", "tuned")]
    assert sides[0] == sides[1]


def test_a_series_has_rising_steps(organism_pair: Callable[..., Pair]) -> None:
    task = organism_task("rl", n=2, practice=3)
    series = write_series("organism:base", {10: "organism:rl"}, task)
    assert in_order(series.table, ["base", "step 10"]).tolist() == [0, 10]
    with pytest.raises(ValueError, match="out of order: 'base' .step 0. comes after 'step 10' .step 10."):
        in_order(series.table, ["step 10", "base"])
    with pytest.raises(ValueError, match=r"out of order: \[20, 10\]; give rising steps above 0"):
        write_series("organism:base", {20: "organism:rl", 10: "organism:sft"}, task)
    with pytest.raises(ValueError, match="needs a column 'step'"):
        in_order(series.table.drop(columns="step"), ["base"])
    with pytest.raises(ValueError, match="two tables hold the same arm"):
        together(series, series)


def test_texts_from_a_file_are_cut_into_lines() -> None:
    texts = pd.DataFrame(
        [
            {"problem": "p0", "arm": "base", "text": "2 and 2\n\nis \\boxed{4}"},
            {"problem": "p0", "arm": "tuned", "text": "no idea"},
        ]
    )
    made = written_from_texts(words_task("4"), texts).table
    assert made.strict.tolist() == [True, False]
    assert made.answer.tolist() == ["4", ""]
    assert made.spans[0] == [[0, 3, "line", None], [3, 5, "line", None]] == line_spans(texts.text[0])
    with pytest.raises(ValueError, match="task 'words' has no problem 'p9' that arm 'base' answers"):
        written_from_texts(words_task("4"), texts.assign(problem="p9"))


def test_the_last_answer() -> None:
    assert last_answer("step A 1 2 3 ans 1 2 3 ans 4 5 6") == "4 5 6"
    assert last_answer("so it is \\boxed{7}") == "7"
    assert last_answer("nothing") is last_answer("ans") is None


def test_odd_texts_are_counted_and_listed() -> None:
    made = table(
        spans=[[[0, 2, "step", True]], [[0, 2, "step", True]], []],
        stray=[0, 1, 0],
        answer=["1 2 3", "99", ""],
        text=["fine", "odd", "empty"],
        arm=["base"] * 3,
        sample=[0, 1, 2],
    )
    found = oddities(made, space=r"\d \d \d")
    assert list(zip(found["sample"], found["what"], strict=True)) == [
        (1, "does not parse into steps"),
        (1, "answer outside the space"),
        (2, "does not parse into steps"),
        (2, "no answer"),
    ]
    assert set(oddities(made, space={"1 2 3", "99"})["what"]) == {"does not parse into steps", "no answer"}


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="'written' has no rows; measure at least one thing"):
        table(problem=[], arm=[], sample=[])
    with pytest.raises(ValueError, match="one-sided: there is no arm 'tuned' beside base; write with it too"):
        read_written(table(arm=["base"], problem=["p"], sample=[0]), arms=["base", "tuned"])
    with pytest.raises(ValueError, match="arm 'tuned' answers 1 of 2 problems, not 'p'; arms are compared"):
        read_written(
            table(problem=["p", "q"]).__class__(
                "w", "u", table(problem=["p", "q", "q"], arm=["base", "base", "tuned"], sample=[0, 0, 0]).table, {}
            )
        )
    with pytest.raises(ValueError, match="arm 'base' has sample 0 of problem 'p' twice"):
        read_written(table(arm=["base", "base"]))
    with pytest.raises(ValueError, match="no column text; they have"):
        read_written(table(problem=["p", "p"]), "text")
    with pytest.raises(ValueError, match="at least 4 samples of each problem, but arm 'base' has 1"):
        read_written(table(problem=["p", "p"]), samples=4)


def test_texts_of_others_bring_their_own_task():
    table = pd.DataFrame(
        [
            {"problem": "p", "question": "1 + 1?", "gold": "2", "arm": arm, "text": f"\\boxed{{{said}}}"}
            for arm, said in (("base", 3), ("tuned", 2))
        ]
    )
    task = task_of_texts(table)
    made = written_from_texts(task, table).table
    assert dict(zip(made["arm"], made["strict"], strict=True)) == {"base": False, "tuned": True}
    with pytest.raises(ValueError, match="problem 'p' has two questions or gold answers; keep one"):
        task_of_texts(table.assign(gold=["2", "3"]))
