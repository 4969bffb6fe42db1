from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from interp.layers.activations import activation_change
from interp.layers.nulls import Change, gaussian_change
from interp.pair import Pair, load_pair
from interp.tasks.task import Label, Reading

DIFFS = ["block_diff", "cumulative_diff"]


def test_identical_models_differ_nowhere(
    architecture: str, pair_of_same: Callable[[str], Pair], readings: list[Reading]
) -> None:
    table = activation_change(pair_of_same(architecture), readings, draws=2).table
    assert table["layer"].tolist() == [0, 1, 2, 3]
    assert (table[[*DIFFS, "null_block_high", "null_cumulative_high"]] == 0).all(axis=None)


def test_block_diff_finds_the_one_changed_block_where_cumulative_diff_does_not(
    tiny_checkpoint: Callable[..., Path], edited: Callable[..., Path], readings: list[Reading]
) -> None:
    base = tiny_checkpoint("qwen3", 0)
    for layer in (0, 2):
        name = f"model.layers.{layer}.mlp.down_proj.weight"
        table = activation_change(load_pair(base, edited(base, {name: lambda w: 1.1 * w})), readings, draws=2).table
        assert (table["block_diff"] > 0).tolist() == [i == layer for i in range(4)]
        assert (table["cumulative_diff"] > 0).tolist() == [i >= layer for i in range(4)]
        assert table["cumulative_diff"][layer] == pytest.approx(table["block_diff"][layer], rel=1e-5)
        assert (table["null_block_mean"] > 0).tolist() == [i == layer for i in range(4)]


def test_a_changed_embedding_is_in_no_block(
    tiny_checkpoint: Callable[..., Path], edited: Callable[..., Path], readings: list[Reading]
) -> None:
    base = tiny_checkpoint("llama", 0)
    pair = load_pair(base, edited(base, {"model.embed_tokens.weight": lambda w: 1.1 * w}))
    table = activation_change(pair, readings, draws=2).table
    assert (table["block_diff"] == 0).all()
    assert (table["cumulative_diff"] > 0).all()


def test_cumulative_diff_is_that_of_plain_transformers_text_by_text(
    architecture: str, tiny_checkpoint: Callable[..., Path], tiny_pair: Callable[[str], Pair], readings: list[Reading]
) -> None:
    """Unpadded, one text at a time, hidden states from transformers, norms in numpy."""
    readings = readings[1::3]
    change, scale = np.zeros(3), np.zeros(3)
    plain = [
        AutoModelForCausalLM.from_pretrained(tiny_checkpoint(architecture, s), dtype=torch.float32) for s in (0, 1)
    ]
    for reading in readings:
        with torch.no_grad():
            base, tuned = (m(torch.tensor([reading.tokens]), output_hidden_states=True).hidden_states for m in plain)
        for layer in range(3):  # what transformers calls the last one is after the final norm
            a, b = (h[layer + 1][0, 1:].double().numpy() for h in (base, tuned))
            change[layer] += ((b - a) ** 2).sum()
            scale[layer] += (a**2).sum()
    table = activation_change(tiny_pair(architecture), readings, draws=2, batch_size=3).table
    assert table["cumulative_diff"][:3].to_numpy() == pytest.approx(np.sqrt(change / scale), rel=1e-4)
    assert (table["n_tokens"] == sum(len(r.tokens) - 1 for r in readings)).all()


