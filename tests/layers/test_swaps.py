import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from interp.decoding import decode, greedy
from interp.layers.batches import batches
from interp.layers.divergence import first_divergence
from interp.layers.stages import hybrid, logits, stages
from interp.layers.swapping import swapped
from interp.layers.swaps import INTO_BASE, bands, block_swaps, depth_sweep
from interp.layers.sweep import one_by_one
from interp.layers.written import Store
from interp.pair import Pair, load_pair
from interp.tasks.task import Grade, Problem, Task

TOKENS = torch.arange(1, 22).reshape(3, 7)
PROMPTS = [[1, 5, 9, 20], [1, 30], [1, 8, 8, 8, 41, 7], [1, 12, 50]]
SWAPS = [
    {"blocks": [1, 2]},
    {"blocks": [0, 3], "final_norm": True},
    {"embedding": True},
    {"unembedding": True},
    {"blocks": [0, 1, 3], "embedding": True, "final_norm": True, "unembedding": True},
]


def written_without_cache(model: PreTrainedModel, prompt: list[int], n: int) -> tuple[int, ...]:
    tokens = torch.tensor([prompt])
    for _ in range(n):
        tokens = torch.cat([tokens, model(tokens).logits[:, -1:].argmax(-1)], 1)
    return tuple(tokens[0, len(prompt) :].tolist())


@torch.no_grad()
def test_a_swap_is_the_mixed_checkpoint_written_to_disk(
    architecture: str,
    tiny_checkpoint: Callable[..., Path],
    tiny_pair: Callable[[str], Pair],
    slow_swap: Callable[..., PreTrainedModel],
) -> None:
    pair = tiny_pair(architecture)
    folders = [tiny_checkpoint(architecture, seed) for seed in (0, 1)]
    for swap in SWAPS:
        slow = [slow_swap(*order, **swap) for order in (folders, folders[::-1])]
        with swapped(pair, **swap):
            fast = [pair.base(TOKENS), pair.tuned(TOKENS)]
            written = decode(pair.models, PROMPTS, greedy("base"), max_new_tokens=12, stop=())
        for model, found in zip(slow, fast, strict=True):
            expected = model(TOKENS).logits
            assert (found - expected).abs().max() <= 1e-5 * expected.abs().max(), swap
        # Batched, left-padded and with its key-value cache, the chimera writes what the slow one writes without.
        assert [c.tokens for c in written] == [written_without_cache(slow[0], p, 12) for p in PROMPTS], swap


@torch.no_grad()
def test_swapping_everything_exchanges_the_models_and_nothing_nothing(
    architecture: str, tiny_pair: Callable[[str], Pair]
) -> None:
    pair = tiny_pair(architecture)
    base, tuned = pair.base(TOKENS), pair.tuned(TOKENS)
    with swapped(pair, range(4), embedding=True, final_norm=True, unembedding=True):
        assert torch.equal(pair.base(TOKENS), tuned)
        assert torch.equal(pair.tuned(TOKENS), base)
    with swapped(pair):
        assert torch.equal(pair.base(TOKENS), base)
    assert torch.equal(pair.base(TOKENS), base)
    assert torch.equal(pair.tuned(TOKENS), tuned)


@torch.no_grad()
def test_hooks_on_a_chimera_act_on_the_chimera(tiny_pair: Callable[[str], Pair]) -> None:
    pair = tiny_pair("llama")
    hook = [("blocks.1.hook_out", lambda x, hook: torch.zeros_like(x))]
    before = pair.tuned(TOKENS)
    with swapped(pair, range(4), embedding=True, final_norm=True, unembedding=True):
        hooked = pair.base.run_with_hooks(TOKENS, fwd_hooks=hook)
    assert torch.equal(hooked, pair.tuned.run_with_hooks(TOKENS, fwd_hooks=hook))
    assert not torch.allclose(hooked, before, atol=0.1)


@torch.no_grad()
def test_both_models_are_as_before_after_an_exception(tiny_pair: Callable[[str], Pair]) -> None:
    pair = tiny_pair("gpt2")
    before = pair.base(TOKENS)
    with pytest.raises(KeyError), swapped(pair, [0, 1], embedding=True):
        raise KeyError
    assert torch.equal(pair.base(TOKENS), before)


