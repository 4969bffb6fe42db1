r"""Stated rules that read an answer out of a text. Which one is used can decide a claim, so they stand side by side."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from interp.tasks.grading import grade_text, stated_form
from interp.tasks.task import Problem

_LONGEST = 120
"""Characters beyond which what stands between two signs is no answer."""
_NUMBER = re.compile(r"(?<![\d.])-?\d[\d,]*(?:\.\d+)?(?:/\d+)?")
_BOXED = re.compile(r"\\boxed\{")
_MATHS = re.compile(r"\$([^$\n]+)\$|\\\((.+?)\\\)|\*\*([^*\n]+)\*\*")
_ANSWER = re.compile(r"####[ \t]*([^\n]+)|\banswer(?:[ \t]+is|:)[ \t]*:?[ \t]*([^\n]+)", re.IGNORECASE)
_CONCLUDES = re.compile(r"[\s\d.*-]*(?:therefore|thus|hence|so|in total|in conclusion|in summary)\b", re.IGNORECASE)
_COMES_TO = re.compile(r"=|\b(?:is|are|was|were|has|have|had|equals|get|gives|spent|cost|costs)\b")
_SENTENCE = re.compile(r"[^\n]+?(?:[.!?](?=\s|$)|\n|$)")
_NEW_TURN = re.compile(
    r"You are an AI|<\|[^|\n]*\|>|\n\s*(?:Question|Q|Problem|Human|User|Instruction|Exercise)\s*\d*\s*[:.]|\n###(?!#)"
)
_REPEATED = 3
"""How often a line has to come for the text to be going in circles from there on."""


@dataclass(frozen=True)
class Rule:
    """A way to read answers: the text counts as right if one of those it `finds` is the gold answer.

    `finds(question, text)` returns them in the text's order, none where the text does not parse; `says` is its rule.
    """

    name: str
    says: str
    finds: Callable[[str, str], tuple[str, ...]]


def runs_on(question: str, text: str) -> int | None:
    """The character from which the text no longer answers: a new turn, the question again, or a line's third coming.

    The question again counts once something was answered: before, a text may well repeat it. None where the text ends
    as it should.
    """
    starts = [found.start() for found in [_NEW_TURN.search(text)] if found]
    opening = question.strip()[:60]
    if len(opening) >= 20:
        again = [found.start() for found in re.finditer(re.escape(opening), text)]
        starts += [place for place in again if _answers(text[:place]) or _conclusions(text[:place])][:1]
    seen: dict[str, int] = {}
    place = 0
    for line in text.split("\n"):
        key = line.strip()
        seen[key] = seen.get(key, 0) + (len(key) >= 20)
        if seen[key] == _REPEATED:
            starts.append(place)
            break
        place += len(line) + 1
    return min(starts, default=None)


def is_cut(text: str) -> bool:
    """Whether the text stops in the middle of a sentence; a guess for logs that do not say why a text ended."""
    return bool(text.strip()) and not text.rstrip().endswith((".", "!", "?", ")", "]", "}", "*", "`", '"', "$", "”"))


def last_number(_question: str, text: str) -> tuple[str, ...]:
    """The last number of the whole text."""
    return tuple(_numbers(text)[-1:])


def final_form(_question: str, text: str) -> tuple[str, ...]:
    r"""The last `\boxed{...}`, or what follows the last `####`: the forms that a prompt asks for."""
    boxed = _boxed(text)
    marked = text.rsplit("####", 1)[1].strip().split("\n")[0] if "####" in text else ""
    return tuple(filter(None, [boxed[-1] if boxed else marked]))


def stated(_question: str, text: str) -> tuple[str, ...]:
    """The last stated form ("boxed", "####", "the answer is"), what the last concluding sentence comes to, or the last.

    A stated form in words ("the answer is correct") counts only where no concluding sentence comes to a value.
    """
    form = stated_form(text)
    if form and (rf"\boxed{{{form}" in text or _bare(form)):
        return (form,)
    last = [found.group() for found in _SENTENCE.finditer(text)][-1:]
    values = [_value(form or ""), *_conclusions(text)[-1:], *map(_value, last), form or ""]
    return tuple([value for value in values if value][:1])


def any_stated(question: str, text: str) -> tuple[str, ...]:
    """Every answer stated before the text runs on, by any of the forms; what follows is about something else."""
    kept = text[: runs_on(question, text)]
    last = [value for found in _SENTENCE.finditer(kept) if (value := _value(found.group()))][-1:]
    return tuple(dict.fromkeys([*_answers(kept), *_conclusions(kept), *last]))


RULES = (
    Rule("final form", r"the last \boxed{...}, or what follows the last ####; nothing else counts", final_form),
    Rule("stated answer", "the last boxed or stated answer, or what the last concluding sentence comes to", stated),
    Rule("last number", "the last number of the text, whatever it is about", last_number),
    Rule("any stated", "one of the answers stated before the text runs on is right", any_stated),
)


def is_right(gold: str, found: str) -> bool:
    """Whether a found answer is the gold one: the same string, number, or value by math-verify."""
    if (here := _number(found)) is not None and (there := _number(gold)) is not None:
        return here == there
    return grade_text(Problem("", "", gold), rf"\boxed{{{found}}}").strict


def gold_answer(answer: str) -> str:
    """What counts as gold: after the last `####` of a worked solution (GSM8K), else the answer as it stands."""
    gold = answer.rsplit("####", 1)[-1].strip()
    if not gold:
        raise ValueError(f"the gold answer {answer[-60:]!r} ends in nothing; write the answer after the ####")
    return gold


def _conclusions(text: str) -> list[str]:
    """The value of every sentence that concludes, in order."""
    sentences = [found.group() for found in _SENTENCE.finditer(text) if _CONCLUDES.match(found.group())]
    return [value for sentence in sentences if (value := _value(sentence))]


def _answers(text: str) -> list[str]:
    r"""Every `\boxed{...}`, and what every `####`, "answer is" and "answer:" is followed by."""
    after = [re.split(r"[.!?](?:\s|$)", next(filter(None, found.groups())))[0] for found in _ANSWER.finditer(text)]
    return [*_boxed(text), *(value for phrase in after if (value := _value(phrase)))]


def _value(phrase: str) -> str:
    """What a phrase comes to; "" without a number in it.

    Its last formula, right of its last equals sign; else the first number after its last verb or equals sign; else its
    last number. Two dollar signs around words are money.
    """
    maths = [next(filter(None, found.groups()), "").strip() for found in _MATHS.finditer(phrase)]
    of_value = [part for part in maths if re.search(r"\d", part) and len(part) <= _LONGEST and _bare(part)]
    if of_value:
        return of_value[-1].rsplit("=", 1)[-1].strip()
    tail = phrase[max((found.end() for found in _COMES_TO.finditer(phrase)), default=len(phrase)) :]
    return next(iter([*_numbers(tail)[:1], *_numbers(phrase)[-1:]]), "")


def _bare(form: str) -> bool:
    """Whether a form is an answer by itself, and not a number in a sentence or no number at all."""
    return bool(re.search(r"\d", form)) and not re.search(r"(?<![\\a-z{])[A-Za-z]{3,}", form)


def _numbers(text: str) -> list[str]:
    r"""Every number of the text, thousands set as `20,\!000` or `20{,}000` included."""
    return [found.rstrip(",") for found in _NUMBER.findall(text.replace(r",\!", ",").replace("{,}", ","))]


def _boxed(text: str) -> list[str]:
    r"""The insides of every `\boxed{...}` whose braces close, in order."""
    found = []
    for start in (match.end() for match in _BOXED.finditer(text)):
        depth = 1
        for end in range(start, min(len(text), start + _LONGEST)):
            depth += (text[end] == "{") - (text[end] == "}")
            if depth == 0:
                found.append(text[start:end].strip())
                break
    return [inside for inside in found if inside]


def _number(text: str) -> float | None:
    """The text as a plain number, thousands and a currency sign aside; None where it is anything else."""
    bare = re.sub(r"\\[!,;$%]|[$,\s]", lambda sign: "%" if sign.group() == r"\%" else "", text)
    return float(bare) if re.fullmatch(r"-?\d+(?:\.\d+)?", bare) else None
