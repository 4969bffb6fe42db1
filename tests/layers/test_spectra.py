from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from interp.checkpoint import open_checkpoint
from interp.layers.spectra import weight_spectra

OUT = "model.layers.1.mlp.down_proj.weight"


def test_spectra_are_those_of_svdvals(tiny_checkpoint: Callable[..., Path]) -> None:
    folders = [tiny_checkpoint("llama", seed) for seed in (0, 1)]
    table = weight_spectra(*map(open_checkpoint, folders)).table.set_index("tensor")
    ours, theirs = (load_file(folder / "model.safetensors") for folder in folders)
    for name, row in table.iterrows():
        s = torch.linalg.svdvals(theirs[name].double() - ours[name].double()).numpy()
        assert np.allclose(row.spectrum, s[:64], rtol=1e-6, atol=1e-8 * s[0])
        assert row.stable_rank == pytest.approx((s**2).sum() / s[0] ** 2)
        p = s / s.sum()
        assert row.effective_rank == pytest.approx(np.exp(-(p * np.log(p)).sum()))
        # The change from one random matrix to another holds the first with its sign turned.
        assert row.overlap_by_chance < row.overlap < 0.9
    assert set(table.index) == {name for name, x in ours.items() if x.dim() == 2}


def test_a_change_of_rank_three_has_three_singular_values_and_only_its_matrix_is_listed(
    tiny_checkpoint: Callable[..., Path], edited: Callable[..., Path]
) -> None:
    generator = torch.Generator().manual_seed(0)
    signs = torch.randn(32, 2, generator=generator).sign() @ torch.randn(2, 64, generator=generator).sign()
    low = 0.1 * (signs + torch.ones(32, 64))  # no entry is far larger than the others, as the noise edge assumes
    base = tiny_checkpoint("llama")
    table = weight_spectra(open_checkpoint(base), open_checkpoint(edited(base, {OUT: lambda w: w + low}))).table
    assert list(table.tensor) == [OUT]
    row = table.iloc[0]
    assert (row.layer, row.component) == (1, "mlp.out")
    assert 3 <= row.above_noise <= 6  # the edge holds for even rounding, and that of a few entries is larger
    assert row.effective_rank < 3.1


def test_doubling_a_matrix_overlaps_with_it_wholly(
    tiny_checkpoint: Callable[..., Path], edited: Callable[..., Path]
) -> None:
    base = tiny_checkpoint("llama")
    row = weight_spectra(open_checkpoint(base), open_checkpoint(edited(base, {OUT: lambda w: 2 * w}))).table.iloc[0]
    assert row.overlap == pytest.approx(1.0)


def test_bf16_alone_makes_a_low_rank_change_look_full_and_the_noise_edge_says_so(
    tiny_checkpoint: Callable[..., Path], edited: Callable[..., Path]
) -> None:
    base = tiny_checkpoint("llama")
    stored = edited(base, {OUT: lambda w: w.bfloat16()})

    def tuned(w: Tensor) -> Tensor:
        low = torch.outer(torch.ones(32), torch.ones(64)) * 0.002
        return (w.bfloat16().float() + low).bfloat16()

    row = weight_spectra(open_checkpoint(stored), open_checkpoint(edited(base, {OUT: tuned}))).table.iloc[0]
    assert row.effective_rank > 5
    assert row.above_noise <= 3


def test_nothing_changed_is_said(tiny_checkpoint: Callable[..., Path]) -> None:
    base = open_checkpoint(tiny_checkpoint("llama"))
    with pytest.raises(ValueError, match="no matrix differs between base and tuned"):
        weight_spectra(base, base)