@pytest.mark.parametrize("blocks", [[4], [-1], [1, 1]])
def test_blocks_that_are_not_there_are_refused(blocks: list[int], tiny_pair: Callable[[str], Pair]) -> None:
    sentence = re.escape(f"blocks to swap are {blocks}; give different numbers from 0 to 3")
    with pytest.raises(ValueError, match=sentence), swapped(tiny_pair("llama"), blocks):
        pass


def test_parts_that_share_a_module_are_refused(tiny_checkpoint: Callable[..., Path]) -> None:
    pair = load_pair(tiny_checkpoint("llama", 0), tiny_checkpoint("llama", 1))
    for model in pair.models.values():
        model.blocks[1].shared = model.blocks[2].shared = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match="two of the parts to swap share a module"), swapped(pair, [1, 2]):
        pass


WORDS = ["run 1 2", "inv A B 7", "shuf 3", "1 2 3 4 5", "ans R 0"]


def what_is_written(pair: Pair, model: str, prompts: Sequence[str]) -> list[str]:
    ids = [pair.encode(prompt) for prompt in prompts]
    written = decode(pair.models, ids, greedy(model), max_new_tokens=6, stop=pair.stop_ids, pad=pair.pad_id)
    return [pair.text(c.tokens) for c in written]


def repeat_task(pair: Pair, model: str, facts: Sequence[str] = ()) -> Task:
    """Right is what one of the two models would write."""

    def asked(prompts: Sequence[str], prefix: str) -> tuple[Problem, ...]:
        answers = what_is_written(pair, model, prompts) if prompts else []
        return tuple(
            Problem(f"{prefix}{i}", p, a, kind="k") for i, (p, a) in enumerate(zip(prompts, answers, strict=True))
        )

    def grade(problem: Problem, response: str) -> Grade:
        return Grade(response == problem.answer, True)

    return Task("repeat", asked(WORDS, "p"), (), asked(facts, "f") if facts else (), grade, max_new_tokens=6)


def share_right(pair: Pair, task: Task) -> dict[tuple[str, str], float]:
    table = block_swaps(pair, task).table
    return table[table["axis"] == "answers"].groupby(["swapped", "direction"])["correct"].mean().to_dict()


def test_only_the_third_that_changed_carries_the_answers(
    tiny_checkpoint: Callable[..., Path], edited: Callable[..., Path]
) -> None:
    base = tiny_checkpoint("llama", 0)
    changes = {f"model.layers.3.mlp.{part}_proj.weight": lambda w: -w for part in ("up", "down", "gate")}
    changes |= {f"model.layers.3.self_attn.{part}_proj.weight": lambda w: w.roll(1, 0) for part in "qkvo"}
    pair = load_pair(base, edited(base, changes))
    right = share_right(pair, repeat_task(pair, "tuned"))
    tuned, untuned = right["nothing", "base into tuned"], right["nothing", "tuned into base"]
    assert tuned == 1 and untuned < 1
    for part in ("lower third", "middle third", "embedding", "final norm", "unembedding", "final norm and unembedding"):
        assert (right[part, "tuned into base"], right[part, "base into tuned"]) == (untuned, tuned)
    for part in ("upper third", "all blocks"):
        assert (right[part, "tuned into base"], right[part, "base into tuned"]) == (tuned, untuned)


def test_every_arm_of_a_model_with_itself_is_that_model(pair_of_same: Callable[[str], Pair]) -> None:
    pair = pair_of_same("qwen2")
    right = share_right(pair, repeat_task(pair, "base"))
    assert len(right) == 20
    assert set(right.values()) == {1.0}


def test_facts_are_asked_beside_answers_and_left_out_where_there_are_none(tiny_pair: Callable[[str], Pair]) -> None:
    pair = tiny_pair("llama")
    table = block_swaps(pair, repeat_task(pair, "base", ["fact 1 is", "fact 2 is"])).table
    assert table.groupby("axis")["problem"].nunique().to_dict() == {
        "answers": 5,
        "facts": 2,
        "output format": 5,
        "strategy onset": 5,
    }
    kept = table[(table["swapped"] == "nothing") & (table["direction"] == "tuned into base")]
    assert kept[kept["axis"].isin(["answers", "facts"])]["correct"].all()
    assert "facts" not in set(block_swaps(pair, repeat_task(pair, "base")).table["axis"])


