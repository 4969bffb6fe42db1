from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from interp.checkpoint import open_checkpoint
from interp.layers.heads import circuit_change, head_change
from interp.pair import Pair

Make = Callable[..., Path]
CHANGES = ["relative", "cosine_distance", "norm_change"]
LLAMA = "model.layers.{}.self_attn.{}_proj.weight".format


def test_identical_checkpoints_have_no_changed_head(architecture: str, tiny_checkpoint: Make) -> None:
    checkpoint = open_checkpoint(tiny_checkpoint(architecture))
    table = head_change(checkpoint, checkpoint).table
    assert (table[CHANGES] == 0).all(axis=None)
    assert len(table) == 4 * 4 * 2


def test_circuits_are_the_dense_products_of_transformer_lens_matrices(
    architecture: str, tiny_checkpoint: Make, tiny_pair: Callable[[str], Pair]
) -> None:
    pair = tiny_pair(architecture)
    table = head_change(*(open_checkpoint(tiny_checkpoint(architecture, seed)) for seed in (0, 1))).table
    rows = table.set_index(["layer", "head", "circuit"])
    for layer in (0, 3):
        products = [dense(model, layer) for model in (pair.base, pair.tuned)]
        for circuit in ("QK", "OV"):
            for head, (a, b) in enumerate(zip(*(both[circuit] for both in products), strict=True)):
                row = rows.loc[(layer, head, circuit)]
                cosine = (a * b).sum() / a.norm() / b.norm()
                assert row["norm_base"] == pytest.approx(a.norm().item(), rel=1e-6)
                assert row["relative"] == pytest.approx(((b - a).norm() / a.norm()).item(), rel=1e-6)
                assert row["cosine_distance"] == pytest.approx(1 - cosine.item(), rel=1e-6)


def dense(model: object, layer: int) -> dict[str, Tensor]:
    """[head, d_model, d_model] of one layer, key-value heads repeated."""
    q, k, v, o = (getattr(model, name)[layer].detach().double() for name in ("W_Q", "W_K", "W_V", "W_O"))
    k, v = (m.repeat_interleave(len(q) // len(m), 0) for m in (k, v))
    return {"QK": q @ k.mT, "OV": v @ o}


def test_a_doubled_ov_lights_exactly_its_cell(tiny_checkpoint: Make, edited: Make) -> None:
    def double_head_1(o: Tensor) -> Tensor:
        return torch.cat([o[:, :8], 2 * o[:, 8:16], o[:, 16:]], dim=1)

    base = tiny_checkpoint("llama")
    table = head_change(open_checkpoint(base), open_checkpoint(edited(base, {LLAMA(2, "o"): double_head_1}))).table
    lit = table[table["relative"] > 0]
    assert lit[["layer", "head", "kv_head", "circuit", "relative"]].values.tolist() == [
        [2, 1, 0, "OV", pytest.approx(1.0, rel=1e-9)]
    ]
    assert abs(lit["cosine_distance"].item()) < 1e-9  # twice as long, the same direction


def test_a_key_head_is_the_change_of_every_query_head_that_reads_it(tiny_checkpoint: Make, edited: Make) -> None:
    base = tiny_checkpoint("llama")
    tuned = edited(base, {LLAMA(0, "k"): lambda k: torch.cat([k[:8], 3 * k[8:]])})
    table = head_change(open_checkpoint(base), open_checkpoint(tuned)).table
    lit = table[table["relative"] > 0]
    assert lit[["layer", "head", "circuit"]].values.tolist() == [[0, 2, "QK"], [0, 3, "QK"]]
    assert lit["relative"].to_numpy() == pytest.approx(2, rel=1e-7)  # thrice a number is rounded in fp32


def test_turning_queries_and_keys_together_changes_no_circuit(tiny_checkpoint: Make, edited: Make) -> None:
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(8, 8, generator=generator))[0]

    def turned(matrix: Tensor) -> Tensor:
        return (turn @ matrix.unflatten(0, (-1, 8))).flatten(0, 1)

    base = tiny_checkpoint("llama")
    tuned = open_checkpoint(edited(base, {LLAMA(1, "q"): turned, LLAMA(1, "k"): turned}))
    assert (tuned.read(LLAMA(1, "q")) - open_checkpoint(base).read(LLAMA(1, "q"))).norm() > 1
    table = head_change(open_checkpoint(base), tuned).table
    assert (table["relative"] < 1e-6).all()


def test_a_tiny_change_keeps_its_digits() -> None:
    generator = torch.Generator().manual_seed(0)
    q, dq, k = (torch.randn(4, 16, generator=generator).double() for _ in range(3))
    ours = circuit_change(q, q + 1e-9 * dq, k, k)["norm_change"]
    assert ours == pytest.approx(1e-9 * (dq.T @ k).norm().item(), rel=1e-6)


def test_what_is_ignored_is_said(tiny_checkpoint: Make) -> None:
    said = {}
    for architecture in ("qwen3", "llama"):
        checkpoint = open_checkpoint(tiny_checkpoint(architecture))
        said[architecture] = head_change(checkpoint, checkpoint).made_with["ignored"]
    assert said == {
        "qwen3": "biases, rotation by position, q_norm and k_norm",
        "llama": "biases, rotation by position",
    }


def test_folding_shows_a_norms_gain_in_the_heads_that_read_it(tiny_checkpoint: Make, edited: Make) -> None:
    base = tiny_checkpoint("llama")
    tuned = open_checkpoint(edited(base, {"model.layers.1.input_layernorm.weight": lambda g: 1.1 * g}))
    assert (head_change(open_checkpoint(base), tuned).table["relative"] == 0).all()
    folded = head_change(open_checkpoint(base), tuned, fold=True).table
    lit = folded[folded["relative"] > 0]
    assert set(lit["layer"]) == {1}
    assert lit.groupby("circuit")["relative"].mean().to_dict() == pytest.approx({"OV": 0.1, "QK": 0.21}, rel=1e-5)


def test_a_layer_that_lacks_a_matrix_is_named(tiny_checkpoint: Make, rewritten: Make) -> None:
    base = tiny_checkpoint("llama")
    cut = rewritten(base, lambda tensors: {name: t for name, t in tensors.items() if name != LLAMA(3, "v")})
    with pytest.raises(ValueError, match=r"layer 3 has no attn.v in both; heads need q, k, v and o"):
        head_change(open_checkpoint(base), open_checkpoint(cut))
