from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from interp.checkpoint import open_checkpoint
from interp.layers.spectra import both_spectra, singular_values, weight_spectra
from interp.measurement import Measurement

OUT = "model.layers.1.mlp.down_proj.weight"


def measured(base: Path, tuned: Path, draws: int = 3) -> pd.DataFrame:
    """The rows by tensor."""
    table = weight_spectra(open_checkpoint(base), open_checkpoint(tuned), draws=draws).table
    return table.set_index("tensor")


def test_spectra_are_those_of_svdvals(tiny_checkpoint: Callable[..., Path]) -> None:
    folders = [tiny_checkpoint("llama", seed) for seed in (0, 1)]
    table = measured(*folders)
    values = singular_values(*map(open_checkpoint, folders), draws=2, shown=32).table.groupby("tensor")
    ours, theirs = (load_file(folder / "model.safetensors") for folder in folders)
    for name, row in table.iterrows():
        s, own = (torch.linalg.svdvals(x.double()).numpy() for x in (theirs[name] - ours[name], ours[name]))
        listed = values.get_group(name)
        assert np.allclose(listed["value"], s[listed["k"] - 1], rtol=1e-6, atol=1e-6 * s[0])
        assert np.allclose(listed["base_value"], own[listed["k"] - 1], rtol=1e-6, atol=1e-6 * own[0])
        assert row.stable_rank == pytest.approx((s**2).sum() / s[0] ** 2)
        p = s / s.sum()
        assert row.effective_rank == pytest.approx(np.exp(-(p * np.log(p)).sum()))
        # The change from one random matrix to another holds the first with its sign turned.
        assert row.overlap_by_chance < row.overlap < 0.9
    assert set(table.index) == {name for name, x in ours.items() if x.dim() == 2}


def test_a_change_of_rank_three_has_three_directions_and_no_other_matrix_has_any(
    tiny_checkpoint: Callable[..., Path], edited: Callable[..., Path]
) -> None:
    generator = torch.Generator().manual_seed(0)
    signs = torch.randn(32, 2, generator=generator).sign() @ torch.randn(2, 64, generator=generator).sign()
    low = 0.1 * (signs + torch.ones(32, 64))  # no entry is far larger than the others, as the noise edge assumes
    base = tiny_checkpoint("llama")
    table = measured(base, edited(base, {OUT: lambda w: w + low}))
    row = table.loc[OUT]
    assert (row.layer, row.component) == (1, "mlp.out")
    assert 3 <= row.above_noise <= 6  # the edge holds for even rounding, and that of a few entries is larger
    assert row.above_permuted == 3
    assert row.effective_rank < 3.1
    assert max(row.effective_rank_permuted_z, row.effective_rank_gaussian_z) < -20
    others = table.drop(index=OUT).drop(columns=["layer", "component", "n_rows", "n_columns", "noise_edge"])
    assert (others.drop(columns=["overlap_by_chance", "n_permuted"]) == 0).all(axis=None)


def test_in_fp32_noise_passes_the_edge_of_storage_but_not_its_own_permutation(
    tiny_checkpoint: Callable[..., Path], edited: Callable[..., Path]
) -> None:
    generator = torch.Generator().manual_seed(0)
    base = tiny_checkpoint("llama")
    tuned = edited(base, {OUT: lambda w: w + 0.02 * torch.randn(w.shape, generator=generator)})
    row = measured(base, tuned, draws=10).loc[OUT]
    assert row.above_noise == 32
    assert row.above_permuted <= 1
    assert all(
        abs(row[f"{name}_{null}_z"]) < 4 for name in ("stable_rank", "overlap") for null in ("permuted", "gaussian")
    )


def test_a_rotated_matrix_keeps_its_singular_values_and_turns_on_one_side(
    tiny_checkpoint: Callable[..., Path], edited: Callable[..., Path]
) -> None:
    turn = torch.linalg.qr(torch.randn(32, 32, generator=torch.Generator().manual_seed(0)))[0]
    base = tiny_checkpoint("llama")
    row = measured(base, edited(base, {OUT: lambda w: turn @ w})).loc[OUT]
    assert row.values_moved < 1e-6
    assert row.turned_rows > 0.5
    assert row.turned_columns < 1e-6
    scaled = measured(base, edited(base, {OUT: lambda w: 1.5 * w})).loc[OUT]
    assert scaled.values_moved == pytest.approx(0.5)
    assert max(scaled.turned_rows, scaled.turned_columns) < 1e-6


