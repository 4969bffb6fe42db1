"""Claims on tables that decoding with a hook makes: a tool, and ways to shorten."""

import random

import pandas as pd
import pytest

from interp.claims.execution_limits import execution_limits
from interp.claims.steering_shortens import steering_shortens
from interp.measurement import Measurement

SIZES = (2, 6, 12)


def execution(eps, *, tool=1.0, luck=0.0):
    """Each step fails with eps; the tool does a share of the steps, and a random one leads to luck."""
    rng, rows = random.Random(0), []
    for i in range(2700):
        size = SIZES[i % 3]
        for name, rate in (
            ("none", (1 - eps) ** size),
            ("tool", (1 - eps * (1 - tool)) ** size),
            ("random tool", luck),
        ):
            row = {"problem": f"p{i}", "arm": "tuned", "size": size, "tool": name, "correct": rng.random() < rate}
            rows.append(row)
    return Measurement("execution", "", pd.DataFrame(rows), {})


def one_steps(eps):
    rng = random.Random(1)
    rows = [
        {"problem": f"p{i}", "arm": "tuned", "size": size, "i": 0, "correct": rng.random() >= eps}
        for size in SIZES
        for i in range(3000)
    ]
    return Measurement("one_steps", "", pd.DataFrame(rows), {})


def test_a_tool_that_does_the_steps_removes_the_collapse():
    verdict = execution_limits(execution(0.1), one_steps=one_steps(0.1))
    assert verdict.says == "supported" and verdict.estimate > 0.5
    assert "execution explains the fall" in verdict.because
    assert "does not explain the fall" in execution_limits(execution(0.1), one_steps=one_steps(0.0)).because


@pytest.mark.parametrize(
    ("made", "says", "why"),
    [
        (execution(0.1, tool=0.0), "contradicted", "accuracy falls by"),
        (execution(0.1, luck=1.0), "undecided", "accuracy falls by"),
        (execution(0.0), "undecided", "there is no collapse to explain"),
    ],
    ids=["no help", "any tool helps", "no fall"],
)
def test_a_tool_that_does_not(made, says, why):
    verdict = execution_limits(made)
    assert (verdict.says, why in verdict.because) == (says, True), verdict


def test_every_run_is_needed():
    made = execution(0.1)
    few = Measurement("execution", "", made.table[made.table.problem.isin(["p0", "p1", "p2"])], {})
    assert "1 problems of the largest size, 12, where 20 are needed" in execution_limits(few).because
    part = Measurement("execution", "", made.table[made.table.tool != "random tool"], {})
    with pytest.raises(ValueError, match="lacks runs of 'tuned' with 'random tool'; the claim needs all three"):
        execution_limits(part)


def compression(steered, *, twin=(30, 0.9), biases=((20, 0.6), (10, 0.3)), n=600):
    """(tokens, accuracy) of each method; none writes 30 tokens at 0.9."""
    cells = {("none", 0.0): (30, 0.9), ("steered", 0.5): steered, ("random vector", 0.5): twin}
    cells |= {("biased", float(i + 1)): cell for i, cell in enumerate(biases)}
    rng = random.Random(0)
    rows = [
        {"problem": f"p{i}", "arm": "tuned", "method": method, "strength": strength}
        | {"tokens": tokens + rng.choice((-1, 1)), "correct": float(rng.random() < rate)}
        for (method, strength), (tokens, rate) in cells.items()
        for i in range(n)
    ]
    return Measurement("compression", "", pd.DataFrame(rows), {})


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (compression((15, 0.85)), "supported"),
        (compression((15, 0.45)), "contradicted"),
        (compression((29, 0.9)), "contradicted"),
        (compression((15, 0.85), twin=(15, 0.85)), "undecided"),
        (compression((5, 0.9)), "undecided"),
    ],
    ids=["beats the bias", "as the bias", "does not shorten", "any vector shortens", "not bracketed"],
)
def test_steering_is_held_against_a_bias_at_equal_length(made, says):
    verdict = steering_shortens(made)
    assert verdict.says == says, verdict
    if says == "supported":
        assert verdict.estimate == pytest.approx(0.85 - 0.45, abs=0.06)


def test_bad_tables_of_compression():
    made = compression((15, 0.85)).table
    with pytest.raises(ValueError, match="lacks the method 'biased' of arm 'tuned'"):
        steering_shortens(Measurement("compression", "", made[made.method != "biased"], {}))
    more = pd.concat([made, made[made.method == "steered"].assign(strength=0.9)])
    with pytest.raises(ValueError, match="method 'steered' has several strengths; choose one on other problems"):
        steering_shortens(Measurement("compression", "", more, {}))
    fewer = made[~((made.method == "steered") & (made.problem == "p3"))]
    with pytest.raises(ValueError, match="method 'steered' answers 599 problems, not the 600 of 'none'"):
        steering_shortens(Measurement("compression", "", fewer, {}))
