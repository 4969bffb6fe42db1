import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from interp.decoding import decode, greedy
from interp.pair import Pair, load_pair
from interp.routing.arithmetic import emulated, small_models, towards_tuned, write_by_sum
from interp.routing.elicited import emulated_arm
from interp.tasks.organism import organism_task

PROMPTS = [[1, 5, 9, 30], [1, 7], [1, 40, 41, 42, 43, 44, 45], *([1, i, i + 1] for i in range(8, 20))]
LENGTH = 10


def alone(pair: Pair, model: str) -> list[tuple[int, ...]]:
    done = decode(pair.models, PROMPTS, greedy(model), max_new_tokens=LENGTH, stop=pair.stop_ids)
    return [completion.tokens for completion in done]


def test_alpha_0_is_base_and_1_is_tuned(architecture: str, tiny_pair: Callable[[str], Pair]) -> None:
    pair = tiny_pair(architecture)
    for alpha, model in ((0.0, "base"), (1.0, "tuned")):
        texts = write_by_sum(pair, PROMPTS, towards_tuned(alpha), max_new_tokens=LENGTH)
        assert [text.completion.tokens for text in texts] == alone(pair, model)
    between = write_by_sum(pair, PROMPTS, towards_tuned(0.5), max_new_tokens=LENGTH)
    assert all(text.routed == text.written for text in between)
    assert 0 < sum(text.changed for text in between) < sum(text.written for text in between)


def test_what_tuning_did_put_on_base_itself_is_tuned(tiny_pair: Callable[[str], Pair]) -> None:
    pair = tiny_pair("llama")
    texts = write_by_sum(pair, PROMPTS, emulated(), max_new_tokens=LENGTH, others=small_models(pair, pair))
    assert [text.completion.tokens for text in texts] == alone(pair, "tuned")
    twice = replace(pair, base=pair.tuned)
    other = write_by_sum(twice, PROMPTS, emulated(), max_new_tokens=LENGTH, others=small_models(twice, pair))
    assert [text.completion.tokens for text in other] != alone(pair, "tuned"), "tuned twice is not tuned"
    nothing = write_by_sum(twice, PROMPTS, emulated(0.0), max_new_tokens=LENGTH, others=small_models(twice, pair))
    assert [text.completion.tokens for text in nothing] == alone(pair, "tuned")
    assert not any(text.routed or text.changed for text in nothing)


@pytest.mark.parametrize(("organism", "low", "high"), [("rl", 0.9, 1.0), ("null", 0.0, 0.1)])
def test_what_tuning_did_to_another_pair_brings_base_to_do_it(organism: str, low: float, high: float) -> None:
    """Four checkpoints of one tokenizer: choosing carries over to a base of another seed, and nothing does not."""
    pair, small = load_pair("organism:base", "organism:rl"), load_pair("organism:base@1", f"organism:{organism}@1")
    task = organism_task("rl", n=30)
    arm = emulated_arm(pair, task, small)
    right = [
        task.grade(problem, pair.text(text.completion.tokens)).strict
        for problem, text in zip(task.problems, arm.texts(), strict=True)
    ]
    assert low <= sum(right) / len(right) <= high
    assert arm.name == "base + 1 (small tuned - small base)"


def test_mixed_tokenizers_are_named(tiny_pair: Callable[[str], Pair]) -> None:
    pair = tiny_pair("llama")
    renumbered = copy.deepcopy(pair.tokenizer)
    renumbered.add_tokens(["unheard"])
    longer = replace(pair, tokenizer=renumbered)
    with pytest.raises(
        ValueError, match="have different tokenizers: they cut 'unheard' into the tokens .* and .*, so g"
    ):
        small_models(pair, longer)


def test_what_cannot_be_added_up_is_refused(tiny_pair: Callable[[str], Pair]) -> None:
    pair = tiny_pair("llama")
    with pytest.raises(ValueError, match="there is no model small base, small tuned; there are base, tuned"):
        write_by_sum(pair, PROMPTS, emulated(), max_new_tokens=2)
    with pytest.raises(ValueError, match="at least one has to be other than 0"):
        write_by_sum(pair, PROMPTS, {"base": 0.0}, max_new_tokens=2)


def test_another_vocabulary_is_refused(tiny_pair: Callable[[str], Pair]) -> None:
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    other = LlamaForCausalLM(LlamaConfig(vocab_size=70, **shape))
    with pytest.raises(ValueError, match="the models have vocabularies of .*; logits add up over one vocabulary"):
        write_by_sum(
            tiny_pair("llama"), PROMPTS, {"base": 1.0, "other": 1.0}, max_new_tokens=2, others={"other": other}
        )
