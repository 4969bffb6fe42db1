import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from interp.sae.auroc import auroc_interval, aurocs


def tied_scores(n: int = 400, candidates: int = 280) -> np.ndarray:
    """Scores as an SAE gives them: mostly zero, the rest with repeats."""
    rng = np.random.default_rng(0)
    return np.where(rng.random((n, candidates)) < 0.7, 0.0, rng.integers(0, 9, (n, candidates)) / 8).astype(np.float32)


def test_equals_scikit_learn_with_ties():
    scores, positive = tied_scores(), np.random.default_rng(1).random((400, 2)) < 0.3
    found = aurocs(torch.from_numpy(scores), torch.from_numpy(positive)).numpy()
    wanted = [[roc_auc_score(positive[:, i], scores[:, j]) for j in range(280)] for i in range(2)]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


def test_perfect_reversed_and_constant_scores():
    positive = torch.tensor([False, False, True, True])[:, None]
    scores = torch.tensor([[0.0, 3.0, 5.0], [1.0, 2.0, 5.0], [2.0, 1.0, 5.0], [3.0, 0.0, 5.0]])
    assert aurocs(scores, positive).tolist() == [[1.0, 0.0, 0.5]]


def test_a_label_on_all_or_no_tokens_has_no_auroc():
    positive = torch.tensor([[True, False, True], [True, False, False]])
    found = aurocs(torch.tensor([[1.0], [0.0]]), positive)
    assert found[:2].isnan().all() and found[2] == 1


def test_interval_equals_resampling_the_tokens_of_drawn_problems():
    rng = np.random.default_rng(2)
    problem = rng.integers(0, 25, 2_000)
    positive = rng.random(2_000) < 0.4
    scores = np.round(rng.normal(size=2_000) + 0.5 * positive + 0.5 * rng.normal(size=25)[problem], 3)
    tokens = [np.flatnonzero(problem == p) for p in range(25)]
    again = []
    for counts in np.random.default_rng(7).multinomial(25, np.full(25, 1 / 25), size=60):
        rows = np.concatenate([np.tile(tokens[p], count) for p, count in enumerate(counts)])
        again.append(roc_auc_score(positive[rows], scores[rows]))
    wanted = np.quantile(again, [0.025, 0.975])
    found = auroc_interval(scores, positive, problem, n_resamples=60, seed=7)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


def test_repeating_every_token_adds_no_certainty():
    rng = np.random.default_rng(3)
    problem, positive, scores = rng.integers(0, 40, 500), rng.random(500) < 0.5, rng.normal(size=500)
    once = auroc_interval(scores, positive, problem)
    often = auroc_interval(*(np.tile(x, 20) for x in (scores, positive, problem)))
    np.testing.assert_allclose(often, once, atol=1e-12)


def test_interval_covers_one_half_when_scores_say_nothing():
    rng = np.random.default_rng(4)
    covered = 0
    for _ in range(100):
        problem = np.repeat(np.arange(50), 8)
        positive = rng.random(400) < 0.4
        # One number a problem: 400 tokens that are really 50.
        low, high = auroc_interval(rng.normal(size=50)[problem], positive, problem, n_resamples=300)
        covered += low <= 0.5 <= high
    assert covered >= 88


def test_no_interval_from_a_handful_of_problems():
    positive, problem = np.arange(600) % 2 == 0, np.arange(600) % 9
    assert np.isnan(auroc_interval(np.arange(600.0), positive, problem)).all()
