import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from interp.tasks.text import QUESTION, readings, text_task

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def lines(*rows: Any) -> Path:
        path = tmp_path / "sums.jsonl"
        path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
        return path

    return lines


def sums(n: int) -> list[dict[str, Any]]:
    return [{"id": f"s{i}", "prompt": f"{i} + 1 =", "answer": i + 1} for i in range(n)]


def test_problems_practice_and_facts_are_told_apart(write: Write) -> None:
    fact = {"id": "f", "question": "Capital of France?", "answer": "Paris", "fact": True}
    task = text_task(write(*sums(30), "", fact))
    assert task.name == "sums"
    assert (len(task.problems), len(task.practice), len(task.facts)) == (20, 10, 1)
    assert task.facts[0].prompt == QUESTION.format(question="Capital of France?")
    assert task.problems[0].prompt.endswith("+ 1 =")
    assert task.grade(task.problems[0], f"#### {task.problems[0].answer}").strict


def test_the_split_hangs_on_ids_and_not_on_the_order_of_lines(write: Write) -> None:
    one = text_task(write(*sums(30)))
    other = text_task(write(*reversed(sums(30))))
    assert {p.id for p in one.practice} == {p.id for p in other.practice}


def test_the_file_may_say_what_is_practice(write: Write) -> None:
    task = text_task(write(*({**row, "practice": i < 4} for i, row in enumerate(sums(6)))))
    assert [p.id for p in task.problems] == ["s4", "s5"]


def test_n_keeps_some_of_the_same_problems(write: Write) -> None:
    path = write(*sums(60))
    few, more = text_task(path, n=5), text_task(path, n=15)
    assert len(few.problems) == 5
    assert {p.id for p in few.problems} < {p.id for p in more.problems}
    assert not {p.id for p in more.problems} & {p.id for p in few.practice}


GOOD = {"id": "a", "prompt": "1 + 1 =", "answer": "2"}


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], r"sums.jsonl has no problems; write one JSON object a line"),
        ([GOOD, '{"id": '], r"sums.jsonl, line 2: not JSON \(Expecting value at column 8\)"),
        ([GOOD, "[1]"], r"line 2: a list, not an object"),
        ([{"id": "a", "prompt": "?"}], r"line 1: the key 'answer' is missing"),
        ([{"id": "a", "answer": "2"}], r"line 1: neither of 'prompt' and 'question'"),
        ([{**GOOD, "question": "?"}], r"line 1: both of 'prompt' and 'question'"),
        ([{**GOOD, "prompt": "  "}], r"line 1: 'prompt' is empty"),
        ([{**GOOD, "prompt": 5}], r"line 1: 'prompt' is 5; give a string"),
        ([{**GOOD, "prompt": "\ud800"}], r"line 1: 'prompt' holds half a character"),
        ([{**GOOD, "fact": "yes"}], r"line 1: 'fact' is 'yes'; give true or false"),
        ([GOOD, "", GOOD], r"line 3: the id 'a' is that of line 1 too"),
        ([{**GOOD, "spans": {}}], r"line 1: 'spans' is \{\}; give a list"),
        (
            [{**GOOD, "text": "abc", "spans": [{"start": 0, "end": 4, "strategy": "s"}]}],
            r"0 to 4 lies outside 'text', which has 3",
        ),
        (
            [{**GOOD, "text": "abc", "spans": [{"start": 0, "end": 2}]}],
            r"needs 'start' and 'end' in characters and a 'strategy'",
        ),
        (
            [{**GOOD, "text": "abc", "spans": [{"start": s, "end": s + 2, "strategy": "s"} for s in (1, 0)]}],
            r"the span from 1 starts before the one from 0 ends, at 2",
        ),
        ([{**GOOD, "fact": True}], r"task 'sums' has no problems"),
    ],
)
def test_bad_input_is_named_by_file_and_line(write: Write, rows: list[Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        text_task(write(*rows))


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b'\n{"id": "caf\xe9"}\n')
    with pytest.raises(ValueError, match=r"latin.jsonl, line 2: not UTF-8 at byte 12"):
        text_task(path)


def byte_level_tokenizer(text: str) -> PreTrainedTokenizerFast:
    """Words with the blank before them, as in GPT-2 and Qwen; `<s>` goes in front."""
    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words = dict.fromkeys(["<s>", *(piece for piece, _ in split.pre_tokenize_str(text))])
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<s>"))
    tokenizer.pre_tokenizer = split
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def test_spans_become_labels_token_by_token(write: Write) -> None:
    text = " Let us add. Wait, so two"
    spans = [{"start": 1, "end": 12, "strategy": "forward"}, {"start": 13, "end": 18, "strategy": "doubt"}]
    task = text_task(write({**GOOD, "text": text, "spans": spans}))
    (reading,) = readings(task, byte_level_tokenizer(GOOD["prompt"] + text))
    got = [(label.strategy, label.role, label.stretch) for label in reading.labels]
    assert got == [
        *[("none", "prompt", -1)] * 5,  # <s> 1 + 1 =
        ("forward", "opener", 0),  # the token " Let" starts one character before its span
        *[("forward", "text", 0)] * 3,
        ("doubt", "opener", 1),
        ("doubt", "text", 1),
        *[("none", "text", -1)] * 2,
    ]
    assert task.openers == ("Let", "Wait,")


def test_a_word_that_stands_elsewhere_as_well_opens_nothing(write: Write) -> None:
    spans = [{"start": 0, "end": 11, "strategy": "s"}]
    task = text_task(write({**GOOD, "text": "so we do so and so", "spans": spans}))
    assert task.openers == ()
