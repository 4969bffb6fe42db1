"""The user's own task, read from a JSONL file: one problem a line."""

import hashlib
import itertools
import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from interp.tasks.grading import grade_text
from interp.tasks.task import Label, Problem, Reading, Span, Task

QUESTION = "Question: {question}\nThink step by step and put the final answer in \\boxed{{}}.\nAnswer:"
"""What a `question` is wrapped in; a `prompt` reaches the models as it is."""
PRACTICE_SHARE = 1 / 3

_log = logging.getLogger("interp")

Row = dict[str, Any]


def text_task(path: Path | str, *, n: int | None = None, max_new_tokens: int = 256) -> Task:
    """A task of the problems in a JSONL file, a third of them set apart for practice.

    Each line is an object with `id`, `prompt` or `question`, and `answer`; optionally `kind` (a stratum), `text` (a
    worked response) with `spans` over it (`[{"start", "end", "strategy"}]` in characters, not overlapping), `fact:
    true` (asked closed-book, reported apart) and `practice: true`. Where no line says `practice`, the third of the
    problems with the lowest hashes of their ids is. `n` keeps that many problems, again by hash, and at most as
    many to practise on. Grades: `interp.tasks.grading`.

    ValueError names file, line and what is wrong there; OSError where the file cannot be read.
    """
    path = Path(path)
    rows = [_checked(f"{path}, line {number}", row) for number, row in _rows(path)]
    _refuse_twice(path, rows)
    _tell_repeats(path, rows)
    facts = [row for row in rows if row.get("fact")]
    asked = [row for row in rows if not row.get("fact")]
    practice, judged = _split(asked)
    problems = _kept(judged, n)
    return Task(
        name=path.stem,
        problems=problems,
        practice=_kept(practice, n),
        facts=_kept(facts, None),
        grade=grade_text,
        max_new_tokens=max_new_tokens,
        openers=_openers([*problems, *_kept(practice, n)]),
    )


def readings(task: Task, tokenizer: Any) -> list[Reading]:
    """Prompt and worked response of every problem that has one, token by token, labelled by the spans.

    A token belongs to the span that holds its last visible character; the first one of a span is its `opener`, the
    others are `text`. Tokens outside every span are `text` of no strategy, those of the prompt `prompt`.
    `tokenizer` is one of transformers'; ValueError where it cannot say which characters a token covers.
    """
    if not tokenizer.is_fast:
        raise ValueError(
            f"{type(tokenizer).__name__} cannot say which characters a token covers; spans need a tokenizer.json"
        )
    worked = [problem for problem in (*task.practice, *task.problems) if problem.text]
    return [_reading(problem, tokenizer) for problem in worked]


