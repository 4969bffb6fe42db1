"""Distances: exactly 0 for the same input, right to many digits where the usual form is noise."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from interp.distances import cosine_distance, entropy, js, kl, relative_change


def logits(rows: int = 50, vocabulary: int = 500, seed: int = 0) -> Tensor:
    return 3 * torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(seed))


def nudged(x: Tensor, size: float, seed: int = 1) -> Tensor:
    return x + size * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))


def extended(x: Tensor) -> np.ndarray:
    """Log-probabilities in 80-bit floats, whose rounding is far below anything compared here."""
    wide = x.double().numpy().astype(np.longdouble)
    wide = wide - wide.max(-1, keepdims=True)
    return wide - np.log(np.exp(wide).sum(-1, keepdims=True))


def oracle_kl(log_p: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    return (np.exp(log_p) * (log_p - log_q)).sum(-1).astype(np.float64)


def oracle_js(log_p: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    middle = np.log((np.exp(log_p) + np.exp(log_q)) / 2)
    return (oracle_kl(log_p, middle) + oracle_kl(log_q, middle)) / 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_identical_inputs_are_at_distance_exactly_0(dtype: torch.dtype) -> None:
    x = logits().to(dtype)
    x[:, 7] = -math.inf
    finite = x.nan_to_num(neginf=0.0)
    for distance, of in ((kl, x), (js, x), (cosine_distance, finite), (relative_change, finite)):
        assert torch.equal(distance(of, of.clone()), torch.zeros(50, dtype=torch.float64))


def test_cosine_distance_keeps_its_digits_where_the_usual_form_loses_the_sign() -> None:
    a = torch.randn(1_000_000, generator=torch.Generator().manual_seed(0))
    b = nudged(a, 1e-4)
    unit_a, unit_b = (x.double() / x.double().norm() for x in (a, b))
    truth = float((unit_a - unit_b).square().sum() / 2)
    assert float(cosine_distance(a, b)) == pytest.approx(truth, rel=1e-5)
    usual = float(1 - torch.nn.functional.cosine_similarity(a, b, dim=0))
    assert abs(usual - truth) > truth


def test_cosine_distance_of_a_right_angle_an_opposite_and_a_multiple() -> None:
    a = torch.tensor([[1.0, 0.0], [1.0, 2.0], [1.0, 2.0]])
    b = torch.tensor([[0.0, 5.0], [-2.0, -4.0], [3.0, 6.0]])
    assert cosine_distance(a, b).tolist() == pytest.approx([1.0, 2.0, 0.0], abs=1e-15)


def test_a_zero_vector_has_no_direction_and_changes_infinitely() -> None:
    zero, some = torch.zeros(4), torch.ones(4)
    assert math.isnan(float(cosine_distance(zero, some)))
    assert float(relative_change(zero, some)) == math.inf
    assert float(relative_change(some, zero)) == 1.0
    assert float(relative_change(zero, zero)) == float(cosine_distance(zero, zero)) == 0.0


def test_relative_change_is_per_row_and_names_the_row_that_changed() -> None:
    base = logits(4, 30)
    tuned = base.clone()
    tuned[2] *= 1.25
    assert relative_change(base, tuned).tolist() == pytest.approx([0.0, 0.0, 0.25, 0.0], rel=1e-6)
    assert relative_change(base.bfloat16(), tuned.bfloat16())[[0, 1, 3]].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("size", [1e-4, 1e-3, 1e-2, 1.0])
def test_kl_and_js_agree_with_80_bit_sums_however_small(size: float) -> None:
    p = logits()
    q = nudged(p, size)
    log_p, log_q = extended(p), extended(q)
    np.testing.assert_allclose(kl(p, q).numpy(), oracle_kl(log_p, log_q), rtol=1e-7)
    np.testing.assert_allclose(js(p, q).numpy(), oracle_js(log_p, log_q), rtol=1e-6)


def test_the_usual_kl_in_fp32_is_noise_where_ours_is_not() -> None:
    p = logits()
    q = nudged(p, 1e-4)
    truth = oracle_kl(extended(p), extended(q))
    assert truth.max() < 1e-7
    usual = (p.softmax(-1) * (p.log_softmax(-1) - q.log_softmax(-1))).sum(-1).double().numpy()
    assert np.median(np.abs(usual - truth) / truth) > 1
    assert (usual < 0).any()
    assert np.max(np.abs(kl(p, q).numpy() - truth) / truth) < 1e-7


def test_kl_and_js_do_not_move_with_a_shift_or_an_order_of_the_vocabulary() -> None:
    p = logits().double()
    q = nudged(p, 0.1)
    order = torch.randperm(500, generator=torch.Generator().manual_seed(2))
    for distance in (kl, js):
        found = distance(p, q)
        torch.testing.assert_close(distance(p + 7.5, q - 3.0), found, rtol=1e-9, atol=0)
        torch.testing.assert_close(distance(p[:, order], q[:, order]), found, rtol=1e-12, atol=0)


def test_js_is_symmetric_and_bounded_and_kl_bounds_total_variation() -> None:
    p, q = logits(seed=0), logits(seed=1)
    torch.testing.assert_close(js(p, q), js(q, p), rtol=1e-12, atol=0)
    assert float(js(p, q).max()) < math.log(2)
    variation = (p.double().softmax(-1) - q.double().softmax(-1)).abs().sum(-1) / 2
    assert bool((variation <= (kl(p, q) / 2).sqrt()).all())
    assert not torch.allclose(kl(p, q), kl(q, p))


def test_distributions_that_share_nothing() -> None:
    p = torch.tensor([[0.0, 1.0, -math.inf, -math.inf]])
    q = torch.tensor([[-math.inf, -math.inf, 0.0, 2.0]])
    assert float(kl(p, q)) == math.inf
    assert float(js(p, q)) == pytest.approx(math.log(2))


def test_a_column_excluded_by_one_side_only_counts_and_by_both_does_not() -> None:
    p, q = torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([[0.5, 1.0, -math.inf]])
    both_p, both_q = p.clone(), q.clone()
    both_p[:, 2] = -math.inf
    assert float(kl(p, q)) == math.inf
    assert float(kl(q, p)) == pytest.approx(float(oracle_kl(extended(q[:, :2]), extended(p)[:, :2])[0]))
    torch.testing.assert_close(kl(both_p, both_q), kl(p[:, :2], q[:, :2]))
    torch.testing.assert_close(js(both_p, both_q), js(p[:, :2], q[:, :2]))


def test_rows_far_apart_are_right_beside_rows_that_are_near() -> None:
    p = logits(2)
    q = p.clone()
    q[0, 3] += 1_000.0
    q[1] = nudged(p[1], 1e-4)
    np.testing.assert_allclose(kl(p, q).numpy(), oracle_kl(extended(p), extended(q)), rtol=1e-7)


def test_what_is_not_a_number_stays_visible() -> None:
    p = logits(2)
    q = p.clone()
    q[1, 5] = math.nan
    for found in (kl(p, q), kl(q, p), js(p, q), cosine_distance(p, q), relative_change(p, q)):
        assert found.isnan().tolist() == [False, True]


def test_entropy_of_even_odds_of_certainty_and_of_nearly_certain() -> None:
    even = torch.zeros(1, 1_000)
    certain = torch.full((1, 1_000), -math.inf)
    certain[0, 4] = 3.0
    assert float(entropy(even)) == pytest.approx(math.log(1_000), rel=1e-14)
    assert float(entropy(certain)) == 0.0
    nearly = torch.zeros(1, 1_000)
    nearly[0, 4] = 45.0
    log_p = extended(nearly)
    truth = float(-(np.exp(log_p) * log_p).sum())
    assert 0 < truth < 1e-14
    assert float(entropy(nearly)) == pytest.approx(truth, rel=1e-10)
    assert float(entropy(even[:, :1])) == 0.0


def test_vectors_longer_than_one_piece_are_summed_whole() -> None:
    a = torch.ones(2, 600_000)
    b = a.clone()
    b[1, -1] = 3.0
    assert relative_change(a, b).tolist() == pytest.approx([0.0, 2 / math.sqrt(600_000)])


def test_many_axes_of_rows_keep_their_shape() -> None:
    p = logits(6, 20).reshape(2, 3, 20)
    assert kl(p, p).shape == js(p, p).shape == entropy(p).shape == cosine_distance(p, p).shape == (2, 3)
