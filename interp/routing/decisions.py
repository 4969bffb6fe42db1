"""Where a text decides how to go on: at words that open a strategy or, where none are known, as a sentence starts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from interp.pair import Pair
from interp.tasks.task import Task

_SENTENCE_ENDS = (".", "!", "?")


@dataclass(frozen=True)
class Decisions:
    """Which tokens, written where, are decisions: `rule` in words, `made` as a function.

    `made(completion, token)` says for every row whether writing this token after that completion is a decision.
    """

    rule: str
    made: Callable[[Int[Tensor, "batch written"], Int[Tensor, " batch"]], Bool[Tensor, " batch"]]


def task_decisions(pair: Pair, task: Task) -> Decisions:
    """The task's openers where it names any, else the first tokens of sentences and lines."""
    return openers(pair, task.openers) if task.openers else sentence_starts(pair)


def openers(pair: Pair, words: Sequence[str]) -> Decisions:
    """The tokens that read as one of `words`, wherever they are written; spaces around a token do not matter.

    A word that no token spells whole counts by the first token it is cut into. ValueError for a word that the
    tokenizer cannot read.
    """
    texts = [text.strip() for text in _vocabulary(pair)]
    known = set(texts)
    opening = sorted({word if word in known else _first_piece(pair, word) for word in words})
    opens = torch.tensor([text in opening for text in texts], device=pair.device)
    rule = f"tokens that open a strategy: {', '.join(map(repr, opening))}"
    return Decisions(rule, lambda _completion, token: opens[token])


def sentence_starts(pair: Pair) -> Decisions:
    """The first token of the text, of a line, and after a token that ends with `.`, `!` or `?`.

    A digit right after a full stop is no decision, the stop being a decimal point. Abbreviations count as ends of
    sentences.
    """
    vocabulary = _vocabulary(pair)

    def mask(holds: Callable[[str], bool]) -> Bool[Tensor, " d_vocab"]:
        return torch.tensor([holds(text) for text in vocabulary], device=pair.device)

    ends_line = mask(lambda text: "\n" in text[len(text.rstrip()) :])
    ends_sentence = mask(lambda text: text.rstrip().endswith(_SENTENCE_ENDS))
    starts_with_digit = mask(lambda text: text[:1].isdigit())

    def made(completion: Int[Tensor, "batch written"], token: Int[Tensor, " batch"]) -> Bool[Tensor, " batch"]:
        if completion.shape[1] == 0:
            return torch.ones_like(token, dtype=torch.bool)
        last = completion[:, -1]
        return ends_line[last] | (ends_sentence[last] & ~starts_with_digit[token])

    return Decisions("first tokens of sentences and lines", made)


def _vocabulary(pair: Pair) -> list[str]:
    """The text of every id that has a logit; ids beyond the tokenizer's vocabulary stand for nothing."""
    named = max(pair.tokenizer.get_vocab().values()) + 1
    return [*pair.words(range(named)), *[""] * (pair.d_vocab - named)]


def _first_piece(pair: Pair, word: str) -> str:
    """The first token that says something of a word in running text."""
    ids = pair.tokenizer.encode(f" {word}", add_special_tokens=False)
    pieces = [(i, text.strip()) for i, text in zip(ids, pair.words(ids), strict=True) if text.strip()]
    if not pieces or pieces[0][0] == pair.tokenizer.unk_token_id:
        raise ValueError(f"the tokenizer cannot read the opener {word!r}; name words that the models can write")
    return pieces[0][1]