def test_doubling_a_matrix_overlaps_with_it_wholly(
    tiny_checkpoint: Callable[..., Path], edited: Callable[..., Path]
) -> None:
    base = tiny_checkpoint("llama")
    row = measured(base, edited(base, {OUT: lambda w: 2 * w})).loc[OUT]
    assert row.overlap == pytest.approx(1.0)
    assert min(row.overlap_permuted_z, row.overlap_gaussian_z) > 4


def test_bf16_alone_makes_a_low_rank_change_look_full_and_the_noise_edge_says_so(
    tiny_checkpoint: Callable[..., Path], edited: Callable[..., Path]
) -> None:
    base = tiny_checkpoint("llama")
    stored = edited(base, {OUT: lambda w: w.bfloat16()})

    def tuned(w: Tensor) -> Tensor:
        low = torch.outer(torch.ones(32), torch.ones(64)) * 0.002
        return (w.bfloat16().float() + low).bfloat16()

    row = measured(stored, edited(base, {OUT: tuned})).loc[OUT]
    assert row.effective_rank > 5
    assert row.above_noise <= 3


def test_nothing_changed_is_exactly_zero_and_nothing_is_missing(tiny_checkpoint: Callable[..., Path]) -> None:
    base = open_checkpoint(tiny_checkpoint("llama"))
    table = weight_spectra(base, base, draws=2).table
    told = ["tensor", "layer", "component", "n_rows", "n_columns", "overlap_by_chance", "n_permuted", "noise_edge"]
    assert (table.drop(columns=told) == 0).all(axis=None)
    values = singular_values(base, base, draws=2).table
    assert (values[["value", "null_mean", "null_low", "null_high"]] == 0).all(axis=None)
    assert (values["base_value"] > 0).all()


def test_few_values_are_listed_the_first_and_the_last_among_them_and_they_survive_a_csv(
    tiny_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    folders = [open_checkpoint(tiny_checkpoint("gpt2", seed)) for seed in (0, 1)]
    measurement = singular_values(*folders, draws=2, shown=12)
    for _, rows in measurement.table.groupby(["tensor", "component"]):
        assert rows["k"].tolist()[:6] == [1, 2, 3, 4, 5, 6]
        assert (rows["k"].iloc[-1], len(rows) <= 12) == (32, True)
        assert (rows["value"].diff().dropna() <= 0).all()
        assert rows["null_mean"].between(rows["null_low"], rows["null_high"]).all()
    measurement.table.to_csv(tmp_path / "values.csv", index=False)
    again = pd.read_csv(tmp_path / "values.csv", dtype={"layer": "Int64"})
    pd.testing.assert_frame_equal(again, measurement.table, check_dtype=False)
    assert Measurement.load(measurement.save(tmp_path)).table["value"].tolist() == measurement.table["value"].tolist()


def test_one_pass_for_both_tables_gives_each_as_it_is_alone(tiny_checkpoint: Callable[..., Path]) -> None:
    folders = [open_checkpoint(tiny_checkpoint("qwen2", seed)) for seed in (0, 1)]
    together = both_spectra(*folders, draws=2, seed=3)
    alone = (way(*folders, draws=2, seed=3) for way in (weight_spectra, singular_values))
    for found, expected in zip(together, alone, strict=True):
        pd.testing.assert_frame_equal(found.table, expected.table)
        assert (found.name, found.unit, found.made_with) == (expected.name, expected.unit, expected.made_with)


def test_one_draw_is_no_null(tiny_checkpoint: Callable[..., Path]) -> None:
    base = open_checkpoint(tiny_checkpoint("llama"))
    with pytest.raises(ValueError, match="a null needs at least 2 draws, got 1"):
        weight_spectra(base, base, draws=1)
    with pytest.raises(ValueError, match="a null needs at least 2 draws, got 1"):
        both_spectra(base, base, draws=1)
