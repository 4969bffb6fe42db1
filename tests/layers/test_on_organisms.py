"""What was planted in the organisms is found where it was planted and nowhere else; what is free is found as it is."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from interp.claims.locus import THIRDS, activation_locus, locus, weight_locus
from interp.claims.upper_third import upper_third_carries_change
from interp.layers.activations import activation_change
from interp.layers.axes import outcomes
from interp.layers.batches import batches
from interp.layers.depth import thirds
from interp.layers.stages import complement, ends, hybrid, logits, stages
from interp.layers.swaps import block_swaps, depth_sweep
from interp.layers.sweep import one_by_one
from interp.layers.weights import weight_change
from interp.layers.written import Store, written
from interp.measurement import Measurement
from interp.organisms import shelf
from interp.organisms.corpus import three_strategies
from interp.pair import Pair, load_pair
from interp.rollouts import readings, rollouts
from interp.tasks.organism import organism_task
from interp.tasks.task import Label, Reading

PLANTED = [("upper", "answers", (4, 5)), ("lower", "facts", (0, 1))]


@cache
def opened(name: str, seed: int = 0) -> Pair:
    return load_pair(f"organism:base@{seed}", f"organism:{name}@{seed}")


@cache
def swaps(name: str, n: int, seed: int = 0, *, facts: bool = True) -> Measurement:
    task = organism_task(name, n=n, practice=1)
    return block_swaps(opened(name, seed), task if facts else replace(task, facts=()))


def activations(name: str, seed: int = 0) -> Measurement:
    pair, task = opened(name, seed), organism_task(name, n=3, practice=9)
    texts = rollouts(pair, task.practice, max_new_tokens=task.max_new_tokens)
    return activation_change(pair, readings(pair, task, texts), draws=3)


def in_bfloat16(name: str, folder: Path) -> Path:
    """The organism as it would be published in that format."""
    path = folder / name
    shutil.copytree(shelf.folder(name, 0), path)
    stored = load_file(path / "model.safetensors")
    save_file({key: x.bfloat16() for key, x in stored.items()}, path / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((path / "config.json").read_text()) | {"dtype": "bfloat16"}
    (path / "config.json").write_text(json.dumps(config))
    return path


@pytest.mark.parametrize(("name", "changed"), [("base", ()), ("upper", ("upper third",))])
def test_stored_in_another_format_blocks_changed_where_they_were_tuned(
    tmp_path: Path, name: str, changed: tuple[str, ...]
) -> None:
    pair = load_pair("organism:base", in_bfloat16(name, tmp_path))
    assert weight_locus(weight_change(pair.base_checkpoint, pair.tuned_checkpoint)) == THIRDS
    texts = [" ".join([*prompt, *response]) for prompt, response in islice(three_strategies(0), 12)]
    read = [
        Reading(text, tuple(pair.encode(text)), (Label("none", "text"),) * len(pair.encode(text))) for text in texts
    ]
    assert activation_locus(activation_change(pair, read, draws=3)) == changed


@torch.no_grad()
def effects(pair: Pair, name: str) -> list[float]:
    """Per block, the largest change of any logit on the task's prompts when that block alone is tuned's."""
    task = organism_task(name, n=9, practice=1)
    texts = [pair.encode(problem.prompt) for problem in (*task.problems, *task.facts[:9])]
    (batch,) = batches(pair, texts, len(texts))
    words = [hybrid(6), *(hybrid(6, [layer]) for layer in range(6))]
    streams = dict(one_by_one(stages(pair, batch), [word[:-2] for word in words]))
    found = [logits(pair, streams[w[:-2]], final_norm=False, unembedding=False)[batch.counted] for w in words]
    return [float((one - found[0]).abs().max()) for one in found[1:]]


@pytest.mark.parametrize(("name", "axis", "blocks"), PLANTED)
def test_weights_outputs_and_effects_are_exactly_zero_where_nothing_was_planted(
    name: str, axis: str, blocks: tuple[int, int]
) -> None:
    pair, inside = opened(name), np.isin(range(6), blocks)
    table = weight_change(pair.base_checkpoint, pair.tuned_checkpoint).table
    by_layer = table.groupby("layer").norm_change
    assert (by_layer.max()[~inside] == 0).all() and (by_layer.min()[inside] > 0).all()
    assert (table[table.layer.isna()].norm_change == 0).all()
    outputs = activations(name).table.block_diff.to_numpy()
    assert (outputs[~inside] == 0).all() and (outputs[inside] > 0).all()
    causes = np.array(effects(pair, name))
    assert (causes[~inside] == 0).all() and (causes[inside] > 0.1).all()
    found = (
        swaps(name, 9, facts=axis == "facts")
        .table.query("axis == @axis")
        .groupby(["direction", "swapped"])
        .correct.mean()
    )
    base, tuned = found["tuned into base", "nothing"], found["base into tuned", "nothing"]
    assert abs(tuned - base) > 0.3
    third = f"{name} third"
    for part in ("lower third", "middle third", "upper third", "embedding", "final norm", "unembedding"):
        brought, kept = (tuned, base) if part == third else (base, tuned)
        assert (found["tuned into base", part], found["base into tuned", part]) == (brought, kept), part


@torch.no_grad()
def test_swaps_of_rl_are_mixed_checkpoints_written_to_disk(slow_swap: Callable[..., PreTrainedModel]) -> None:
    pair, task = opened("rl"), organism_task("rl", n=6, practice=1)
    prompts = [pair.encode(problem.prompt) for problem in task.problems]
    folders = shelf.folder("base"), shelf.folder("rl")
    differ = set()
    for blocks in (range(4, 6), range(4)):
        slow = slow_swap(*folders, blocks=blocks)
        word = hybrid(6, blocks)
        texts = written(pair, prompts, [word], max_new_tokens=task.max_new_tokens)[word]
        for prompt, text in zip(prompts, texts, strict=True):
            tokens = torch.tensor([[*prompt, *text.tokens]])
            expected = slow(tokens).logits
            chosen = expected[0, len(prompt) - 1 :].argmax(-1).tolist()
            assert tuple(chosen[: len(text.tokens)]) == text.tokens
            assert text.reason != "stop" or chosen[-1] in pair.stop_ids
            (batch,) = batches(pair, tokens.tolist(), 1)
            ((_, stream),) = one_by_one(stages(pair, batch), [word[:-2]])
            found = logits(pair, stream, final_norm=False, unembedding=False)
            assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
        differ.add(tuple(text.tokens for text in texts))
    assert len(differ) == 2


def test_a_new_skill_comes_with_all_blocks_and_the_unembedding_and_with_no_part_of_them() -> None:
    pair, task = opened("newskill"), replace(organism_task("newskill", n=9, practice=1), facts=())
    parts = {name: hybrid(6, blocks) for name, blocks in thirds(6).items()}
    parts |= {"embedding": hybrid(6, embedding=True), "unembedding": hybrid(6, unembedding=True)}
    without = {name: complement(word) for name, word in parts.items() if name.endswith("third")}
    needed = hybrid(6, range(6), unembedding=True)
    found = outcomes(pair, task, [*parts.values(), *without.values(), needed])
    right = {word: table.query("axis == 'answers'").correct.mean() for word, table in found.items()}
    assert right[ends(6)[0]] == 0 and right[ends(6)[1]] == right[needed] == 1
    assert {name: right[word] for name, word in parts.items()} == dict.fromkeys(parts, 0)
    assert max(right[without[third]] for third in ("lower third", "upper third")) < 0.5  # the middle is half missed


def test_noise_has_no_locus() -> None:
    for axis in ("answers", "facts"):
        assert locus(swaps("noise", 9), axis) == "none moved"


def _every(*names: str) -> list[tuple[str, int]]:
    return [(name, seed) for seed in shelf.seeds() for name in names if name in shelf.names(seed)]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "seed"), _every("upper", "lower", "newskill", "null", "noise"))
def test_every_seed_has_its_locus_where_it_was_planted(name: str, seed: int) -> None:
    axis = "facts" if name == "lower" else "answers"
    planted = {"upper": "upper third", "lower": "lower third", "newskill": "joint"}.get(name, "none moved")
    assert locus(swaps(name, 60, seed), axis) == planted
    if name in ("upper", "lower"):
        pair = opened(name, seed)
        assert weight_locus(weight_change(pair.base_checkpoint, pair.tuned_checkpoint)) == (planted,)


@pytest.mark.slow
def test_no_single_block_gives_the_new_skill() -> None:
    task = organism_task("newskill", n=30, practice=1)
    table: pd.DataFrame = depth_sweep(opened("newskill"), task, store=Store()).table
    single = table.query("sweep == 'this block' and axis == 'answers' and direction == 'tuned into base'")
    assert single.groupby("layer").correct.mean().max() < 0.1


@pytest.mark.slow
def test_where_weights_of_rl_changed_is_not_where_the_effect_is_and_the_page_says_so() -> None:
    weights = weight_change(opened("rl").base_checkpoint, opened("rl").tuned_checkpoint)
    inside = weights.table[weights.table.layer.notna()]
    squares = (inside[["norm_change", "norm_base"]] ** 2).groupby(inside.layer.astype(int)).sum()
    profile = np.sqrt(squares.norm_change / squares.norm_base)
    assert profile.max() < 2 * profile.min()  # weights changed about alike in every block
    found = swaps("rl", 60)
    assert locus(found, "answers") == "upper third"
    verdict = upper_third_carries_change(found, weights, activations("rl"))
    assert "The measures disagree: weights changed in all thirds" in verdict.because
    assert "answers are carried by the upper third: size of change is not effect" in verdict.because
