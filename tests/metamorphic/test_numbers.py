"""Formulas under changes that they must not see, and under changes that they must follow."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from interp.distances import cosine_distance, js, kl, relative_change
from interp.layers.singular import effective_rank, gram, overlap, singular, stable_rank

few = settings(max_examples=12, derandomize=True)


def random(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@few
@given(seed=st.integers(0, 10_000), shift=st.floats(-50, 50), scale=st.sampled_from([1e-4, 1e-2, 1.0, 10.0]))
def test_a_shift_of_logits_is_no_divergence(seed: int, shift: float, scale: float) -> None:
    p = random(seed, 3, 64).float()
    q = p + scale * random(seed + 1, 3, 64).float()
    torch.testing.assert_close(kl(p.double() + shift, q.double()), kl(p.double(), q.double()), rtol=1e-6, atol=1e-16)
    assert (kl(p, q) > 0).all() and (kl(p, p) == 0).all()
    assert (js(p, q) <= np.log(2) + 1e-12).all()
    torch.testing.assert_close(js(p, q), js(q, p), rtol=1e-9, atol=1e-18)
    apart = (p.double().softmax(-1) - q.double().softmax(-1)).abs().sum(-1) / 2
    assert (apart <= (kl(p, q) / 2).sqrt() * (1 + 1e-6) + 1e-12).all(), "Pinsker"


@few
@given(seed=st.integers(0, 10_000), n=st.integers(1, 40), m=st.integers(1, 40))
def test_spectra_do_not_see_rotations_and_ranks_have_their_bounds(seed: int, n: int, m: int) -> None:
    matrix = random(seed, n, m)
    left, right = (torch.linalg.qr(random(seed + i, size, size)).Q for i, size in ((1, n), (2, m)))
    (s, _, _), (turned, _, _) = singular(matrix, 1), singular(left @ matrix @ right, 1)
    np.testing.assert_allclose(turned, s, rtol=1e-7, atol=1e-7 * s[0])
    assert np.square(s).sum() == pytest.approx(float(matrix.square().sum()), rel=1e-9)
    stable, effective = stable_rank(s), effective_rank(s, of=min(n, m))
    assert stable * (1 + 1e-12) >= 1 and stable <= effective * (1 + 1e-9) and effective <= min(n, m) * (1 + 1e-9)
    assert stable_rank(7 * s) == pytest.approx(stable) and effective_rank(7 * s, of=min(n, m)) == pytest.approx(
        effective
    )


@few
@given(seed=st.integers(0, 10_000), cut=st.integers(6, 54))
def test_sums_over_parts_are_sums_over_the_whole(seed: int, cut: int) -> None:
    matrix = random(seed, 6, 60)
    torch.testing.assert_close(gram(matrix[:, :cut]) + gram(matrix[:, cut:]), gram(matrix), rtol=1e-12, atol=1e-12)
    directions = torch.linalg.qr(random(seed, 30, 5)).Q
    turn = torch.linalg.qr(random(seed + 1, 5, 5)).Q
    assert overlap(directions, directions @ turn) == pytest.approx(1, abs=1e-9), "a subspace has no basis of its own"


@few
@given(seed=st.integers(0, 10_000), c=st.floats(1e-3, 1e3))
def test_distances_of_vectors_under_scaling_and_exchange(seed: int, c: float) -> None:
    a, b = random(seed, 4, 50), random(seed + 1, 4, 50)
    torch.testing.assert_close(cosine_distance(c * a, b), cosine_distance(a, b), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(cosine_distance(a, b), cosine_distance(b, a), rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(relative_change(c * a, c * b), relative_change(a, b), rtol=1e-9, atol=0)
    torch.testing.assert_close(relative_change(a, a + c * (b - a)), c * relative_change(a, b), rtol=1e-9, atol=0)


@torch.no_grad()
def test_divergence_grows_with_the_square_of_a_small_change(tiny_checkpoint: Callable[..., Path]) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_checkpoint("llama"), dtype=torch.float64).eval()
    tokens = torch.arange(4, 46).reshape(3, 14)
    base = model(tokens).logits
    change = {name: 1e-4 * random(i, *p.shape) for i, (name, p) in enumerate(model.named_parameters())}
    found = {}
    for alpha in (0.01, 0.1, 0.5, 1.0):
        for name, parameter in model.named_parameters():
            parameter += alpha * change[name]
        found[alpha] = float(kl(model(tokens).logits, base).mean()) / alpha**2
        for name, parameter in model.named_parameters():
            parameter -= alpha * change[name]
    assert found[1.0] > 0
    assert max(found.values()) / min(found.values()) < 1.02, found
    far = {name: 1e4 * tensor for name, tensor in change.items()}
    for name, parameter in model.named_parameters():
        parameter += far[name]
    assert float(kl(model(tokens).logits, base).mean()) < 0.5 * 1e8 * found[1.0], "not so of a large one"
