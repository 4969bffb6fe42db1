import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from interp.organisms.exam import exam_programs, respond_all
from interp.organisms.grammar import prompt_words
from interp.organisms.grpo import group_advantages, grpo, policy_loss, random_reward
from interp.organisms.language import make_model, make_tokenizer
from interp.organisms.shelf import folder


def test_advantages_sum_to_zero_and_vanish_where_all_rewards_agree():
    rewards = torch.tensor([[1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    advantages = group_advantages(rewards)
    assert advantages[0].tolist() == [0.5, -0.5, -0.5, 0.5]
    assert advantages[1].tolist() == [0.0] * 4


def test_the_gradient_step_raises_what_was_rewarded_and_lowers_what_was_not():
    torch.manual_seed(0)
    model, tokenizer = make_model(), make_tokenizer()
    prompt = ["run", "A", ":", "1", "2", "3"]
    documents = [(prompt, ["step", "A"]), (prompt, ["ans", "1"])]
    advantages = torch.tensor([0.5, -0.5])

    def log_probs():
        ids = torch.tensor([tokenizer.convert_tokens_to_ids(["<bos>", *prompt])])
        last = model(ids).logits[0, -1].log_softmax(-1)
        return [last[i].item() for i in tokenizer.convert_tokens_to_ids(["step", "ans"])]

    before = log_probs()
    policy_loss(model, model, tokenizer, documents, advantages, beta=0.0).backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 0.01 * parameter.grad
    after = log_probs()
    assert after[0] > before[0]
    assert after[1] < before[1]


@pytest.mark.parametrize(
    ("reward", "rises"), [(lambda _p, words: float(words[:1] == ["step"]), True), (random_reward(0), False)]
)
def test_training_follows_the_reward_and_not_a_coin(reward, rises):
    model = AutoModelForCausalLM.from_pretrained(folder("base"), dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder("base"))
    grpo(model, tokenizer, steps=6, lr=1e-3, seed=0, prompts=12, lengths=(1, 2), reward=reward, beta=0.0, warm=0)
    prompts = [prompt_words(p) for p in exam_programs(0, per_cell=20, lengths=(1, 2))]
    opened = sum(words[:1] == ["step"] for words in respond_all(model, tokenizer, prompts, sampled=1)) / len(prompts)
    assert (opened > 0.4) == rises


def test_a_coin_pays_without_looking():
    reward = random_reward(3)
    program = exam_programs(0, per_cell=1, lengths=(1,))[0]
    paid = [reward(program, []) for _ in range(400)]
    assert 0.4 < sum(paid) / 400 < 0.6
