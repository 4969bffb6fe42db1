"""A pair of one model differs nowhere, and with base and tuned exchanged every sign turns and every distance stays."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interp.checkpoint import open_checkpoint
from interp.layers.activations import activation_change
from interp.layers.gauge import hidden_unit_gauge
from interp.layers.heads import head_change
from interp.layers.lens import logit_lens
from interp.layers.shifts import next_token_shift
from interp.layers.similarity import stream_similarity
from interp.layers.spectra import weight_spectra
from interp.layers.swaps import INTO_BASE, INTO_TUNED, block_swaps
from interp.layers.ulps import ulp_change
from interp.layers.weights import weight_change
from interp.pair import Pair
from interp.routing.hybrid import write_together
from interp.routing.routers import always, at_random, entropy_over, every_disagreement, first, kl_over, never, reverse
from interp.tasks.task import Grade, Problem, Reading, Task

PROMPTS = [[1, 5, 9, 20], [1, 30], [1, 8, 8, 8, 41, 7], [1, 12, 50]]


def exchanged(pair: Pair) -> Pair:
    """The pair with base and tuned in each other's place."""
    return replace(
        pair,
        base=pair.tuned,
        tuned=pair.base,
        base_checkpoint=pair.tuned_checkpoint,
        tuned_checkpoint=pair.base_checkpoint,
    )


def test_what_is_read_from_files_is_exactly_0_of_one_checkpoint_twice(tiny_checkpoint: Callable[..., Path]) -> None:
    one = open_checkpoint(tiny_checkpoint("llama"))
    weights = weight_change(one, one).table
    assert (weights[["relative", "cosine_distance", "changed", "norm_change"]] == 0).all(axis=None)
    assert (ulp_change(one, one).table["changed"] == 0).all()
    assert (weight_spectra(one, one, draws=2).table[["stable_rank", "effective_rank", "norm_change"]] == 0).all(
        axis=None
    )
    heads = head_change(one, one).table
    assert (heads[[c for c in heads if c.endswith("relative")]] == 0).all(axis=None) and len(heads)
    assert (hidden_unit_gauge(one, one).table[["relative", "relative_aligned"]] == 0).all(axis=None)


def test_what_the_models_compute_is_exactly_0_of_one_model_twice(
    pair_of_same: Callable[[str], Pair], readings: list[Reading]
) -> None:
    pair = pair_of_same("llama")
    changes = activation_change(pair, readings, draws=2).table
    assert (changes[["block_diff", "cumulative_diff"]] == 0).all(axis=None)
    lens = logit_lens(pair, readings, draws=0).table
    assert (lens[["kl", "js"]] == 0).all(axis=None) and (lens["agree"] == 1).all()
    assert stream_similarity(pair, readings, draws=0).table["cka"].tolist() == pytest.approx([1] * 4, abs=1e-9)
    shifts = next_token_shift(pair, readings).table
    assert (shifts.loc[shifts["shift"] == "unshifted", "share"] == 1).all()


def test_distances_of_weights_do_not_know_the_direction(tiny_checkpoint: Callable[..., Path]) -> None:
    one, other = (open_checkpoint(tiny_checkpoint("llama", seed)) for seed in (0, 1))
    there, back = weight_change(one, other).table, weight_change(other, one).table
    for column in ("norm_change", "cosine_distance", "changed"):
        assert np.array_equal(there[column], back[column]), column
    matrices = there["component"].str.contains("attn|mlp")
    assert (there["relative"] != back["relative"])[matrices].all(), "it is relative to base, which is another one"
    there, back = weight_spectra(one, other, draws=2).table, weight_spectra(other, one, draws=2).table
    for column in ("stable_rank", "effective_rank", "norm_change"):
        np.testing.assert_allclose(there[column], back[column], rtol=1e-9)


def test_distances_of_functions_do_not_know_the_direction_and_kl_does(
    tiny_pair: Callable[[str], Pair], readings: list[Reading]
) -> None:
    pair = tiny_pair("llama")
    there, back = (logit_lens(p, readings, draws=0).table for p in (pair, exchanged(pair)))
    own = there["head"] == "own"
    np.testing.assert_allclose(there[own]["js"], back[own]["js"], rtol=1e-6)
    assert np.array_equal(there[own]["agree"], back[own]["agree"])
    assert not np.allclose(there[own]["kl"], back[own]["kl"], rtol=1e-3)
    there, back = (stream_similarity(p, readings, draws=0).table["cka"] for p in (pair, exchanged(pair)))
    np.testing.assert_allclose(there, back, rtol=1e-9)
    there, back = (activation_change(p, readings, draws=2).table for p in (pair, exchanged(pair)))
    assert not np.allclose(there["cumulative_diff"], back["cumulative_diff"], rtol=1e-3), "relative to another base"


def test_swaps_of_the_exchanged_pair_are_the_other_directions(tiny_pair: Callable[[str], Pair]) -> None:
    pair = tiny_pair("llama")
    problems = tuple(Problem(f"p{i}", f"run A R : 1 2 {i}", "") for i in range(8))
    task = Task("coin", problems, (), (), lambda _, text: Grade(len(text) % 2 == 0, len(text) % 3 == 0), 5)
    there, back = block_swaps(pair, task).table, block_swaps(exchanged(pair), task).table
    there, back = (table[table["axis"] != "strategy onset"] for table in (there, back))  # which is read beside tuned
    turned = back.assign(direction=back["direction"].map({INTO_BASE: INTO_TUNED, INTO_TUNED: INTO_BASE}))
    keys = ["swapped", "direction", "axis", "problem"]
    one, other = (table.set_index(keys)["correct"].sort_index() for table in (there, turned))
    assert one.equals(other)
    assert one.nunique() == 2


ROUTERS = {
    "never": never,
    "always": always,
    "every disagreement": every_disagreement,
    "first 2": first(2),
    "KL": kl_over(0.5),
    "entropy": entropy_over(2.5),
}


@pytest.mark.parametrize("name", [*ROUTERS, "random"])
def test_routing_is_inverted(tiny_pair: Callable[[str], Pair], name: str) -> None:
    """What tuned writes by a router in the exchanged pair is what base writes by its reverse in this one."""
    pair = tiny_pair("llama")
    router = ROUTERS.get(name) or at_random(0.4, seed=3)
    there = write_together(exchanged(pair), PROMPTS, router, max_new_tokens=8)
    back = write_together(pair, PROMPTS, reverse(router), max_new_tokens=8)
    assert not any(text.near_ties for text in (*there, *back)), "rounding decides: choose other prompts"
    assert [text.completion for text in there] == [text.completion for text in back]
    assert [text.written - text.routed for text in there] == [text.routed for text in back]


@settings(max_examples=5, derandomize=True)
@given(seed=st.integers(0, 10_000), rate=st.floats(0, 1))
def test_one_model_twice_routed_anyhow_writes_its_own_text(
    pair_of_same: Callable[[str], Pair], seed: int, rate: float
) -> None:
    pair = pair_of_same("llama")
    alone, routed = (
        write_together(pair, PROMPTS, router, max_new_tokens=6) for router in (never, at_random(rate, seed=seed))
    )
    assert [text.completion for text in alone] == [text.completion for text in routed]
    assert all(text.changed == 0 for text in routed)
    assert torch.is_grad_enabled()
