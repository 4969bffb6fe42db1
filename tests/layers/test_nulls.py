from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from interp.layers.nulls import changed, changed_tensors, gaussian_change, limit_over_depth, upper_limit, z_scores
from interp.pair import Pair, load_pair

TOKENS = torch.arange(1, 13).reshape(2, 6)


def test_a_null_change_acts_and_leaves_no_trace(architecture: str, tiny_pair: Callable[[str], Pair]) -> None:
    pair = tiny_pair(architecture)
    changes = changed_tensors(pair)
    before, weights = pair.base(TOKENS), [change.tensor.clone() for change in changes]
    with gaussian_change(changes, seed=0):
        assert not torch.allclose(pair.base(TOKENS), before, atol=0.1)
        for change, old in zip(changes, weights, strict=True):
            assert (change.tensor - old).norm().item() == pytest.approx(change.norm, rel=1e-4)
    assert torch.equal(pair.base(TOKENS), before)


def test_every_tensor_that_changed_is_moved_and_felt(architecture: str, tiny_pair: Callable[[str], Pair]) -> None:
    pair = tiny_pair(architecture)
    before = pair.base(TOKENS)
    changes = changed_tensors(pair)
    # Norms and biases start alike in both seeds; everything else that the checkpoint stores is moved, once.
    stored = [pair.base_checkpoint.read(name) for name in pair.base_checkpoint.names()]
    assert sum(change.tensor.numel() for change in changes) == sum(t.numel() for t in stored if t.dim() > 1)
    for change in changes:
        with gaussian_change([change], seed=0):
            assert not torch.equal(pair.base(TOKENS), before)


def test_weights_come_back_after_an_exception(tiny_pair: Callable[[str], Pair]) -> None:
    pair = tiny_pair("neox")
    before = pair.base(TOKENS)
    with pytest.raises(KeyError), gaussian_change(changed_tensors(pair), seed=0):
        raise KeyError
    assert torch.equal(pair.base(TOKENS), before)


def test_a_draw_is_the_same_whenever_it_is_asked_for(tiny_pair: Callable[[str], Pair]) -> None:
    pair = tiny_pair("llama")
    changes = changed_tensors(pair)

    def drawn(seed: int, draw: int) -> torch.Tensor:
        with gaussian_change(changes, seed=seed, draw=draw):
            return changes[3].tensor.clone()

    first = drawn(0, 1)
    assert torch.equal(drawn(0, 1), first)
    assert not torch.allclose(drawn(0, 0), first, atol=0.1)
    assert not torch.allclose(drawn(1, 1), first, atol=0.1)


def test_only_what_changed_is_moved(
    tiny_checkpoint: Callable[..., Path], edited: Callable[..., Path], pair_of_same: Callable[[str], Pair]
) -> None:
    assert changed_tensors(pair_of_same("llama")) == []
    base = tiny_checkpoint("llama", 0)
    pair = load_pair(base, edited(base, {"model.layers.1.mlp.down_proj.weight": lambda w: 2 * w}))
    [(tensor, norm, *formats)] = changed_tensors(pair)
    assert tensor.data_ptr() == pair.base.state_dict()["blocks.1.mlp.out.weight"].data_ptr()
    assert norm == pytest.approx(tensor.norm().item(), rel=1e-5)
    assert formats == [None, None]


def test_one_more_draw_is_over_the_limit_as_often_as_said() -> None:
    samples = np.random.default_rng(0).normal(3, 2, size=(11, 20_000))
    over = samples[10] > upper_limit(samples[:10], level=0.95)
    assert over.mean() == pytest.approx(0.05, abs=0.005)
    quantile = samples[:10].mean(0) + stats.t(9).ppf(0.95) * samples[:10].std(0, ddof=1) * np.sqrt(1.1)
    assert upper_limit(samples[:10]) == pytest.approx(quantile)
    with pytest.raises(ValueError, match="needs at least 2 draws, got 1"):
        upper_limit(samples[:1])


def test_z_counts_the_draws_standard_deviations_and_is_nothing_where_they_do_not_vary() -> None:
    draws = np.array([[1.0, 4.0], [3.0, 4.0], [2.0, 4.0]])
    z = z_scores(np.array([4.0, 9.0]), draws)
    assert z[0] == 2 and np.isnan(z[1])


def test_with_19_draws_the_limit_is_exact_also_where_draws_are_skewed() -> None:
    samples = np.random.default_rng(0).lognormal(0, 1, size=(20, 40_000))
    assert (samples[19] > upper_limit(samples[:19])).mean() == pytest.approx(0.05, abs=0.004)
    assert (samples[10] > upper_limit(samples[:10])).mean() > 0.06  # Student's t takes them for normal
    many = np.arange(100.0)[:, None]
    assert upper_limit(many) == [95.0]  # 5 of 101 places are above it


def left(n: int, layers: int, level: float, *, skewed: bool, pairs: int = 600) -> float:
    """The share of pairs in which one more draw is over the limit in some layer; layers differ in size and spread."""
    rng, size = np.random.default_rng(n + layers), 0.1 * np.arange(1, layers + 1)
    draws = rng.gamma(2, size, (pairs, n + 1, layers)) if skewed else rng.normal(1, size, (pairs, n + 1, layers))
    return float(np.mean([(one[-1] > limit_over_depth(one[:-1], level=level)).any() for one in draws]))


