import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from interp.behaviour.lengths import lengths, optimal_steps
from interp.claims.forced_is_worse import forced_is_worse
from interp.claims.longer_is_worse import longer_is_worse


def writer(accuracy):
    """Of a random length, right as often as `accuracy(length, hardness)` says; harder problems are written longer."""

    def write(problem, rng):
        hard = problem % 2
        length = rng.randint(2, 22) + 6 * hard
        return {"text": "w " * length, "strict": rng.random() < accuracy(length - 6 * hard, hard)}

    return write


def peak(length, hard):
    return max(0.0, 0.9 - 0.008 * (length - 10) ** 2)


@pytest.mark.parametrize(
    ("accuracy", "says"),
    [
        (peak, "supported"),
        (lambda length, hard: 0.1 + 0.035 * length, "contradicted"),
        (lambda length, hard: 0.9 - 0.7 * hard, "undecided"),
    ],
    ids=["inverted U", "monotone", "difficulty alone"],
)
def test_only_what_happens_within_a_problem_counts(scripted, accuracy, says):
    written = scripted.rollouts({"base": writer(accuracy), "tuned": writer(accuracy)}, problems=150, samples=16)
    verdict = longer_is_worse(lengths(written))
    assert verdict.says == says, verdict
    if says == "supported":
        assert "an optimum at 1" in verdict.because and verdict.high < 0


def test_a_length_that_decides_nothing_has_no_slope(scripted):
    made = lengths(scripted.rollouts({"tuned": writer(lambda length, hard: 0.9 - 0.7 * hard)}, problems=150))
    verdict = longer_is_worse(made)
    assert verdict.low < 0 < verdict.high
    by_hand = made.table.groupby("length")["correct"].mean()
    assert by_hand[by_hand.index > 20].mean() < by_hand[by_hand.index < 8].mean() - 0.3, "the naive curve falls"


def test_too_few_problems_decide_nothing(scripted):
    verdict = longer_is_worse(lengths(scripted.rollouts({"tuned": writer(peak)}, problems=8)))
    assert verdict.says == "undecided" and verdict.estimate is None
    assert "where 20 are needed" in verdict.because


@pytest.mark.parametrize(
    ("rates", "says"),
    [([0.2, 0.8, 0.3], "supported"), ([0.2, 0.5, 0.9], "contradicted"), ([0.9, 0.5, 0.2], "undecided")],
)
def test_a_length_that_was_set_is_a_dose(scripted, rates, says):
    parts = [
        scripted.rollouts({"tuned": lambda p, rng, r=r: {"strict": rng.random() < r}}, dose=i, samples=4)
        for i, r in enumerate(rates)
    ]
    table = lengths(parts[0].__class__("written", "", _joined(parts), {}), mode="forced")
    verdict = longer_is_worse(table)
    assert verdict.says == says
    assert "would not have written" in verdict.because


@pytest.mark.parametrize(("rates", "says"), [([0.9, 0.5, 0.2], "supported"), ([0.6, 0.6, 0.6], "contradicted")])
def test_forcing_a_model_on(scripted, rates, says):
    parts = [
        scripted.rollouts(dict.fromkeys(("base", "tuned"), lambda p, rng, r=r: {"strict": rng.random() < r}), dose=i)
        for i, r in enumerate(rates)
    ]
    made = lengths(parts[0].__class__("written", "", _joined(parts), {}), mode="forced")
    verdict = forced_is_worse(made)
    assert (verdict.says, verdict.reported) == (says, -0.17)
    assert verdict.estimate == pytest.approx(rates[2] - rates[0], abs=0.08)
    assert "Control: base changes by" in verdict.because
    with pytest.raises(ValueError, match="forced lengths of 'hybrid' at two doses or more are needed"):
        forced_is_worse(made, arm="hybrid")
    few = made.table[made.table["problem"].isin(["p0", "p1"])]
    assert "on 2 problems, where 10 are needed" in forced_is_worse(parts[0].__class__("forced", "", few, {})).because
    first = made.table["problem"].iloc[0]
    partly = made.table[(made.table["problem"] != first) | (made.table["dose"] != 1)]
    with pytest.raises(ValueError, match="some problem lacks a forced dose"):
        forced_is_worse(parts[0].__class__("forced", "", partly, {}))


def _joined(parts):
    import pandas as pd

    return pd.concat([part.table.assign(sample=part.table["sample"] + 10 * i) for i, part in enumerate(parts)])


def test_the_optimum_is_where_the_curve_is_highest():
    for difficulty, capability, noise in [(20.0, 2.0, 0.05), (40.0, 2.0, 0.05), (40.0, 8.0, 0.2)]:
        a = difficulty / capability

        def minus(n, a=a, noise=noise):
            return -n * (np.log(1 - a / n) + np.log(1 - noise))

        found = minimize_scalar(minus, bounds=(a * 1.001, 1000 * a), method="bounded", options={"xatol": 1e-9}).x
        assert optimal_steps(difficulty, capability, noise) == pytest.approx(found, rel=1e-4)
    assert optimal_steps(40.0, 2.0, 0.05) > optimal_steps(20.0, 2.0, 0.05) > optimal_steps(20.0, 4.0, 0.05)


def test_bad_input(scripted):
    written = scripted.rollouts({"tuned": writer(peak)})
    with pytest.raises(ValueError, match="mode is 'long'; a length is natural, forced, prompted"):
        lengths(written, mode="long")
    with pytest.raises(ValueError, match="no column dose"):
        lengths(written, mode="forced")
    with pytest.raises(ValueError, match="noise is 1.0, between 0 and 1"):
        optimal_steps(1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="of an arm 'base' are needed"):
        longer_is_worse(lengths(written), arm="base")
