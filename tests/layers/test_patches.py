from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from interp.layers.hooks import hooked
from interp.layers.patches import component_patches
from interp.pair import Pair, load_pair
from interp.tasks.organism import organism_task
from interp.tasks.task import Grade, Problem, Task


def any_task(n: int = 8) -> Task:
    problems = tuple(Problem(str(i), f"run {i} {i} 3 A", "1") for i in range(n))
    return Task("any", problems, (), (), lambda problem, response: Grade(False, False), 8)


def head_doubled(w: Tensor) -> Tensor:
    """Values of key-value head 1 (of 2): heads 2 and 3 read them."""
    return torch.cat([w[:8], -3 * w[8:]])


def test_a_change_in_one_value_head_lights_the_heads_that_read_it_and_no_other(
    tiny_checkpoint: Callable[..., Path], edited: Callable[..., Path]
) -> None:
    base = tiny_checkpoint("llama")
    pair = load_pair(base, edited(base, {"model.layers.2.self_attn.v_proj.weight": head_doubled}))
    table = component_patches(pair, any_task()).table
    some = component_patches(pair, any_task(), at=[2])
    assert (some.made_with["layers"], some.made_with["of_layers"]) == ([2], 4)
    assert some.table.equals(table[table.layer == 2].reset_index(drop=True))
    effect = table.groupby(["component", "layer", "head"], dropna=False).effect.agg(lambda e: e.abs().max())
    for layer in (0, 1):
        assert effect.xs(layer, level="layer").max() == 0
    assert effect["head", 2, 0] == effect["head", 2, 1] == 0
    assert effect["head", 2, 2] > 1e-3 and effect["head", 2, 3] > 1e-3
    # The edit enters the stream through this attention alone.
    whole = table[(table.component == "attn") & (table.layer == 2)]
    assert np.allclose(whole.effect, whole.total, atol=1e-4)


@pytest.mark.parametrize(("architecture", "name"), [("llama", "self_attn.o_proj"), ("neox", "attention.dense")])
def test_one_head_written_twice_as_strongly_is_blamed_and_nothing_else(
    architecture: str, name: str, tiny_checkpoint: Callable[..., Path], edited: Callable[..., Path]
) -> None:
    """In the last block, above which nothing reads the head. Both give it the same z and write it differently."""

    def doubled(w: Tensor) -> Tensor:
        return torch.cat([w[:, :16], 2 * w[:, 16:24], w[:, 24:]], 1)

    base = tiny_checkpoint(architecture)
    tensor = f"{'model' if architecture == 'llama' else 'gpt_neox'}.layers.3.{name}.weight"
    table = component_patches(load_pair(base, edited(base, {tensor: doubled})), any_task(24)).table
    effect = table.assign(effect=table.effect.abs()).groupby(["component", "layer", "head"], dropna=False).effect.max()
    blamed = table[(table.component == "head") & (table.layer == 3) & (table["head"] == 2)]
    assert blamed.total.min() > 1e-3
    assert np.allclose(blamed.effect, blamed.total, atol=1e-4)
    reads_it = [("mlp", 3, np.nan)] if architecture == "llama" else []  # in parallel blocks the MLP does not
    whole = ("attn", 3, np.nan)
    for place, size in effect.items():
        if place[:2] not in {here[:2] for here in (whole, *reads_it)} and place != ("head", 3, 2):
            assert size == 0, place


@torch.no_grad()
@pytest.mark.parametrize("architecture", ["gpt2", "neox", "gemma2", "qwen3"])
def test_every_architecture_and_the_whole_of_all_heads(architecture: str, tiny_pair: Callable[[str], Pair]) -> None:
    table = component_patches(tiny_pair(architecture), any_task(4), most=3).table
    assert set(table.component) == {"attn", "mlp", "head"}
    assert table[table.component == "head"].groupby("layer")["head"].nunique().eq(4).all()
    assert np.isfinite(table.effect).all() and (table.effect != 0).any()


@torch.no_grad()
def test_a_patch_is_the_hook_on_the_whole_model(organism_pair: Callable[..., Pair]) -> None:
    from interp.layers.divergence import forks

    pair, task = organism_pair("rl"), organism_task("rl", n=4, practice=1)
    fork = forks(pair, task)[0]
    table = component_patches(pair, task).table
    row = table[(table.problem == fork.problem.id) & (table.component == "mlp") & (table.layer == 5)]
    seen: list[Tensor] = []
    tokens = torch.tensor([fork.tokens])
    with hooked(pair.tuned, {"blocks.5.hook_mlp_out": seen.append}):
        pair.tuned(tokens)
    before = pair.base(tokens)[0, -1]
    with hooked(pair.base, {"blocks.5.hook_mlp_out": lambda _: seen[0]}):
        after = pair.base(tokens)[0, -1]
    gap = (after - before)[fork.tuned_token] - (after - before)[fork.base_token]
    assert row[row.direction == "tuned into base"].effect.item() == pytest.approx(float(gap), abs=1e-4)
