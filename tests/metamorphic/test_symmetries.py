"""The same function written in other weights: what a function computes stays, what its weights say may not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from interp.checkpoint import open_checkpoint
from interp.distances import kl
from interp.layers.activations import activation_change
from interp.layers.gauge import hidden_unit_gauge
from interp.layers.lens import logit_lens
from interp.layers.shifts import next_token_shift
from interp.layers.similarity import stream_similarity
from interp.layers.spectra import weight_spectra
from interp.layers.weights import weight_change
from interp.pair import Pair, load_pair
from interp.rollouts import rollouts
from interp.tasks.task import Problem, Reading

Tensors = dict[str, Tensor]
TOKENS = torch.arange(4, 46).reshape(3, 14)
CLOSE = 1e-5
"""What rounding may do to a logit or a measure, of its size: observed 1e-6."""


def order(n: int, seed: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))


def hidden_units(seed: int) -> Callable[[Tensors], Tensors]:
    """Every MLP's hidden units in another order."""

    def change(tensors: Tensors) -> Tensors:
        for name, tensor in tensors.items():
            if name.endswith(("gate_proj.weight", "up_proj.weight")):
                tensors[name] = tensor[order(len(tensor), seed)]
            elif name.endswith("down_proj.weight"):
                tensors[name] = tensor[:, order(tensor.shape[1], seed)]
        return tensors

    return change


def heads(seed: int) -> Callable[[Tensors], Tensors]:
    """The two groups of key-value heads in another order, each with its query heads, and those among themselves."""

    def change(tensors: Tensors) -> Tensors:
        groups, inner = order(2, seed), order(2, seed + 1)
        for name, tensor in tensors.items():
            if name.endswith("q_proj.weight"):
                tensors[name] = tensor.view(2, 2, 8, 32)[groups][:, inner].reshape(32, 32)
            elif name.endswith(("k_proj.weight", "v_proj.weight")):
                tensors[name] = tensor.view(2, 8, 32)[groups].reshape(16, 32)
            elif name.endswith("o_proj.weight"):
                tensors[name] = tensor.view(32, 2, 2, 8)[:, groups][:, :, inner].reshape(32, 32)
        return tensors

    return change


def gains(seed: int) -> Callable[[Tensors], Tensors]:
    """Every norm with a gain of its own."""

    def change(tensors: Tensors) -> Tensors:
        generator = torch.Generator().manual_seed(seed)
        return {
            name: 0.5 + torch.rand(tensor.shape, generator=generator) if "norm" in name else tensor
            for name, tensor in tensors.items()
        }

    return change


READERS = {"input_layernorm": ("q_proj", "k_proj", "v_proj"), "post_attention_layernorm": ("gate_proj", "up_proj")}


def folded(tensors: Tensors) -> Tensors:
    """Every norm's gain in the matrices that read it, and 1 in its own place."""
    out = dict(tensors)
    for name, gain in tensors.items():
        layer, _, norm = name.removesuffix(".weight").rpartition(".")
        if norm in READERS:
            readers = [n for n in tensors if n.startswith(f"{layer}.") and n.split(".")[-2] in READERS[norm]]
        elif norm == "norm":
            readers = ["lm_head.weight"]
        else:
            continue
        for reader in readers:
            out[reader] = out[reader] * gain
        out[name] = torch.ones_like(gain)
    return out


