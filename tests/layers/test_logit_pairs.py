import pytest
import torch
from scipy.spatial.distance import jensenshannon

from interp.distances import js, kl
from interp.layers.logit_pairs import compare


def logits(scale: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    p = 3 * torch.randn(40, 5000, generator=generator)
    return p, p + scale * torch.randn(40, 5000, generator=generator) + 4


@pytest.mark.parametrize("scale", [1e-5, 1e-4, 1e-3, 1e-2, 1.0, 5.0])
def test_it_is_the_divergence_in_fp64(scale: float) -> None:
    p, q = logits(scale)
    found = compare(p, q)
    # fp32 rounds the common shift of 4 by 5e-7, which is all that a scale of 1e-5 leaves of the difference
    assert found[:, 0] == pytest.approx(kl(p, q), rel=2e-4)
    assert found[:, 1] == pytest.approx(js(p, q), rel=2e-4)
    assert (found[:, 2] == (p.argmax(-1) == q.argmax(-1))).all()


def test_it_is_scipys_jensen_shannon() -> None:
    p, q = (x.double() for x in logits(1.0))
    expected = jensenshannon(p.softmax(-1).numpy(), q.softmax(-1).numpy(), axis=1) ** 2
    assert compare(p, q)[:, 1].numpy() == pytest.approx(expected, rel=1e-5)


def test_the_same_logits_are_exactly_0_apart_and_agree() -> None:
    p, _ = logits(1.0)
    assert compare(p, p)[:, :2].abs().max() == 0
    assert (compare(p, p)[:, 2] == 1).all()


def test_a_large_common_shift_costs_digits_of_the_logits_alone() -> None:
    """At 300 fp32 tells logits apart by 3e-5: an error of that size in each of 5,000, beside changes of 0.01 and 1."""
    for scale, lost in ((1e-2, 5e-3), (1.0, 1e-4)):
        p, q = logits(scale)
        q = q + 300
        found = compare(p, q)
        assert found[:, 0] == pytest.approx(kl(p, q), rel=lost) and found[:, 1] == pytest.approx(js(p, q), rel=lost)


def test_ties_for_the_top_agree_where_one_token_is_in_both() -> None:
    p = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    q = torch.tensor([[0.0, 1.0, 0.5], [0.0, 0.5, 1.0], [0.0, 1.0 - 2**-24, 1.0]])
    assert compare(p, q)[:, 2].tolist() == [1, 0, 0]


def test_what_fp32_cannot_hold_is_done_in_fp64() -> None:
    p = torch.tensor([[100.0, 0.0, -100.0], [0.0, 1.0, -torch.inf], [0.0, 0.0, 0.0]])
    q = torch.tensor([[-100.0, 0.0, 100.0], [1.0, 0.0, -torch.inf], [0.0, 0.0, 0.0]])
    found = compare(p, q)
    assert found[:, 0] == pytest.approx(kl(p, q)) and found[:, 1] == pytest.approx(js(p, q))
    assert found[0, 0] == pytest.approx(200) and found[2].tolist() == [0, 0, 1]
