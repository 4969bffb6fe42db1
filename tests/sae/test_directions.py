import numpy as np
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from interp.sae.directions import linear_probe, mean_difference, random_directions, reinitialised


def planted() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two classes that differ along the first axis, hidden under a second axis with thirty times the variance."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4_000, 8, generator=generator)
    positive = torch.arange(4_000) % 3 == 0
    x[:, 0] += 1.5 * positive
    x[:, 1] = 5 * x[:, 1] + 4 * x[:, 0]
    return x, positive[:, None], torch.eye(8)[0]


def test_mean_difference_is_the_difference_of_means():
    x, positive, _ = planted()
    inside = positive[:, 0]
    torch.testing.assert_close(mean_difference(x, positive)[:, 0], x[inside].mean(0) - x[~inside].mean(0))
    assert not mean_difference(x, torch.zeros_like(positive)).any()


def test_the_probe_is_fishers_and_sees_past_shared_variance():
    x, positive, _ = planted()
    probe = linear_probe(x, positive)[:, 0]
    fisher = LinearDiscriminantAnalysis(solver="lsqr").fit(x.numpy(), positive[:, 0].numpy()).coef_[0]
    assert np.corrcoef((x @ probe).numpy(), x.numpy() @ fisher)[0, 1] > 0.99
    means = mean_difference(x, positive)[:, 0]

    def gap(scores: torch.Tensor) -> float:
        inside = positive[:, 0]
        return float((scores[inside].mean() - scores[~inside].mean()) / scores[~inside].std())

    assert gap(x @ probe) > 1.3 > 1.2 * gap(x @ means)


def test_random_directions_have_length_one_and_one_seed():
    directions = random_directions(16, 5, seed=3)
    torch.testing.assert_close(directions.norm(dim=0), torch.ones(5))
    assert torch.equal(directions, random_directions(16, 5, seed=3))
    assert not torch.equal(directions, random_directions(16, 5, seed=4))


@torch.inference_mode()
def test_a_reinitialised_model_keeps_its_scales_and_nothing_else(tiny_pair, architecture):
    base = tiny_pair(architecture).base
    tokens = torch.arange(3, 23)[None]
    before = base(tokens)
    fresh = reinitialised(base)
    assert torch.equal(base(tokens), before), "the model itself is left alone"
    assert (fresh(tokens) - before).abs().max() > 0.1 and fresh(tokens).isfinite().all()
    for old, new in zip(base.parameters(), fresh.parameters(), strict=True):
        assert torch.equal(old.flatten().sort().values, new.flatten().sort().values)
    assert torch.equal(reinitialised(base)(tokens), fresh(tokens))
