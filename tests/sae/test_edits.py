import numpy as np
import pytest
import torch

from interp.sae.edits import DIRECTION, FEATURE, Compared, compared, edits_of
from interp.sae.sites import Sites

N = 400


def sites_of(strategy: np.ndarray) -> Sites:
    """One token, one stretch and one text per site; the problems of the second half are held out."""
    number = np.arange(len(strategy))
    own = {"row": number, "stretch": number, "problem": number, "reading": number}
    alike = dict.fromkeys(("position", "token"), np.ones(len(strategy), dtype=np.int64))
    return Sites("onset", strategy=strategy.astype(object), held_out=number >= len(strategy) // 2, **own, **alike)


@pytest.fixture
def here(small_sae) -> Compared:
    """Activations that differ most along axis 1, and between strategies, by 4, along axis 0."""
    generator = torch.Generator().manual_seed(0)
    strategy = np.where(torch.rand(N, generator=generator).numpy() < 0.3, "back", "step")
    x = torch.randn(N, small_sae.d_in, generator=generator)
    x[:, 1] *= 8
    x[:, 0] += torch.from_numpy(4.0 * (strategy == "back"))
    return compared(small_sae, sites_of(strategy), x, n=10, seed=0)


def test_the_spread_is_how_far_searched_activations_lie_from_their_mean(here):
    half = here.x[: N // 2]
    assert here.spread == pytest.approx(float((half - half.mean(0)).norm(dim=1).square().mean().sqrt()), rel=1e-5)


@pytest.mark.parametrize("how", ["add", "clamp", "ablate"])
def test_twins_move_every_activation_as_far(here, how):
    for source, edits in edits_of(here, "back", 3, 1, how, dose=2.0, n=10).items():
        assert len(edits) == (11 if source == FEATURE else 21)
        moved = torch.stack([(edit(here.x) - here.x).norm(dim=1) for edit in edits])
        assert torch.allclose(moved, moved[:1].expand_as(moved), rtol=1e-3, atol=1e-3)
        if how == "add":
            assert torch.allclose(moved, torch.full_like(moved, 2 * here.spread), rtol=1e-3), "the same for all sources"


def test_the_direction_is_the_difference_of_means_of_the_searched_half(here):
    edit = edits_of(here, "back", 3, 1, "add", dose=1.0, n=10)[DIRECTION][0]
    half, on = here.x[: N // 2], torch.from_numpy(here.sites.strategy[: N // 2] == "back")
    difference = half[on].mean(0) - half[~on].mean(0)
    step = (edit(here.x) - here.x)[0]
    assert torch.cosine_similarity(step, difference, dim=0) == pytest.approx(1, abs=1e-5)


def test_twins_of_dealt_labels_lie_where_activations_differ_and_beside_the_direction(here):
    """Axis 1 holds half of the variance: dealt labels find it, random directions do not."""
    edit, *twins = (e(here.x)[0] - here.x[0] for e in edits_of(here, "step", 3, 1, "add", dose=1.0, n=10)[DIRECTION])
    units = torch.stack(twins) / here.spread
    random, dealt = units[:10], units[10:]
    assert (dealt @ (edit / edit.norm())).abs().max() < 1e-3
    assert dealt[:, 0].abs().max() < 0.5, "what strategies differ by is the direction itself, and taken out of them"
    assert dealt[:, 1].abs().median() > 3 * random[:, 1].abs().median()


def test_a_strategy_that_the_searched_half_does_not_tell_from_others_is_not_comparable(small_sae):
    x = torch.randn(40, small_sae.d_in, generator=torch.Generator().manual_seed(1))
    late = compared(small_sae, sites_of(np.array(["step"] * 30 + ["back"] * 10)), x, n=2, seed=0)
    assert not late.comparable("back") and not late.comparable("step")
    both = compared(small_sae, sites_of(np.array(["step", "back"] * 20)), x, n=2, seed=0)
    assert both.comparable("back") and both.comparable("step")