@pytest.mark.parametrize(("n", "layers", "level"), [(19, 6, 0.95), (19, 24, 0.95), (99, 6, 0.99)])
def test_the_limit_over_depth_is_left_as_often_as_said_whatever_the_draws(n: int, layers: int, level: float) -> None:
    for skewed in (False, True):
        share = left(n, layers, level, skewed=skewed)
        assert abs(share - (1 - level)) < 4 * np.sqrt(level * (1 - level) / 600)


def test_each_layers_own_limit_is_left_somewhere_far_more_often() -> None:
    rng = np.random.default_rng(0)
    draws = rng.normal(1.0, 0.1, (400, 20, 6))
    assert np.mean([(one[-1] > upper_limit(one[:-1])).any() for one in draws]) > 0.2


def test_with_few_draws_the_limit_over_depth_is_students_and_skewed_draws_leave_it_more_often() -> None:
    assert left(5, 6, 0.99, skewed=False) == pytest.approx(0.01, abs=0.008)
    assert left(5, 6, 0.99, skewed=True) > 0.02
    draws = np.random.default_rng(1).normal(1, 0.1, (5, 3))
    c = stats.t(4).ppf(0.99 ** (1 / 3)) * np.sqrt(1.2)
    assert limit_over_depth(draws) == pytest.approx(draws.mean(0) + c * draws.std(0, ddof=1))


def test_where_no_draw_differs_the_same_is_within_and_more_is_beyond() -> None:
    rng = np.random.default_rng(0)
    draws = np.column_stack(
        [np.zeros(99), np.full(99, 0.3) * (1 + 1e-12 * rng.normal(size=99)), rng.normal(1, 0.1, 99)]
    )
    nothing, same, moving = limit_over_depth(draws)
    assert nothing == 0 and 0.3 < same < 0.3001 and moving > draws[:, 2].max()
    assert limit_over_depth(draws)[2] == pytest.approx(limit_over_depth(draws[:, 2:])[0])
    assert np.isnan(z_scores(np.ones(3), draws)).tolist() == [True, True, False]
    assert (limit_over_depth(np.zeros((99, 3))) == 0).all()


BFLOAT16 = {"blocks.1.mlp.out.weight", "blocks.2.attn.q.weight"}


@pytest.fixture
def formats(
    tiny_checkpoint: Callable[..., Path], edited: Callable[..., Path]
) -> Callable[[Callable[[torch.Tensor], torch.Tensor], bool], Pair]:
    """A pair in which two matrices of one side, changed first, are numbers of bfloat16: tuned's, or base's."""

    def pair(change: Callable[[torch.Tensor], torch.Tensor], swapped: bool = False) -> Pair:
        base, names = tiny_checkpoint("llama", 0), ("model.layers.1.mlp.down_proj", "model.layers.2.self_attn.q_proj")
        coarse = edited(base, {f"{name}.weight": lambda w: change(w).bfloat16().float() for name in names})
        return load_pair(*((coarse, base) if swapped else (base, coarse)))

    return pair


def test_a_pair_that_differs_by_its_format_has_that_difference_as_its_null(formats: Callable[..., Pair]) -> None:
    pair = formats(lambda w: w)
    changes, tuned = changed_tensors(pair), pair.tuned.state_dict()
    names = {
        change.tensor.data_ptr(): name
        for name, tensor in pair.base.state_dict().items()
        for change in changes
        if change.tensor.data_ptr() == tensor.data_ptr()
    }
    assert set(names.values()) == BFLOAT16
    for seed in (0, 1):
        with gaussian_change(changes, seed=seed):
            assert all(torch.equal(change.tensor, tuned[names[change.tensor.data_ptr()]]) for change in changes)


def test_a_base_of_the_coarser_format_is_moved_to_numbers_that_round_to_it(formats: Callable[..., Pair]) -> None:
    changes = changed_tensors(formats(lambda w: w, swapped=True))
    before = [change.tensor.clone() for change in changes]
    with gaussian_change(changes, seed=0):
        for change, old in zip(changes, before, strict=True):
            moved = (change.tensor - old).norm().item()
            assert moved == pytest.approx(change.norm, rel=0.1) and moved > 0
            assert (change.tensor.bfloat16().float() == old).float().mean() > 0.85
        first = changes[0].tensor.clone()
    with gaussian_change(changes, seed=1):
        assert not torch.equal(changes[0].tensor, first)


@pytest.mark.parametrize("swapped", [False, True])
def test_what_was_changed_besides_is_noise_of_the_rest_of_the_norm(formats: Callable[..., Pair], swapped: bool) -> None:
    changes = changed_tensors(formats(lambda w: w + 0.3 * w.roll(1, 0), swapped))
    before = [change.tensor.clone() for change in changes]
    with gaussian_change(changes, seed=0):
        for change, old in zip(changes, before, strict=True):
            assert (change.tensor - old).norm().item() == pytest.approx(change.norm, rel=0.01)
            assert (change.tensor.bfloat16().float() == old.bfloat16().float()).float().mean() < 0.5


def test_one_coarse_format_on_both_sides_is_no_difference_of_formats(formats: Callable[..., Pair]) -> None:
    pair = formats(lambda w: w)
    both = Pair(pair.tuned, pair.tuned, pair.tokenizer, pair.tuned_checkpoint, pair.tuned_checkpoint, pair.fidelity)
    assert changed_tensors(both) == []
    name = min(BFLOAT16)
    state = {name: pair.tuned.state_dict()[name]}
    [change] = changed(state, lambda name: 2 * state[name])
    assert (change.rounded_to, change.rounded_from) == (None, None)