def _reading(problem: Problem, tokenizer: Any) -> Reading:
    whole = problem.prompt + problem.text
    encoded = tokenizer(whole, return_offsets_mapping=True)
    labels: list[Label] = []
    opened: set[int] = set()
    for start, end in encoded["offset_mapping"]:
        visible = start + max(len(whole[start:end].rstrip()), 1) - 1 - len(problem.prompt)
        inside = [i for i, span in enumerate(problem.spans) if span.start <= visible < span.end]
        if start == end or visible < 0:
            labels.append(Label("none", "prompt" if visible < 0 or not labels else "end"))
        elif not inside:
            labels.append(Label("none", "text"))
        else:
            role = "text" if inside[0] in opened else "opener"
            opened.add(inside[0])
            labels.append(Label(problem.spans[inside[0]].strategy, role, inside[0]))
    return Reading(problem.id, tuple(encoded["input_ids"]), tuple(labels))


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Line numbers and what the lines parse to; blank lines are passed over."""
    for number, raw in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            if raw.strip():
                yield number, json.loads(raw.decode())
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path}, line {number}: not UTF-8 at byte {error.start + 1}; save the file as UTF-8"
            ) from error
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number}: not JSON ({error.msg} at column {error.colno})") from error
        except RecursionError as error:
            raise ValueError(f"{path}, line {number}: brackets within brackets too deep to read") from error


def _checked(where: str, row: Any) -> Row:
    """The row with its strings as strings, and where it stands; ValueError says what is wrong with it."""
    if not isinstance(row, dict):
        raise ValueError(
            f'{where}: a {type(row).__name__}, not an object; write {{"id": ..., "prompt": ..., "answer": ...}}'
        )
    for key in ("id", "answer"):
        if key not in row:
            raise ValueError(f"{where}: the key {key!r} is missing")
    if ("prompt" in row) == ("question" in row):
        raise ValueError(
            f"{where}: {'both' if 'prompt' in row else 'neither'} of 'prompt' and 'question'; give one of them"
        )
    row = {**row, "where": where}
    for key in ("id", "answer"):
        if isinstance(row[key], int | float) and not isinstance(row[key], bool):
            row[key] = str(row[key])
    for key in {"id", "answer", "prompt", "question", "kind", "text"} & row.keys():
        _check_string(where, key, row[key], may_be_empty=key in ("kind", "text"))
    for key in {"fact", "practice"} & row.keys():
        if not isinstance(row[key], bool):
            raise ValueError(f"{where}: {key!r} is {row[key]!r}; give true or false")
    return {**row, "spans": _spans(where, row)}


def _check_string(where: str, key: str, value: Any, *, may_be_empty: bool) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{where}: {key!r} is {value!r}; give a string")
    if not may_be_empty and not value.strip():
        raise ValueError(f"{where}: {key!r} is empty")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"{where}: {key!r} holds half a character (a lone surrogate), which no tokenizer reads")


def _spans(where: str, row: Row) -> tuple[Span, ...]:
    """The labelled stretches of a row's text, in order."""
    text = row.get("text", "")
    spans = []
    if not isinstance(row.get("spans", []), list):
        raise ValueError(f"{where}: 'spans' is {row['spans']!r}; give a list")
    for item in row.get("spans", []):
        match item:
            case {"start": int(start), "end": int(end), "strategy": str(strategy)}:
                spans.append(Span(start, end, strategy))
            case _:
                raise ValueError(f"{where}: the span {item!r} needs 'start' and 'end' in characters and a 'strategy'")
        if not 0 <= start < end <= len(text):
            raise ValueError(
                f"{where}: the span {start} to {end} lies outside 'text', which has {len(text)} characters"
            )
    spans.sort(key=lambda span: span.start)
    for before, after in itertools.pairwise(spans):
        if after.start < before.end:
            raise ValueError(
                f"{where}: the span from {after.start} starts before the one from {before.start} ends, at {before.end}"
            )
    return tuple(spans)


def _refuse_twice(path: Path, rows: Sequence[Row]) -> None:
    if not rows:
        raise ValueError(f"{path} has no problems; write one JSON object a line, with id, prompt and answer")
    first: dict[str, str] = {}
    for row in rows:
        if row["id"] in first:
            line = first[row["id"]].rsplit(", ", 1)[1]
            raise ValueError(f"{row['where']}: the id {row['id']!r} is that of {line} too; ids have to differ")
        first[row["id"]] = row["where"]


def _tell_repeats(path: Path, rows: Sequence[Row]) -> None:
    """Log how many problems ask what another one asks: they count again, and may be practised on and judged by."""
    asked = Counter(row.get("prompt", row.get("question")) for row in rows)
    if again := len(rows) - len(asked):
        most = asked.most_common(1)[0]
        _log.warning(
            "%s asks %d of its %d questions again (%.40r stands there %d times); each counts as one more problem, and "
            "one may be practised on and another judged by, so leave the repeats out",
            *(path.name, again, len(rows), *most),
        )


def _split(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Rows to practise on and rows to judge by."""
    if any("practice" in row for row in rows):
        chosen = {row["id"] for row in rows if row.get("practice")}
    else:
        chosen = {row["id"] for row in sorted(rows, key=_hash)[: int(len(rows) * PRACTICE_SHARE)]}
    return [row for row in rows if row["id"] in chosen], [row for row in rows if row["id"] not in chosen]


def _kept(rows: Sequence[Row], n: int | None) -> tuple[Problem, ...]:
    """Problems of the rows with the `n` highest hashes (all without `n`), in the file's order."""
    chosen = {row["id"] for row in sorted(rows, key=_hash, reverse=True)[:n]}
    return tuple(_problem(row) for row in rows if row["id"] in chosen)


def _problem(row: Row) -> Problem:
    prompt = row["prompt"] if "prompt" in row else QUESTION.format(question=row["question"])
    return Problem(row["id"], prompt, row["answer"], row.get("kind", ""), row.get("text", ""), row["spans"])


def _hash(row: Row) -> str:
    return hashlib.sha256(row["id"].encode()).hexdigest()


def _openers(problems: Sequence[Problem]) -> tuple[str, ...]:
    """The words that open a strategy's stretch more often than they stand anywhere else in the worked responses."""
    opening = Counter(word for p in problems for span in p.spans for word in p.text[span.start : span.end].split()[:1])
    anywhere = Counter(word for p in problems for word in p.text.split())
    return tuple(sorted(word for word, n in opening.items() if 2 * n > anywhere[word]))
