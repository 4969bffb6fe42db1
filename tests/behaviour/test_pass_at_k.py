import math
from itertools import combinations

import numpy as np
import pytest

from interp.behaviour.pass_at_k import is_verified, pass_at, pass_counts, pass_curve
from interp.claims.base_catches_up import base_catches_up


def solver(rate, *, true=True):
    """Right at a rate; its one step is true or false."""
    return lambda problem, rng: {"strict": rng.random() < rate, "spans": [[0, 5, "step", true], [5, 9, "ans", True]]}


def test_pass_at_k_is_the_share_of_subsets_that_hold_a_right_answer():
    n, c, k = 7, 3, 4
    holds = [min(subset) < c for subset in combinations(range(n), k)]
    assert pass_at([n], [c], k)[0] == pytest.approx(np.mean(holds))


def test_base_that_solves_seldom_catches_up(scripted):
    counts = pass_counts(scripted.rollouts({"base": solver(0.2), "tuned": solver(1.0)}, samples=64))
    verdict = base_catches_up(counts)
    assert verdict.says == "supported"
    assert verdict.estimate == pytest.approx(0, abs=0.05)
    assert "Base comes within 0.05 of tuned from k = 16 on" in verdict.because


def test_base_that_never_solves_does_not(scripted):
    arms = {"base": solver(0.0), "tuned": solver(0.9)}
    verdict = base_catches_up(pass_counts(scripted.rollouts(arms, samples=64)))
    assert (verdict.says, verdict.estimate) == ("contradicted", pytest.approx(-1, abs=0.01))
    few = base_catches_up(pass_counts(scripted.rollouts(arms, samples=16)))
    assert few.says == "undecided" and "k = 8 is too few" in few.because


def test_guesses_pass_but_their_process_does_not(scripted):
    written = scripted.rollouts({"base": solver(0.1, true=False), "tuned": solver(1.0)}, samples=64)
    counts = pass_counts(written, answer_space=10)
    curve = pass_curve(counts).table.set_index(["arm", "counting", "k"])["value"]
    assert curve["base", "any right answer", 32] > 0.9
    assert curve["base", "verified process", 32] == 0
    assert curve["blind guesses", "guess floor", 32] == pytest.approx(1 - 0.9**32)
    verdict = base_catches_up(counts)
    assert verdict.says == "contradicted"
    assert "blind guesses come to 0.97" in verdict.because


def test_without_a_gain_or_a_parser_nothing_is_said(scripted):
    same = base_catches_up(pass_counts(scripted.rollouts({"base": solver(0.5), "tuned": solver(0.5)})))
    assert (same.says, same.estimate) == ("undecided", 0)
    assert "nothing to catch up with" in same.because
    bare = {arm: (lambda p, rng, r=r: {"strict": rng.random() < r}) for arm, r in (("base", 0.2), ("tuned", 1.0))}
    counts = pass_counts(scripted.rollouts(bare, samples=32))
    assert counts.table["verified"].isna().all()
    assert base_catches_up(counts).says == "undecided"
    assert "guesses count in both" in base_catches_up(counts).because


def test_a_process_is_verified_only_with_a_step_and_no_false_one():
    def row(strict, *spans):
        return {"strict": strict, "spans": [[0, 1, *span] for span in spans]}

    assert is_verified(row(True, ("step", True), ("ans", True)))
    assert not is_verified(row(True, ("ans", True)))
    assert not is_verified(row(True, ("step", True), ("step", False)))
    assert not is_verified(row(False, ("step", True)))


def test_bad_input(scripted):
    one = scripted.rollouts({"base": solver(0.2), "tuned": solver(1)}, samples=1)
    with pytest.raises(ValueError, match="needs at least 2 samples of each problem, but arm 'base' has 1 of 'p0'"):
        pass_counts(one)
    with pytest.raises(ValueError, match="pass@9 needs at least 9 samples of every problem, there are 8"):
        pass_at([8, 9], [1, 1], 9)
    with pytest.raises(ValueError, match="answer_space is 1; there have to be at least two"):
        pass_counts(scripted.rollouts({"base": solver(0.2)}), answer_space=1)
    assert math.isnan(pass_counts(scripted.rollouts({"base": solver(0.2)})).table["guess"].iloc[0])
