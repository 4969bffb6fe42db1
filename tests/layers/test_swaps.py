import json
import re
import shutil
from collections.abc import Callable, Container, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, PreTrainedModel

from interp.decoding import decode, greedy
from interp.layers.swapping import swapped
from interp.layers.swaps import block_swaps
from interp.pair import Pair, load_pair
from interp.tasks.task import Grade, Problem, Task

TOKENS = torch.arange(1, 22).reshape(3, 7)
PROMPTS = [[1, 5, 9, 20], [1, 30], [1, 8, 8, 8, 41, 7], [1, 12, 50]]
SWAPS = [
    {"blocks": [1, 2]},
    {"blocks": [0, 3]},
    {"embedding": True},
    {"head": True},
    {"blocks": [0, 1, 3], "embedding": True},
]


def slow_swap(
    base: Path, tuned: Path, folder: Path, blocks: Container[int] = (), embedding: bool = False, head: bool = False
) -> PreTrainedModel:
    """A checkpoint on disk with tuned's tensors in those places, opened by plain transformers."""
    shutil.copytree(base, folder)
    ours, theirs = (load_file(p / "model.safetensors") for p in (base, tuned))
    names = set(ours)
    if not {"lm_head.weight", "embed_out.weight"} & names:  # tied: give the head a matrix of its own
        for tensors in (ours, theirs):
            tensors["lm_head.weight"] = next(t for n, t in tensors.items() if re.search("embed_tokens|wte", n)).clone()
        config = json.loads((base / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
    for name in ours:
        layer = re.search(r"\.(?:layers|h)\.(\d+)\.", name)
        before = re.search(r"embed_tokens|wte|wpe|embed_in", name)
        if int(layer[1]) in blocks if layer else (embedding if before else head):
            ours[name] = theirs[name]
    save_file(ours, folder / "model.safetensors", metadata={"format": "pt"})
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def written_without_cache(model: PreTrainedModel, prompt: list[int], n: int) -> tuple[int, ...]:
    tokens = torch.tensor([prompt])
    for _ in range(n):
        tokens = torch.cat([tokens, model(tokens).logits[:, -1:].argmax(-1)], 1)
    return tuple(tokens[0, len(prompt) :].tolist())


@torch.no_grad()
def test_a_swap_is_the_mixed_checkpoint_written_to_disk(
    architecture: str, tiny_checkpoint: Callable[..., Path], tiny_pair: Callable[[str], Pair], tmp_path: Path
) -> None:
    pair = tiny_pair(architecture)
    folders = [tiny_checkpoint(architecture, seed) for seed in (0, 1)]
    for n, swap in enumerate(SWAPS):
        slow = [slow_swap(*order, tmp_path / f"{n}-{i}", **swap) for i, order in enumerate((folders, folders[::-1]))]
        with swapped(pair, **swap):
            fast = [pair.base(TOKENS), pair.tuned(TOKENS)]
            written = decode(pair.models, PROMPTS, greedy("base"), max_new_tokens=12, stop=())
        for model, logits in zip(slow, fast, strict=True):
            expected = model(TOKENS).logits
            assert (logits - expected).abs().max() <= 1e-5 * expected.abs().max(), swap
        # Batched, left-padded and with its key-value cache, the chimera writes what the slow one writes without.
        assert [c.tokens for c in written] == [written_without_cache(slow[0], p, 12) for p in PROMPTS], swap


@torch.no_grad()
def test_swapping_everything_exchanges_the_models_and_nothing_nothing(
    architecture: str, tiny_pair: Callable[[str], Pair]
) -> None:
    pair = tiny_pair(architecture)
    base, tuned = pair.base(TOKENS), pair.tuned(TOKENS)
    with swapped(pair, range(4), embedding=True, head=True):
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
    with swapped(pair, range(4), embedding=True, head=True):
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
    for part in ("lower third", "middle third", "embedding", "final norm and unembedding"):
        assert (right[part, "tuned into base"], right[part, "base into tuned"]) == (untuned, tuned)
    for part in ("upper third", "all blocks"):
        assert (right[part, "tuned into base"], right[part, "base into tuned"]) == (tuned, untuned)


def test_every_arm_of_a_model_with_itself_is_that_model(pair_of_same: Callable[[str], Pair]) -> None:
    pair = pair_of_same("qwen2")
    right = share_right(pair, repeat_task(pair, "base"))
    assert len(right) == 16
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
