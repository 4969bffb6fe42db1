import math

import pandas as pd
import pytest

from interp.behaviour.formats import formats
from interp.claims.format_collapses import entropy, format_collapses


def opener(*rates):
    """Opens with `a`, `b`, `c` at these rates."""
    return lambda problem, rng: {"spans": [[0, 1, rng.choices("abc", rates)[0], None]], "strict": True}


def test_a_collapse_is_found_and_its_absence_too(scripted):
    mixed, one = opener(5, 3, 2), opener(0, 1, 0)
    planted = format_collapses(formats(scripted.rollouts({"base": mixed, "tuned": one}, problems=120)))
    assert planted.says == "supported"
    assert planted.estimate == pytest.approx(0.5, abs=0.06)
    absent = format_collapses(formats(scripted.rollouts({"base": mixed, "tuned": mixed})))
    assert (absent.says, absent.estimate) == ("contradicted", 0)


def test_a_format_per_problem_is_no_collapse_onto_one(scripted):
    def chooses(problem, rng):
        return {"spans": [[0, 1, "abc"[problem // 20], None]]}

    verdict = format_collapses(formats(scripted.rollouts({"base": opener(1, 1, 1), "tuned": chooses})))
    assert verdict.says == "contradicted"
    assert "1.00 in tuned: where this rises and the share above does not" in verdict.because


def test_a_drift_without_reward_takes_the_credit(scripted):
    arms = {"base": opener(5, 3, 2), "tuned": opener(0, 1, 0), "random reward": opener(0, 1, 0)}
    made = formats(scripted.rollouts(arms, problems=120))
    assert format_collapses(made).says == "supported"
    verdict = format_collapses(made, control="random reward")
    assert verdict.says == "undecided"
    assert "Control 'random reward': tuned's share is 0.00" in verdict.because


def test_a_series_says_since_when(scripted):
    arms = {"base": opener(1, 1, 1), "half": opener(1, 9, 1), "tuned": opener(0, 1, 0)}
    written = scripted.rollouts(arms)
    steps = written.table["arm"].map({"base": 0, "half": 5, "tuned": 10})
    written.table["step"] = steps
    made = formats(written, series=["base", "half", "tuned"])
    assert "first takes 90% at step 10" in format_collapses(made).because
    with pytest.raises(ValueError, match="out of order: 'half' .step 5. comes after 'tuned' .step 10."):
        formats(written, series=["base", "tuned", "half"])
    assert "without a checkpoint series" in format_collapses(formats(written)).because


def test_entropy_is_that_of_its_maximum():
    assert entropy(pd.Series([0.25] * 4)) == pytest.approx(1)
    assert entropy(pd.Series([1.0, 0, 0])) == 0
    assert entropy(pd.Series([0.5, 0.5, 0])) == pytest.approx(math.log(2) / math.log(3))


def test_text_without_steps_and_formats_that_nobody_writes_have_their_rows(scripted):
    made = formats(scripted.rollouts({"base": lambda p, rng: {}}, problems=2), known=["a"]).table
    assert made.groupby("format")["count"].sum().to_dict() == {"a": 0, "other": 16}


def test_too_few_problems_decide_nothing(scripted):
    made = formats(scripted.rollouts({"base": opener(1, 1, 1), "tuned": opener(0, 1, 0)}, problems=3))
    verdict = format_collapses(made)
    assert verdict.estimate is None and "3 problems, where 4 are needed" in verdict.because


def test_an_absent_control_is_named(scripted):
    made = formats(scripted.rollouts({"base": opener(1, 1, 1), "tuned": opener(1, 1, 1)}))
    with pytest.raises(ValueError, match="has no arm 'random reward'; it has base, tuned"):
        format_collapses(made, control="random reward")
