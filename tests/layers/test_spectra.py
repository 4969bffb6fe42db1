from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from interp.checkpoint import open_checkpoint
from interp.layers.circuits import head_circuits, product_norm
from interp.layers.spectra import weight_spectra

V = "model.layers.2.self_attn.v_proj.weight"
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
        # Two random matrices: their leading directions meet as chance has it.
        assert row.overlap == pytest.approx(row.overlap_by_chance, abs=0.2)
    assert set(table.index) == {name for name, x in ours.items() if x.dim() == 2}


def test_a_change_of_rank_two_has_two_singular_values_and_only_its_matrix_is_listed(
    tiny_checkpoint: Callable[..., Path], edited: Callable[..., Path]
) -> None:
    generator = torch.Generator().manual_seed(0)
    low = torch.randn(32, 2, generator=generator) @ torch.randn(2, 64, generator=generator)
    base = tiny_checkpoint("llama")
    table = weight_spectra(open_checkpoint(base), open_checkpoint(edited(base, {OUT: lambda w: w + low}))).table
    assert list(table.tensor) == [OUT]
    row = table.iloc[0]
    assert (row.above_noise, row.layer, row.component) == (2, 1, "mlp.out")
    assert row.effective_rank < 2.1


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
        low = torch.outer(torch.ones(32), torch.ones(64)) * 0.02
        return (w.bfloat16().float() + low).bfloat16()

    row = weight_spectra(open_checkpoint(stored), open_checkpoint(edited(base, {OUT: tuned}))).table.iloc[0]
    assert row.effective_rank > 5
    assert row.above_noise <= 3


def test_nothing_changed_is_said(tiny_checkpoint: Callable[..., Path]) -> None:
    base = open_checkpoint(tiny_checkpoint("llama"))
    with pytest.raises(ValueError, match="no matrix differs between base and tuned"):
        weight_spectra(base, base)


def test_circuits_are_the_products_written_out(architecture: str, tiny_pair: Callable, tmp_path: Path) -> None:  # type: ignore[type-arg]
    pair = tiny_pair(architecture)
    table = head_circuits(pair.base_checkpoint, pair.tuned_checkpoint).table.set_index(["circuit", "layer", "head"])
    assert len(table) == 2 * 4 * 4
    for layer in (0, 3):
        heads = [[getattr(m.blocks[layer].attn, part).weight for part in "qkvo"] for m in (pair.base, pair.tuned)]
        for head in range(4):
            both = []
            for q, k, v, o in heads:
                q, k, v = (w.detach().double().unflatten(0, (-1, w.shape[0] // n)) for w, n in ((q, 4), (k, 1), (v, 1)))
                d_head = q.shape[1]
                k, v = (w.flatten(0, 1).unflatten(0, (-1, d_head)) for w in (k, v))
                group = head // (4 // len(k))
                o = o.detach().double() if architecture != "gpt2" else o.detach().double().T
                both.append((q[head].T @ k[group], v[group].T @ o[:, head * d_head : (head + 1) * d_head].T))
            for circuit, ours, theirs in zip(("QK", "OV"), *both, strict=True):
                expected = float((theirs - ours).norm() / ours.norm())
                assert table.relative[circuit, layer, head] == pytest.approx(expected, rel=1e-6)


def test_one_value_head_doubled_lights_the_heads_of_its_group_and_nothing_else(
    tiny_checkpoint: Callable[..., Path], edited: Callable[..., Path]
) -> None:
    base = tiny_checkpoint("llama")
    tuned = edited(base, {V: lambda w: torch.cat([w[:8], 2 * w[8:]])})
    table = head_circuits(open_checkpoint(base), open_checkpoint(tuned)).table
    lit = table[table.relative > 0]
    assert lit[["circuit", "layer", "head"]].to_numpy().tolist() == [["OV", 2, 2], ["OV", 2, 3]]
    assert lit.relative.to_numpy() == pytest.approx([1.0, 1.0])


def test_a_rotation_inside_a_head_is_a_gauge_that_weights_see_and_the_circuit_does_not(
    tiny_checkpoint: Callable[..., Path], edited: Callable[..., Path]
) -> None:
    turn = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(0)))[0]
    base, name = tiny_checkpoint("gpt2"), "transformer.h.1.attn.c_{}.weight"
    values = name.format("attn")
    output = name.format("proj")

    def turned(w: Tensor) -> Tensor:
        w = w.clone()
        w[:, 64:72] = w[:, 64:72] @ turn
        return w

    tuned = edited(base, {values: turned, output: lambda w: torch.cat([turn.T @ w[:8], w[8:]])})
    table = head_circuits(open_checkpoint(base), open_checkpoint(tuned)).table
    assert table.relative.max() < 1e-6
    assert len(weight_spectra(open_checkpoint(base), open_checkpoint(tuned)).table) == 2


def test_the_norm_of_a_product_needs_no_product() -> None:
    generator = torch.Generator().manual_seed(0)
    p, q = (torch.randn(3, 20, 4, generator=generator).double() for _ in range(2))
    assert torch.allclose(product_norm(p, q), (p @ q.mT).flatten(1).norm(dim=1))
