from itertools import combinations

import numpy as np
import pytest

from interp.behaviour import temperature
from interp.behaviour.diversity import differing_pairs, distinct_bigrams, diversity, rarefied
from interp.claims.diversity_moves import MATCHED, diversity_moves


def writer(meanings, words, valid=1.0):
    """Means one of `meanings` things in one of `words` ways."""

    def write(problem, rng):
        meant, way = rng.randrange(meanings), rng.randrange(words)
        return {"answer": str(meant), "text": f"so w{way} gives w{way} {meant}", "strict": rng.random() < valid}

    return write


def test_form_falls_and_meaning_rises(scripted):
    verdict = diversity_moves(diversity(scripted.rollouts({"base": writer(2, 50), "tuned": writer(20, 1)})))
    assert verdict.says == "supported"
    assert verdict.estimate > 0.3


def test_a_copy_changes_nothing(scripted):
    verdict = diversity_moves(diversity(scripted.rollouts({"base": writer(4, 9), "tuned": writer(4, 9)})))
    assert (verdict.says, verdict.estimate) == ("contradicted", 0)


def test_more_valid_answers_are_not_more_meanings_at_equal_quality(scripted):
    arms = {"base": writer(4, 50, valid=0.4), "tuned": writer(4, 1, valid=1.0)}
    made = diversity(scripted.rollouts(arms, problems=200, samples=16))
    verdict = diversity_moves(made)
    assert verdict.says == "supported" and verdict.estimate > 0.2
    told = made.table[made.table["matched"].notna()].groupby("arm")["matched"].mean()
    assert told["tuned"] - told["base"] == pytest.approx(0, abs=0.1)
    assert "(control of quality)" in verdict.because


def test_a_colder_model_is_compared_at_its_own_temperature(scripted):
    arms = {"base": writer(9, 50), "tuned": writer(20, 1)}
    cold = diversity_moves(diversity(scripted.rollouts(arms)))
    assert "Not temperature-matched" in cold.because and cold.estimate > 0
    verdict = diversity_moves(diversity(scripted.rollouts(arms | {MATCHED: writer(9, 50)})))
    assert (verdict.says, verdict.estimate) == ("contradicted", 0)
    assert f"and meaning by {cold.estimate:.2f}" in verdict.because
    assert MATCHED == temperature.MATCHED, "the room and the claim call the arm by one name"


def test_formulas_against_enumeration():
    meant = ["a", "a", "b", "c"]
    pairs = [x != y for x, y in combinations([*meant, None, None], 2) if x and y]
    assert differing_pairs(meant, 6) == sum(pairs) / 15
    drawn = [len(set(some)) for some in combinations(meant, 3)]
    assert rarefied(meant, 3) == pytest.approx(np.mean(drawn))
    assert rarefied(meant, 4) == 3
    assert distinct_bigrams(["a b c", "a b d"]) == 3 / 4
    assert np.isnan(distinct_bigrams(["a", ""]))


def test_bad_input(scripted):
    with pytest.raises(ValueError, match="needs at least 2 samples of each problem"):
        diversity(scripted.rollouts({"base": writer(2, 2), "tuned": writer(2, 2)}, samples=1))
    with pytest.raises(ValueError, match="3 meanings cannot be drawn out of 2"):
        rarefied(["a", "b"], 3)
