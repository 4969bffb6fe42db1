"""Is a free-text response right? A strict rule reads the form asked for, a flexible one takes what it finds."""

import functools
import importlib.metadata
import logging
import re
import threading
import unicodedata
from typing import Any

from interp.tasks.task import Grade, Problem

_LONGEST = 300
"""Characters beyond which a stated form is no answer; also keeps the algebra from running away in a thread."""
_NUMBER = re.compile(r"(?<![\d.])-?\d[\d,]*(?:\.\d+)?(?:/\d+)?")
_ANSWER_IS = re.compile(r"answer is:?\s*", re.IGNORECASE)


def grade_text(problem: Problem, response: str) -> Grade:
    r"""Strict: the final stated form is the gold answer. Flexible: the gold answer is the last thing found.

    The stated form is the last `\boxed{...}`; without one, what follows the last `####`; without that, what
    follows the last "answer is" to the end of its sentence. A gold answer that holds a digit or a LaTeX command is
    mathematics and compared by math-verify ("1/2" is "0.5" is "50%"); any other has to be the same string but for
    case, spacing and closing punctuation. The flexible rule accepts also the last number, what math-verify reads
    out of the whole response, or, for a gold answer in words, its mention in the last line.
    """
    return _grade(problem.answer, response)


def grader() -> dict[str, str]:
    """The name and versions under which grades by this file are recorded."""
    return {"grader": "interp.tasks.grading 1", "math-verify": importlib.metadata.version("math-verify")}


def stated_form(response: str) -> str | None:
    """What the response states as its final answer, or None where it has none of the three forms."""
    form = _last_boxed(response)
    if form is None and "####" in response:
        form = response.rsplit("####", 1)[1].strip().split("\n")[0]
    if form is None:
        found = list(_ANSWER_IS.finditer(response))
        form = re.split(r"\n|[.!?](?:\s|$)", response[found[-1].end() :])[0] if found else None
    return form.strip() if form is not None and len(form) <= _LONGEST else None


@functools.lru_cache(maxsize=20_000)
def _grade(answer: str, response: str) -> Grade:
    form = stated_form(response)
    strict = form is not None and _same(answer, form)
    return Grade(strict=strict, flexible=strict or _found(answer, response))


def _same(answer: str, form: str) -> bool:
    if _normal(answer) == _normal(form):
        return True
    return _is_mathematics(answer) and _equal(answer, rf"\boxed{{{form}}}")


def _found(answer: str, response: str) -> bool:
    if not _is_mathematics(answer):
        lines = [line for line in response.split("\n") if line.strip()]
        return bool(lines) and f" {_words(answer)} " in f" {_words(lines[-1])} "
    numbers = _NUMBER.findall(response)
    return (bool(numbers) and _same(answer, numbers[-1].rstrip(","))) or _equal(answer, response)


def _equal(answer: str, text: str) -> bool:
    """Whether math-verify reads the same value out of the text; its timeouts need the main thread."""
    math_verify = _math_verify()
    seconds = 5 if threading.current_thread() is threading.main_thread() else None
    gold = math_verify.parse(rf"\boxed{{{answer}}}", parsing_timeout=seconds)
    found = math_verify.parse(text, parsing_timeout=seconds)
    return bool(gold and found and math_verify.verify(gold, found, timeout_seconds=seconds))


@functools.cache
def _math_verify() -> Any:
    import math_verify

    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns once that threads have no timeouts
    return math_verify


def _is_mathematics(answer: str) -> bool:
    return bool(re.search(r"[\d\\]", answer))


def _normal(text: str) -> str:
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text)).strip(" .,;:!?$*\"'`").casefold()


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", _normal(text)))


def _last_boxed(text: str) -> str | None:
    r"""The inside of the last `\boxed{...}` whose braces close."""
    start = text.rfind(r"\boxed{")
    while start >= 0:
        depth = 0
        for end in range(start + len(r"\boxed"), len(text)):
            depth += (text[end] == "{") - (text[end] == "}")
            if depth == 0:
                return text[start + len(r"\boxed{") : end]
        start = text.rfind(r"\boxed{", 0, start)
    return None