def test_block_diff_is_that_of_a_block_called_on_its_own(
    tiny_checkpoint: Callable[..., Path], tiny_pair: Callable[[str], Pair], readings: list[Reading]
) -> None:
    """Both blocks called by hand on base's hidden state: no bridge, no hooks, no padding."""
    change, scale = np.zeros(3), np.zeros(3)
    base, tuned = (AutoModelForCausalLM.from_pretrained(tiny_checkpoint("llama", s)).eval() for s in (0, 1))
    for reading in readings[1:]:
        tokens, positions = torch.tensor([reading.tokens]), torch.arange(len(reading.tokens))[None]
        with torch.no_grad():
            stream = base(tokens, output_hidden_states=True).hidden_states
            rotary = base.model.rotary_emb(stream[0], positions)
            for layer in range(3):
                block = tuned.model.layers[layer]
                after = block(stream[layer], position_embeddings=rotary, attention_mask=None)
                after = after[0] if isinstance(after, tuple) else after
                change[layer] += (after - stream[layer + 1])[0, 1:].double().square().sum()
                scale[layer] += stream[layer + 1][0, 1:].double().square().sum()
    table = activation_change(tiny_pair("llama"), readings[1:], draws=2).table
    assert table["block_diff"][:3].to_numpy() == pytest.approx(np.sqrt(change / scale), rel=1e-4)


def test_the_batch_makes_no_difference(tiny_pair: Callable[[str], Pair], readings: list[Reading]) -> None:
    pair = tiny_pair("gpt2")
    tables = [activation_change(pair, readings[:6], draws=2, batch_size=size).table for size in (1, 4, 64)]
    for table in tables[1:]:
        assert table.to_numpy(float) == pytest.approx(tables[0].to_numpy(float), rel=1e-5)


def test_weight_noise_stays_inside_its_own_band(pair_of_same: Callable[[str], Pair], readings: list[Reading]) -> None:
    pair = pair_of_same("llama")
    tensors = [t for name, t in pair.tuned.state_dict().items() if name != "unembed.bias"]
    noise = [Change(tensor, 0.02 * tensor.norm().item()) for tensor in tensors]
    outside, z = [], []
    for seed in range(8):
        with gaussian_change(noise, seed=1000 + seed):
            table = activation_change(pair, readings[:8], draws=19, seed=seed).table
        outside += (table["block_diff"] > table["null_block_high"]).tolist()
        outside += (table["cumulative_diff"] > table["null_cumulative_high"]).tolist()
        z += ((table["block_diff"] - table["null_block_mean"]) / table["null_block_sd"]).tolist()
    assert np.mean(outside) <= 0.12  # 5% expected of 64, not all independent
    assert abs(np.mean(z)) < 0.6 and 0.6 < np.std(z) < 1.8  # nor is the band so wide that nothing could leave it


def test_a_change_that_reads_the_text_leaves_the_band(
    tiny_checkpoint: Callable[..., Path],
    edited: Callable[..., Path],
    tiny_pair: Callable[[str], Pair],
    readings: list[Reading],
) -> None:
    """A rank-one change along what MLP 2 mostly reads does more than noise of its norm, and only there."""
    base = tiny_checkpoint("llama", 0)
    tokens = torch.tensor([readings[-1].tokens])
    _, cache = tiny_pair("llama").base.run_with_cache(tokens)
    direction = torch.linalg.svd(cache["blocks.2.mlp.out.hook_in"][0, 1:])[2][0]

    def plant(w: torch.Tensor) -> torch.Tensor:
        return w + 0.05 * w.norm() * torch.outer(torch.full((32,), 32**-0.5), direction)

    pair = load_pair(base, edited(base, {"model.layers.2.mlp.down_proj.weight": plant}))
    table = activation_change(pair, readings, draws=19).table
    assert (table["block_diff"] > table["null_block_high"]).tolist() == [False, False, True, False]


def test_what_cannot_be_read_is_refused(tiny_pair: Callable[[str], Pair], readings: list[Reading]) -> None:
    pair = tiny_pair("llama")
    too_long = Reading("long", (1,) * 300, (Label("", "text"),) * 300)
    with pytest.raises(ValueError, match=r"has 300 tokens, the models' context is 256"):
        activation_change(pair, [too_long])
    for nothing in ([], [Reading("begin", (1,), (Label("", "text"),))]):
        with pytest.raises(ValueError, match="nothing to read"):
            activation_change(pair, nothing)
    with pytest.raises(ValueError, match="draws is 1, a null band needs at least 2"):
        activation_change(pair, readings, draws=1)
