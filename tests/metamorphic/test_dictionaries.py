"""What a sparse autoencoder says does not hang on the order or the scale of its features."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from interp.sae.trained import TrainedSAE, load_sae

D_IN, D_SAE, K = 16, 48, 5


def sae(change: Any = lambda weights: weights) -> TrainedSAE:
    """A TopK SAE of random weights, rewritten by `change`."""
    from sae_lens import TopKSAE, TopKSAEConfig

    generator = torch.Generator().manual_seed(0)
    encoder = torch.randn(D_IN, D_SAE, generator=generator)
    weights = {
        "W_enc": encoder,
        "W_dec": encoder.T / encoder.T.norm(dim=1, keepdim=True),
        "b_enc": 0.1 * torch.randn(D_SAE, generator=generator),
        "b_dec": torch.randn(D_IN, generator=generator),
    }
    made = TopKSAE(TopKSAEConfig(d_in=D_IN, d_sae=D_SAE, k=K, rescale_acts_by_decoder_norm=False))
    made.load_state_dict({name: tensor.clone() for name, tensor in change(weights).items()})
    return TrainedSAE(made.eval(), "blocks.0.hook_out", {"digest": "1f0c", "hook": "blocks.0.hook_out"})


@pytest.fixture
def x() -> Tensor:
    return torch.randn(40, D_IN, generator=torch.Generator().manual_seed(1))


def unexplained(trained: TrainedSAE, x: Tensor) -> float:
    error = trained.decode(trained.encode(x), x) - x
    return float(error.square().sum() / (x - x.mean(0)).square().sum())


@torch.no_grad()
def test_features_in_another_order_say_the_same(x: Tensor) -> None:
    order = torch.randperm(D_SAE, generator=torch.Generator().manual_seed(2))
    columns = {"W_enc": 1, "W_dec": 0, "b_enc": 0}
    plain = sae()
    other = sae(lambda w: {n: t.index_select(columns[n], order) if n in columns else t for n, t in w.items()})
    torch.testing.assert_close(other.encode(x), plain.encode(x)[:, order])
    torch.testing.assert_close(other.decode(other.encode(x), x), plain.decode(plain.encode(x), x))
    assert unexplained(other, x) == pytest.approx(unexplained(plain, x), rel=1e-6)
    assert ((plain.encode(x) > 0).sum(1) <= K).all()


@torch.no_grad()
def test_a_feature_of_twice_the_size_and_half_the_direction_reconstructs_the_same(x: Tensor) -> None:
    """All alike: the k largest are then the same ones."""
    plain = sae()
    scale = {"W_enc": 2.0, "b_enc": 2.0, "W_dec": 0.5}
    other = sae(lambda w: {name: scale.get(name, 1.0) * tensor for name, tensor in w.items()})
    torch.testing.assert_close(other.encode(x), 2 * plain.encode(x))
    torch.testing.assert_close(other.decode(other.encode(x), x), plain.decode(plain.encode(x), x))


@torch.no_grad()
def test_moved_data_are_explained_as_well_by_an_sae_moved_along(x: Tensor) -> None:
    plain, shift = sae(), 3 * torch.ones(D_IN)
    other = sae(lambda weights: {**weights, "b_dec": weights["b_dec"] + shift})  # the encoder takes it off first
    assert unexplained(other, x + shift) == pytest.approx(unexplained(plain, x), rel=1e-4)
    assert unexplained(plain, x + shift) > 1.1 * unexplained(plain, x)


@torch.no_grad()
def test_a_batch_of_texts_is_encoded_as_its_tokens(x: Tensor, tmp_path: Path) -> None:
    plain = sae()
    assert torch.equal(plain.sae.encode(x.view(5, 8, D_IN)).view(40, D_SAE), plain.sae.encode(x))
    again = load_sae(plain.save(tmp_path))
    assert torch.equal(again.encode(x), plain.encode(x))
    assert again.trained_on == plain.trained_on
