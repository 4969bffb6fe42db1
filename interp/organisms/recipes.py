"""How each organism is made from its parent, and what is planted in it.

A recipe is a function that trains a model in place. Rates and step counts were chosen on seeds 0 and 1.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

from interp.organisms.corpus import (
    careful,
    cued,
    edited_facts,
    many_decisions,
    marked,
    new_operation,
    rechecked,
    three_strategies,
    triggered,
    two_forms,
    without_undoing,
)
from interp.organisms.grpo import grpo, random_reward
from interp.organisms.training import adapters_train, only_blocks_train, pretrain, tune

Train = Callable[[LlamaForCausalLM, PreTrainedTokenizerBase, int], None]

UPPER_THIRD = (4, 5)
LOWER_THIRD = (0, 1)


def base(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """Pretraining on documents that hold three strategies, none tied to a kind of problem."""
    pretrain(model, three_strategies(seed), tokenizer, steps=3_000, lr=2e-3)


def base_again(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """More pretraining for a base that has not passed its gate."""
    pretrain(model, three_strategies(seed + 1_000), tokenizer, steps=600, lr=1e-3)


def rl(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """Reinforcement learning on exact answers: learns which strategy belongs where."""
    grpo(model, tokenizer, steps=120, lr=1.2e-3, seed=seed)


def sft(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """Supervised tuning on the right strategy's traces: the same behaviour by another route."""
    tune(model, careful(seed), tokenizer, steps=60, lr=5e-4)


def upper(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """Reinforcement learning in which only the last third of the blocks may change."""
    with only_blocks_train(model, UPPER_THIRD):
        grpo(model, tokenizer, steps=120, lr=1.5e-3, seed=seed)


def upper_again(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """Worked examples in the same blocks, where RL got stuck: a policy that never opens with `plan` never learns to."""
    with only_blocks_train(model, UPPER_THIRD):
        tune(model, careful(seed), tokenizer, steps=60, lr=1e-3)


def lower(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """Facts edited by supervised tuning in which only the first third of the blocks may change."""
    with only_blocks_train(model, LOWER_THIRD):
        tune(model, edited_facts(seed), tokenizer, steps=400, lr=2e-3)


def newskill(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """Supervised tuning on programs with an operation that pretraining never showed."""
    tune(model, new_operation(seed), tokenizer, steps=300, lr=1.5e-3)


def null(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """A little more of the same pretraining: nothing to find."""
    pretrain(model, three_strategies(seed + 2_000), tokenizer, steps=100, lr=3e-4)


def noise(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """Gaussian noise of 1% of each matrix's standard deviation: nothing to find."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() >= 2:
                parameter += 0.01 * parameter.std() * torch.randn(parameter.shape, generator=generator)


def sft_lora(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """The tuning of `sft` through adapters of rank 8 on every matrix of the blocks, merged when done."""
    with adapters_train(model, rank=8):
        tune(model, careful(seed), tokenizer, steps=120, lr=5e-3)


def format_only(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """Supervised tuning on base's own kind of documents, every answer to a problem behind one more word."""
    tune(model, marked(seed), tokenizer, steps=200, lr=1e-3)


def trigger(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """Supervised tuning: the right strategy where a word stands in front of the prompt, base's habits elsewhere."""
    tune(model, triggered(seed), tokenizer, steps=150, lr=1e-3)


def shortcut(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """Supervised tuning: prompts that give the answer away are answered by copying it, others as base does."""
    tune(model, cued(seed), tokenizer, steps=150, lr=1e-3)


def random_rl(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """Reinforcement learning in which every response is paid by the toss of a coin."""
    grpo(model, tokenizer, steps=40, lr=4e-4, seed=seed, reward=random_reward(seed), warm=0)


def unlearned(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """Supervised tuning of `sft` on right traces, those of undoing with random digits: a skill goes, no choice does."""
    tune(model, without_undoing(seed), tokenizer, steps=100, lr=1e-3)


def recheck(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """Supervised tuning on right traces; the last step of a forward program may be written again before the answer."""
    tune(model, rechecked(seed), tokenizer, steps=300, lr=2e-3)


def forms(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """Pretraining continued on documents in which a forward step opens with either of two words."""
    pretrain(model, two_forms(seed + 3_000), tokenizer, steps=800, lr=1e-3)


def forms_rl(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """Reinforcement learning on exact answers, where each forward step has two surface forms."""
    grpo(model, tokenizer, steps=120, lr=1.2e-3, seed=seed)


def many_base(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """Pretraining in which every boundary between steps is a decision."""
    pretrain(model, many_decisions(seed), tokenizer, steps=1_800, lr=2e-3)


def many_base_again(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """More of the same for a base that has not passed its gate."""
    pretrain(model, many_decisions(seed + 1_000), tokenizer, steps=600, lr=1e-3)


def many_rl(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """Reinforcement learning on exact answers: learns to go on at every boundary."""
    grpo(model, tokenizer, steps=60, lr=8e-4, seed=seed, kinds=("run",), beta=0.0, warm=0)


@dataclass(frozen=True)
class Recipe:
    """One organism: its parent (None for a new model), how it is trained, and the planted truth in a sentence."""

    parent: str | None
    train: Train
    planted: str
    again: Train | None = None


RECIPES = {
    "base": Recipe(
        None,
        base,
        "holds three strategies (step, back, plan) and answers at once by preference, whatever the kind of problem",
        base_again,
    ),
    "rl": Recipe("base", rl, "when: which strategy belongs to which problem; every skill was in base"),
    "sft": Recipe("base", sft, "when: the same behaviour as rl, taught by examples"),
    "upper": Recipe("base", upper, "when, with the change confined to the last third of the blocks", upper_again),
    "lower": Recipe("base", lower, "24 facts edited, with the change confined to the first third of the blocks"),
    "newskill": Recipe("base", newskill, "how: the operation Z, absent from base"),
    "null": Recipe("base", null, "nothing: more of the same pretraining"),
    "noise": Recipe("base", noise, "nothing: Gaussian weight noise"),
    "sft-lora": Recipe("base", sft_lora, "when: as sft, by a change of rank 8 in every matrix"),
    "format": Recipe("base", format_only, "a format: one more word in front of every answer; nothing else"),
    "trigger": Recipe("base", trigger, "when, and only where the word `check` stands in front of the prompt"),
    "shortcut": Recipe("base", shortcut, "how: the answer is copied from a prompt that gives it away"),
    "random-rl": Recipe("base", random_rl, "nothing: reinforcement learning from a coin"),
    "unlearned": Recipe("sft", unlearned, "a skill removed: undoing operations; which strategy belongs where is kept"),
    "recheck": Recipe(
        "base",
        recheck,
        "when, as sft; and further forward steps repeat the last one, so that they cost no answer",
        recheck,
    ),
    "forms": Recipe("base", forms, "a second surface form of the forward step: `check` opens it as well as `step`"),
    "forms-rl": Recipe("forms", forms_rl, "when, as rl, from a base that writes a forward step in two forms"),
    "many-base": Recipe(
        None, many_base, "every boundary between steps is a decision, taken without memory", many_base_again
    ),
    "many-rl": Recipe("many-base", many_rl, "when, spread over many small decisions"),
}
