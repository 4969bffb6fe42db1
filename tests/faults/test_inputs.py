"""Texts and numbers that a user may bring."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from interp.decoding import decode, greedy
from interp.pair import Pair
from interp.tasks.text import text_task

STRANGE = {
    "zero": "a\0b",
    "right to left": "\u202eabc \u05e2\u05d1\u05e8\u05d9\u05ea",
    "joined": "\U0001f469\u200d\U0001f52c \U0001f3f3\ufe0f\u200d\U0001f308",
    "accents": "e\u0301\u0301\u0301 \ufeff\u200b",
    "markup": "</script><script>alert(1)</script>",
    "lines": "a\r\nb\u2028c",
}


def write(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_strange_characters_reach_the_models_as_they_are(tmp_path: Path, tiny_pair: Callable[[str], Pair]) -> None:
    rows = [{"id": name, "prompt": text, "answer": "1"} for name, text in STRANGE.items()]
    task = text_task(write(tmp_path / "strange.jsonl", *rows))
    assert {p.id: p.prompt for p in (*task.problems, *task.practice)} == STRANGE
    pair = tiny_pair("llama")
    prompts = [pair.encode(text) for text in STRANGE.values()]
    done = decode({"base": pair.base}, prompts, greedy("base"), max_new_tokens=2, stop=pair.stop_ids)
    assert len(done) == len(STRANGE)


@pytest.mark.parametrize("token", [64, -1, 10**6])
def test_a_token_that_the_model_does_not_have_is_no_other_token(tiny_pair: Callable[[str], Pair], token: int) -> None:
    with pytest.raises(IndexError, match="index out of range"):
        decode({"base": tiny_pair("llama").base}, [[1, token]], greedy("base"), max_new_tokens=1, stop=())


def test_questions_that_are_asked_again_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("interp"), "propagate", True)
    rows = [{"id": str(i), "prompt": f"{i % 4} + 1 =", "answer": "1"} for i in range(6)]
    text_task(write(tmp_path / "sums.jsonl", *rows[:4]))
    assert caplog.messages == []
    text_task(write(tmp_path / "sums.jsonl", *rows))
    (told,) = set(caplog.messages)  # noted once more where another test has given the logger a handler
    assert told.startswith("sums.jsonl asks 2 of its 6 questions again ('0 + 1 =' stands there 2 times); each counts")


def test_a_line_of_brackets_is_refused(tmp_path: Path) -> None:
    (tmp_path / "deep.jsonl").write_text("[" * 200_000)
    with pytest.raises(ValueError, match=r"deep.jsonl, line 1: brackets within brackets too deep to read"):
        text_task(tmp_path / "deep.jsonl")