def test_the_batch_makes_no_difference(tiny_pair: Callable[[str], Pair]) -> None:
    pair = tiny_pair("neox")
    task = repeat_task(pair, "tuned")
    assert block_swaps(pair, task, batch_size=2).table.equals(block_swaps(pair, task).table)


@torch.no_grad()
def single_effects(pair: Pair) -> list[float]:
    """Per block, the largest change of any logit when that block alone is tuned's, beside the largest logit."""
    texts = [[1, 5, 9, 20, 7], [1, 8, 8, 8, 41, 7, 12, 50]]
    (batch,) = batches(pair, texts, 2)
    words = [hybrid(pair.n_layers), *(hybrid(pair.n_layers, [layer]) for layer in range(pair.n_layers))]
    streams = dict(one_by_one(stages(pair, batch), [word[:-2] for word in words]))
    found = [
        logits(pair, streams[word[:-2]], final_norm=False, unembedding=False)[batch.counted].float() for word in words
    ]
    return [float((one - found[0]).abs().max() / found[0].abs().max()) for one in found[1:]]


def test_a_norm_scaled_by_a_tenth_is_found_in_its_block_alone(
    tiny_checkpoint: Callable[..., Path], edited: Callable[..., Path]
) -> None:
    base = tiny_checkpoint("llama", 0)
    effects = single_effects(
        load_pair(base, edited(base, {"model.layers.2.input_layernorm.weight": lambda w: 1.1 * w}))
    )
    assert effects[2] > 1e-3
    assert effects[:2] == [0, 0] and effects[3] == 0


def test_hidden_units_in_another_order_are_the_same_function(
    tiny_checkpoint: Callable[..., Path], edited: Callable[..., Path]
) -> None:
    base, order = tiny_checkpoint("llama", 0), torch.randperm(64, generator=torch.Generator().manual_seed(0))
    changes = {f"model.layers.1.mlp.{part}_proj.weight": lambda w: w[order] for part in ("gate", "up")}
    pair = load_pair(base, edited(base, changes | {"model.layers.1.mlp.down_proj.weight": lambda w: w[:, order]}))
    change = pair.tuned.blocks[1].mlp.out.weight - pair.base.blocks[1].mlp.out.weight
    assert change.norm() > pair.base.blocks[1].mlp.out.weight.norm()
    assert max(single_effects(pair)) <= 1e-5
    task = repeat_task(pair, "base", ["fact 1 is"])
    for sweep in (block_swaps, depth_sweep, bands):
        assert sweep(pair, task).table.groupby("axis").correct.min().drop("output format").all()
    with pytest.raises(ValueError, match="write the same to all 5 problems"):
        first_divergence(pair, task)


def test_bands_are_thirds_singles_and_everything_where_these_are_bands(tiny_pair: Callable[[str], Pair]) -> None:
    pair = tiny_pair("llama")
    task, store = repeat_task(pair, "tuned"), Store()
    keys = ["first", "last", "direction", "axis", "problem"]
    table = bands(pair, task, store=store).table
    assert len(table[["first", "last"]].drop_duplicates()) == 4 * 5 // 2 + 1
    found = table.set_index(keys).correct.sort_index()
    swaps = block_swaps(pair, task, store=store).table.set_index(["swapped", *keys[2:]]).correct.sort_index()
    for (first, last), part in (((0, 3), "all blocks"), ((2, 3), "upper third"), ((0, 0), "lower third")):
        assert found[first, last].equals(swaps[part]), part
    single = depth_sweep(pair, task, store=store).table.set_index(["sweep", "layer", *keys[2:]]).correct.sort_index()
    for layer in range(4):
        assert found[layer, layer].equals(single["this block", layer])
    below, above = single["up to here"], single["from here up"]
    for layer in range(5):  # the same mixture of the two models, under its two names
        assert below[layer, INTO_BASE].equals(above[layer, "base into tuned"])
    some = depth_sweep(pair, task, at=[4, 1], store=store)
    assert (some.made_with["layers"], some.made_with["of_layers"]) == ([1, 4], 4)
    rows = some.table.set_index(["sweep", "layer", *keys[2:]]).correct.sort_index()
    assert rows.equals(single.loc[rows.index])
    assert set(some.table.layer) == {-1, 1, 4} and set(rows["this block"].index.get_level_values("layer")) == {1}
