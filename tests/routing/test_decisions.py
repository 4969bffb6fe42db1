from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from interp.organisms.language import VOCABULARY
from interp.pair import Pair
from interp.routing.decisions import openers, sentence_starts, task_decisions
from interp.tasks.task import Grade, Problem, Task

WORDS = (
    *("<unk>", "x", " is", ".", ".\n", "\n  ", "!", "?)", "3", "14"),
    *(" Then", "Wait", " wait", " there", "fore", ", "),
)
PROSE = {word: i for i, word in enumerate(WORDS)}


@pytest.fixture
def prose_pair(tiny_pair: Callable[[str], Pair]) -> Pair:
    """A pair whose tokenizer knows 16 pieces of prose; the models have logits for 64."""
    tokenizer = Tokenizer(models.WordPiece(PROSE, unk_token="<unk>", continuing_subword_prefix=""))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_next")
    return replace(tiny_pair("llama"), tokenizer=PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>"))


def decided(pair: Pair, written: list[str], token: str) -> bool:
    completion = torch.tensor([[PROSE[word] for word in written]], dtype=torch.long)
    return bool(sentence_starts(pair).made(completion, torch.tensor([PROSE[token]])))


@pytest.mark.parametrize(
    ("written", "token", "is_decision"),
    [
        ([], "x", True),  # nothing is written yet
        ([], "3", True),
        (["x", "."], " Then", True),
        (["x", ".\n"], " Then", True),
        (["x", "\n  "], "x", True),
        (["x", "\n  "], "3", True),  # a numbered line
        (["x", "!"], " Then", True),
        (["3", "."], "14", False),  # a decimal point
        (["x", " is"], "3", False),
        (["x", "."], "14", False),
        (["x", "?)"], " Then", False),
        ([".", "x"], " Then", False),
    ],
)
def test_a_sentence_starts(written: list[str], token: str, is_decision: bool, prose_pair: Pair) -> None:
    assert decided(prose_pair, written, token) is is_decision


def test_rows_are_decided_one_by_one(prose_pair: Pair) -> None:
    completion = torch.tensor([[PROSE["."]], [PROSE["x"]], [PROSE["."]], [63]])
    tokens = torch.tensor([PROSE[" Then"], PROSE[" Then"], PROSE["3"], 63])  # 63 is beyond the tokenizer
    assert sentence_starts(prose_pair).made(completion, tokens).tolist() == [True, False, False, False]


def test_an_opener_is_a_decision_wherever_it_is_written(tiny_pair: Callable[[str], Pair]) -> None:
    decisions = openers(tiny_pair("llama"), ["step", "ans"])
    every = torch.arange(64)
    for completion in (torch.zeros(64, 0, dtype=torch.long), torch.ones(64, 3, dtype=torch.long)):
        opening = decisions.made(completion, every)
        assert [VOCABULARY[i] for i in every[opening].tolist()] == ["step", "ans"]
    assert decisions.rule == "tokens that open a strategy: 'ans', 'step'"


def opening_tokens(pair: Pair, word: str) -> list[str]:
    opening = openers(pair, [word]).made(torch.zeros(64, 0, dtype=torch.long), torch.arange(64))
    return [WORDS[i] for i in opening.nonzero()[:, 0].tolist()]


def test_spaces_around_an_opener_do_not_matter(prose_pair: Pair) -> None:
    assert opening_tokens(prose_pair, "wait") == [" wait"]
    assert opening_tokens(prose_pair, "Wait") == ["Wait"]
    assert opening_tokens(prose_pair, ",") == [", "]


def test_an_opener_that_is_cut_counts_by_its_first_piece(prose_pair: Pair) -> None:
    assert prose_pair.words(prose_pair.tokenizer.encode(" therefore")) == [" there", "fore"]
    assert opening_tokens(prose_pair, "therefore") == [" there"]


def test_an_opener_that_cannot_be_read_is_refused(tiny_pair: Callable[[str], Pair]) -> None:
    with pytest.raises(ValueError, match="cannot read the opener 'hmm'"):
        openers(tiny_pair("llama"), ["step", "hmm"])


def test_a_task_without_openers_decides_at_sentences(tiny_pair: Callable[[str], Pair]) -> None:
    asked = (Problem("p", "run", "3"),)
    task = Task("t", asked, (), (), lambda _problem, _text: Grade(True, True), max_new_tokens=4)
    assert task_decisions(tiny_pair("llama"), task).rule == "first tokens of sentences and lines"
    assert "'back'" in task_decisions(tiny_pair("llama"), replace(task, openers=("back",))).rule
