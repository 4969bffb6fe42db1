"""The tool writes results and nothing else."""

import pytest
import torch
from torch import Tensor

from interp.organisms.errands.language import make_model, make_tokenizer
from interp.organisms.errands.tool import owed, random_tool, with_tool
from interp.organisms.errands.trips import apply, digits
from interp.organisms.exam import respond_all


def test_the_tool_is_owed_after_a_call_and_for_two_words():
    first, second = digits(apply("C", (3, 1)))
    words = ["tool", "C", "A", ":", "3", "1", "call", "C", "="]
    assert owed(words) == first
    assert owed([*words, first]) == second
    assert owed([*words, first, second]) is None


@pytest.mark.parametrize(
    "words", ["tool C A : 3 1 call C", "tool C A : 3 1 do C =", "3 1 call ans =", "A : call C =", ""]
)
def test_nothing_is_owed_without_a_whole_call(words):
    assert owed(words.split()) is None


def test_a_model_that_only_calls_is_answered_by_the_tool():
    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    model = make_model().eval()
    script = tokenizer.convert_tokens_to_ids(["call", "C", "=", "0", "0", "call", "A", "=", "0", "0", "ans"])

    def only_calls(turn) -> Tensor:
        token = script[turn.written] if turn.written < len(script) else tokenizer.eos_token_id
        return torch.full((len(turn.prompts),), token)

    after_c = apply("C", (3, 1))
    want = ["call", "C", "=", *digits(after_c), "call", "A", "=", *digits(apply("A", after_c)), "ans", "<eos>"]
    prompt = ["tool", "C", "A", ":", "3", "1"]
    assert respond_all(model, tokenizer, [prompt], choose=with_tool(only_calls, tokenizer)) == [want]
    useless = respond_all(model, tokenizer, [prompt], choose=with_tool(only_calls, tokenizer, tool=random_tool(0)))[0]
    assert useless[:3] == want[:3] and useless != want