def rotated(seed: int) -> Callable[[Tensors], Tensors]:
    """The residual stream in another basis; the norms' gains have to be 1."""
    turn = torch.linalg.qr(torch.randn(32, 32, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).Q

    def change(tensors: Tensors) -> Tensors:
        for name, tensor in tensors.items():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                tensors[name] = (turn.T @ tensor.double()).float()
            elif "norm" not in name:
                tensors[name] = (tensor.double() @ turn).float()
        return tensors

    return change


def opened(folder: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()


@torch.no_grad()
def written_as(model: PreTrainedModel, change: Callable[[Tensors], Tensors]) -> Tensor:
    """The logits after the weights were rewritten; the model is as before afterwards."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.load_state_dict(change({name: tensor.clone() for name, tensor in before.items()}))
    try:
        return model(TOKENS).logits
    finally:
        model.load_state_dict(before)


@pytest.fixture(scope="module")
def models(tiny_checkpoint: Callable[..., Path]) -> list[PreTrainedModel]:
    return [opened(tiny_checkpoint("llama", seed)) for seed in (0, 1)]


@settings(max_examples=8, derandomize=True)
@given(seed=st.integers(0, 2**31 - 1), which=st.sampled_from(["hidden units", "heads", "fold", "rotation"]))
def test_logits_and_divergence_do_not_see_how_the_function_is_written(
    models: list[PreTrainedModel], seed: int, which: str
) -> None:
    base, tuned = models
    change = {"hidden units": hidden_units(seed), "heads": heads(seed), "fold": folded, "rotation": rotated(seed)}[
        which
    ]
    plain: Callable[[Tensors], Tensors] = gains(seed) if which == "fold" else lambda tensors: tensors
    expected = written_as(tuned, plain)
    found = written_as(tuned, lambda tensors: change(plain(tensors)))
    assert (found - expected).abs().max() <= CLOSE * expected.abs().max()
    of_base = written_as(base, lambda tensors: tensors)
    torch.testing.assert_close(kl(found, of_base), kl(expected, of_base), rtol=1e-4, atol=1e-9)


def test_hidden_units_in_another_order_are_seen_by_weights_alone(
    tiny_checkpoint: Callable[..., Path],
    tiny_pair: Callable[[str], Pair],
    rewritten: Callable[..., Path],
    readings: list[Reading],
) -> None:
    base, tuned = (tiny_checkpoint("llama", seed) for seed in (0, 1))
    pair, other = tiny_pair("llama"), load_pair(base, rewritten(tuned, hidden_units(5)))
    for measure, columns in (
        (lambda p: activation_change(p, readings, draws=2), ["block_diff", "cumulative_diff"]),
        (lambda p: logit_lens(p, readings, draws=0), ["kl", "js", "agree"]),
        (lambda p: stream_similarity(p, readings, draws=0), ["cka"]),
        (lambda p: next_token_shift(p, readings), ["share"]),
    ):
        one, two = measure(pair).table, measure(other).table
        np.testing.assert_allclose(two[columns], one[columns], rtol=1e-4, atol=1e-7)


def test_a_small_tuning_in_another_order_of_units_is_a_large_change_of_weights_and_called_gauge(
    tiny_checkpoint: Callable[..., Path], rewritten: Callable[..., Path]
) -> None:
    source = tiny_checkpoint("llama")
    generator = torch.Generator().manual_seed(0)

    def tuned(tensors: Tensors) -> Tensors:
        return {n: t + 0.0005 * torch.randn(t.shape, generator=generator) for n, t in tensors.items()}

    near = rewritten(source, tuned)
    base, small, far = (open_checkpoint(f) for f in (source, near, rewritten(near, hidden_units(5))))
    plain, moved = (weight_change(base, one).table.set_index("tensor") for one in (small, far))
    mlp = plain["component"].str.startswith("mlp")
    assert plain[mlp]["relative"].max() < 0.05 < 1 < moved[mlp]["relative"].min()
    assert plain[~mlp]["relative"].equals(moved[~mlp]["relative"])
    gauge = hidden_unit_gauge(base, far).table
    assert gauge["gauge"].all() and not hidden_unit_gauge(base, small).table["gauge"].any()


def test_folding_one_side_is_a_large_change_and_folding_both_is_none(
    tiny_checkpoint: Callable[..., Path], rewritten: Callable[..., Path]
) -> None:
    source = rewritten(tiny_checkpoint("llama"), gains(2))
    base, other = open_checkpoint(source), open_checkpoint(rewritten(source, folded))
    assert weight_change(base, other).table["relative"].max() > 0.2
    both = weight_change(base, other, fold=True).table
    assert both["relative"].max() < 1e-6
    assert both["folded"].str.len().max() > 0


def test_a_turned_stream_is_told_by_what_hangs_on_the_basis_and_by_nothing_else(
    tiny_checkpoint: Callable[..., Path], rewritten: Callable[..., Path], readings: list[Reading]
) -> None:
    base = tiny_checkpoint("llama")
    pair = load_pair(base, rewritten(base, rotated(7)))
    assert (stream_similarity(pair, readings, draws=0).table["cka"] > 1 - 1e-6).all()
    lens = logit_lens(pair, readings, draws=0).table
    own = lens[lens["head"] == "own"]
    assert own["kl"].max() < 1e-6 and (own["agree"] == 1).all()
    assert lens[lens["head"] == "base"]["kl"].min() > 0.01, "base's head does not read tuned's basis"
    assert activation_change(pair, readings, draws=2).table["cumulative_diff"].min() > 1
    matrices = weight_change(pair.base_checkpoint, pair.tuned_checkpoint).table
    assert matrices[~matrices["component"].str.contains("ln")]["relative"].min() > 0.5
    prompts = [Problem(str(i), f"run A R : 1 {i}", "") for i in range(4)]
    texts = rollouts(pair, prompts, max_new_tokens=6).table
    swapped = rollouts(load_pair(base, base), prompts, max_new_tokens=6).table
    assert list(texts["text"]) == list(swapped["text"])


def test_other_numbers_for_the_tokens_change_no_text_and_no_measure(
    tiny_checkpoint: Callable[..., Path],
    tiny_pair: Callable[[str], Pair],
    rewritten: Callable[..., Path],
    readings: list[Reading],
) -> None:
    """Ids of both models and of the tokenizer permuted alike; the special tokens keep theirs."""
    ids = torch.cat([torch.arange(4), 4 + order(60, 9)])

    def renumbered(tensors: Tensors) -> Tensors:
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            moved = torch.empty_like(tensors[name])
            moved[ids] = tensors[name]
            tensors[name] = moved
        return tensors

    pair = tiny_pair("llama")
    other = load_pair(*(rewritten(tiny_checkpoint("llama", seed), renumbered, ids) for seed in (0, 1)))
    assert other.encode("run 1 : inv") != pair.encode("run 1 : inv")
    renamed = [Reading(r.problem, tuple(int(ids[i]) for i in r.tokens), r.labels) for r in readings]
    for measure, columns in (
        (lambda p, texts: activation_change(p, texts, draws=2), ["block_diff", "cumulative_diff"]),
        (lambda p, texts: logit_lens(p, texts, draws=0), ["kl", "js", "agree"]),
        (lambda p, texts: next_token_shift(p, texts), ["share"]),
    ):
        one, two = measure(pair, readings).table, measure(other, renamed).table
        np.testing.assert_allclose(two[columns], one[columns], rtol=1e-5, atol=1e-9)
    weights = [weight_change(p.base_checkpoint, p.tuned_checkpoint).table["relative"] for p in (pair, other)]
    np.testing.assert_allclose(*weights, rtol=1e-6)
    prompts = [Problem(str(i), f"run A R : 1 {i}", "") for i in range(4)]
    of_tuned = [rollouts(p, prompts, max_new_tokens=8).table.query("writer == 'tuned'")["text"] for p in (pair, other)]
    assert list(of_tuned[0]) == list(of_tuned[1])


def test_a_change_times_c_has_c_times_the_norm_and_the_same_directions(
    tiny_checkpoint: Callable[..., Path], rewritten: Callable[..., Path]
) -> None:
    base, tuned = (tiny_checkpoint("llama", seed) for seed in (0, 1))
    theirs = load_file(tuned / "model.safetensors")
    grown = rewritten(base, lambda ours: {n: t + 3 * (theirs[n] - t) for n, t in ours.items()})
    one, three = (weight_change(open_checkpoint(base), open_checkpoint(f)).table for f in (tuned, grown))
    np.testing.assert_allclose(three["norm_change"], 3 * one["norm_change"], rtol=1e-5)
    one, three = (weight_spectra(open_checkpoint(base), open_checkpoint(f), draws=2).table for f in (tuned, grown))
    for column in ("stable_rank", "effective_rank", "overlap"):
        np.testing.assert_allclose(three[column], one[column], rtol=1e-4, atol=1e-4)


def test_half_precision_files_move_a_change_by_no_more_than_their_rounding(
    tiny_checkpoint: Callable[..., Path], rewritten: Callable[..., Path]
) -> None:
    generator = torch.Generator().manual_seed(3)

    def tuned(tensors: Tensors) -> Tensors:
        scale = {name: 0.02 if "layers.2." in name else 0.004 for name in tensors}
        return {n: t + scale[n] * torch.randn(t.shape, generator=generator) for n, t in tensors.items()}

    def half(tensors: Tensors) -> Tensors:
        return {name: tensor.bfloat16() for name, tensor in tensors.items()}

    base = tiny_checkpoint("llama")
    other = rewritten(base, tuned)
    wide = weight_change(open_checkpoint(base), open_checkpoint(other)).table
    narrow = weight_change(*(open_checkpoint(rewritten(f, half)) for f in (base, other))).table
    matrices = wide["component"].str.contains("attn|mlp|embed")
    error, floor = (narrow["relative"] - wide["relative"]).abs()[matrices], narrow["rounding_floor"][matrices]
    assert (floor > 1e-3).all() and error.max() > 0
    assert (error <= 2.2 * floor).all(), "both sides were rounded once, and the floor is an estimate"
    for table in (wide, narrow):
        largest = table[matrices].groupby("layer")["relative"].mean().idxmax()
        assert largest == 2
