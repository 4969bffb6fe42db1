import pytest

from interp.behaviour.switching import holds_gold, penalties, switching, thoughts_by_strategy, thoughts_by_words
from interp.claims.wrong_switch_more import switch_penalty_helps, wrong_switch_more
from interp.tasks.task import Grade, Problem, Task


def searcher(wrong_switches, *, by_difficulty=False):
    """Half of the samples are wrong; wrong ones switch more often, or hard problems do, right or wrong."""

    def write(problem, rng):
        hard = problem % 2
        right = rng.random() < ((0.85 - 0.7 * hard) if by_difficulty else 0.5)
        switches = rng.randint(1, 3) + (wrong_switches if (hard if by_difficulty else not right) else 0)
        words, spans = ["step", "x"], [[0, 2, "step", None]]
        for _ in range(switches):
            spans.append([len(words), len(words) + 2, "back", None])
            words += ["back", "x"]
        return {"tokens": words, "text": " ".join(words), "spans": spans, "strict": right}

    return write


def measured(scripted, write, is_right=lambda row, start, end: False):
    written = scripted.rollouts({"base": write, "tuned": write}, problems=120, samples=12)
    return switching(written, thoughts_by_strategy({"back"}), is_right)


def test_wrong_answers_that_switch_more_are_found(scripted):
    verdict = wrong_switch_more(measured(scripted, searcher(4)))
    assert verdict.says == "supported"
    assert verdict.estimate == pytest.approx(2, abs=0.2)


def test_difficulty_alone_is_not_switching(scripted):
    made = measured(scripted, searcher(4, by_difficulty=True))
    verdict = wrong_switch_more(made)
    assert verdict.says in ("contradicted", "undecided") and verdict.low < 0.1
    naive = made.table.groupby("correct")["switches"].mean()
    assert naive[False] / naive[True] - 1 > 0.8, "the published comparison would say otherwise"
    assert wrong_switch_more(measured(scripted, searcher(0))).says != "supported"


def test_underthinking_is_what_came_after_a_right_thought(scripted):
    def two_thoughts(problem, rng):
        spans = [[0, 2, "step", None], [2, 8, "back", None]]
        return {"tokens": list("abcdefgh"), "spans": spans, "strict": problem % 2 == 0}

    made = measured(scripted, two_thoughts, lambda row, start, end: start == 0).table
    assert made[["switches", "useful", "under"]].drop_duplicates().values.tolist() == [[1, 2, 0.75]]
    never = measured(scripted, two_thoughts).table
    assert never["under"].eq(0).all() and never["useful"].eq(8).all()


def test_thoughts_of_a_text_begin_with_words_of_doubt():
    row = {
        "text": "First this\nWait, no\nso that\nAlternatively this",
        "spans": [[0, 2, "line", None], [2, 4, "line", None], [4, 6, "line", None], [6, 8, "line", None]],
        "tokens": ["First", "this", "Wait,", "no", "so", "that", "Alternatively", "this"],
    }
    assert thoughts_by_words(row) == [[0, 2], [2, 6], [6, 8]]


def test_one_text_per_problem_tells_the_published_comparison_alone(scripted):
    made = switching(scripted.rollouts({"tuned": searcher(4)}, samples=1), thoughts_by_strategy({"back"}), says_x)
    verdict = wrong_switch_more(made)
    assert (verdict.says, verdict.estimate) == ("undecided", None)
    assert "0 problems with right and wrong samples" in verdict.because
    naive = made.table.groupby("correct")["switches"].mean()
    assert f"as published, {naive[False] / naive[True] - 1:.2f} more" in verdict.because


def says_x(row, start, end):
    return "x" in row["text"].split()[start:end]


def test_a_thought_holds_the_gold_answer_as_words(scripted):
    problem = Problem(id="p", prompt="", answer="12 apples", kind="")
    asked = Task("t", (problem,), (), (), lambda p, text: Grade(False, False), 1)
    holds = holds_gold(asked)
    row = {"problem": "p", "text": "It is 112 apples. Wait, so (12 apples), no"}
    assert [holds(row, 0, 4), holds(row, 4, 9), holds(row, 4, 7)] == [False, True, False]


def test_too_few_problems_and_right_answers_that_never_switch(scripted):
    few = switching(
        scripted.rollouts({"tuned": searcher(4)}, problems=5), thoughts_by_strategy({"back"}), lambda *_: False
    )
    assert "5 problems with right and wrong samples of tuned" in wrong_switch_more(few).because
    plain = measured(scripted, lambda p, rng: {"tokens": ["a"], "strict": rng.random() < 0.5})
    verdict = wrong_switch_more(plain)
    assert verdict.estimate is None and "right samples never switch" in verdict.because


@pytest.mark.parametrize(
    ("tuned", "base", "says"),
    [
        ((0.4, 0.7, 0.4), (0.4, 0.4, 0.4), "supported"),
        ((0.4, 0.7, 0.7), (0.4, 0.4, 0.4), "undecided"),
        ((0.4, 0.7, 0.4), (0.4, 0.7, 0.4), "undecided"),
        ((0.4, 0.4, 0.4), (0.4, 0.4, 0.4), "contradicted"),
    ],
    ids=["helps", "any penalty helps", "helps base as much", "no gain"],
)
def test_a_penalty_is_held_against_its_twins(tuned, base, says):
    import pandas as pd

    from interp.measurement import Measurement

    methods = ("none", "switch penalty", "random penalty")
    rows = [
        {"problem": i, "arm": arm, "method": method, "correct": i < rate * 300}
        for arm, rates in (("base", base), ("tuned", tuned))
        for method, rate in zip(methods, rates, strict=True)
        for i in range(300)
    ]
    made = Measurement("penalties", "", pd.DataFrame(rows), {})
    assert switch_penalty_helps(made).says == says
    lacking = Measurement("penalties", "", made.table[made.table["method"] != "none"], {})
    with pytest.raises(ValueError, match="lacks 'base: none'; base and tuned need all three methods"):
        switch_penalty_helps(lacking)


def test_penalties_are_told_apart(scripted):
    runs = {
        method: scripted.rollouts(dict.fromkeys(("base", "tuned"), lambda p, rng, r=r: {"strict": rng.random() < r}))
        for method, r in (("none", 0.3), ("switch penalty", 0.3), ("random penalty", 0.3))
    }
    made = penalties(runs)
    assert made.table.groupby(["arm", "method"]).size().eq(60).all()
    assert (switch_penalty_helps(made).says, switch_penalty_helps(made).estimate) == ("contradicted", 0)
    with pytest.raises(ValueError, match="'oracle' is no method; they are none, switch penalty, random penalty"):
        penalties({"oracle": runs["none"]})
