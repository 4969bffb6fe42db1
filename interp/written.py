"""What arms wrote, one row per problem, arm and sample: the table that every measure of behaviour reads.

Columns: `problem`, `kind`, `arm`, `sample` (0, 1, ...), `text`, `tokens` (ids where our decoder wrote, words where a
file was read), `answer` (what was read out of the text, "" where nothing was), `strict` and `flexible` (right?),
`reason` ("stop", "length", or "unknown" for files that do not say), `spans` (a list of `[start, end, strategy, true]`
in tokens, one per step, `true` None where it cannot be checked) and `stray` (tokens that no step holds and that the
task's parser does not know). A measure may ask for more columns, each a fact about the problem or the arm, such as
`step` of a checkpoint series. No torch.
"""

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

import pandas as pd

from interp.measurement import Measurement, digest, provenance
from interp.tasks.task import Grade, Label, Problem, Task

COLUMNS = (
    *("problem", "kind", "arm", "sample", "text", "tokens", "answer", "strict", "flexible", "reason", "spans", "stray"),
)
Row = dict[str, Any]
Answer = Callable[[str], str | None]


def last_answer(text: str) -> str | None:
    """What follows the last word `ans` of the organisms' language; in other texts the stated form. None without one."""
    words = text.split()
    if "ans" in words:
        return " ".join(words[len(words) - words[::-1].index("ans") :]) or None
    from interp.tasks.grading import stated_form

    return stated_form(text) or None


def written_row(
    task: Task,
    problem: Problem,
    arm: str,
    sample: int,
    tokens: Sequence[Any],
    text: str,
    *,
    words: Sequence[str] | None = None,
    reason: str = "unknown",
    answer: Answer = last_answer,
) -> Row:
    """One row of the table, graded by the task; `words` are the tokens as strings, for the task's parser.

    Without a parser a step is a line of the text that is not empty; `tokens` are then the text's words.
    """
    grade: Grade = task.grade(problem, text)
    if task.label is not None:
        labels = task.label(problem, list(words if words is not None else text.split()))
        spans, stray = labelled_spans(labels), sum(label.role == "stray" for label in labels)
    else:
        spans, stray = line_spans(text), 0
    return {
        "problem": problem.id,
        "kind": problem.kind,
        "arm": arm,
        "sample": sample,
        "text": text,
        "tokens": list(tokens),
        "answer": answer(text) or "",
        "strict": grade.strict,
        "flexible": grade.flexible,
        "reason": reason,
        "spans": spans,
        "stray": stray,
    }


def labelled_spans(labels: Sequence[Label]) -> list[list[Any]]:
    """`[start, end, strategy, true]` of every stretch that the labels tell."""
    spans: list[list[Any]] = []
    for place, label in enumerate(labels):
        if label.strategy == "none":
            continue
        if label.role == "opener" or not spans or spans[-1][1] != place:
            spans.append([place, place, label.strategy, label.true])
        spans[-1][1] = place + 1
    return spans


def line_spans(text: str) -> list[list[Any]]:
    """One step per line that is not empty, in words."""
    spans, start = list[list[Any]](), 0
    for line in text.split("\n"):
        words = len(line.split())
        if words:
            spans.append([start, start + words, "line", None])
        start += words
    return spans


def written_from_texts(task: Task, texts: pd.DataFrame, *, answer: Answer = last_answer, **facts: Any) -> Measurement:
    """`written` of texts that others made: a table with problem, arm, text and optionally `sample` and `reason`.

    Problems are found in the task by their ids; tokens are the text's words. ValueError for a problem the task lacks.
    """
    problems = {problem.id: problem for problem in (*task.problems, *task.practice)}
    rows = []
    for row in texts.to_dict("records"):
        if row["problem"] not in problems:
            raise ValueError(f"task {task.name!r} has no problem {row['problem']!r} that arm {row['arm']!r} answers")
        problem, arm, sample, text = problems[row["problem"]], str(row["arm"]), int(row.get("sample", 0)), row["text"]
        reason = str(row.get("reason") or "unknown")
        rows.append(written_row(task, problem, arm, sample, text.split(), text, reason=reason, answer=answer))
    content = digest([[row["problem"], row["arm"], row["sample"], row["text"]] for row in rows])
    made_with = provenance(task=task.name, asked=task.digest, texts=content, **facts)
    return Measurement("written", "one text per row", pd.DataFrame(rows, columns=list(COLUMNS)), made_with)


def task_of_texts(texts: pd.DataFrame, *, name: str = "texts") -> Task:
    """The task that texts of others answer, out of their own table: problem, question, gold; graded as any text.

    What was wrapped around a question is not known; nothing can be asked again, only what was written be read.
    ValueError where one problem has two gold answers.
    """
    from interp.tasks.grading import grade_text  # brings the grader along, which only texts in words need

    asked = texts[["problem", "question", "gold"]].drop_duplicates()
    if (twice := asked["problem"].duplicated()).any():
        raise ValueError(f"problem {asked['problem'][twice].iloc[0]!r} has two questions or gold answers; keep one")
    problems = tuple(
        Problem(id=str(row["problem"]), prompt=str(row["question"]), answer=str(row["gold"]), kind="")
        for row in asked.to_dict("records")
    )
    return Task(name=name, problems=problems, practice=(), facts=(), grade=grade_text, max_new_tokens=1)


def together(*parts: Measurement) -> Measurement:
    """Several tables of what arms wrote as one; ValueError where two hold the same arm."""
    arms = [arm for part in parts for arm in dict.fromkeys(part.table["arm"])]
    if len(set(arms)) < len(arms):
        raise ValueError(f"two tables hold the same arm: {', '.join(arms)}; rename one")
    table = pd.concat([part.table for part in parts], ignore_index=True)
    return Measurement("written", parts[0].unit, table, provenance(parts=[dict(part.made_with) for part in parts]))


def read_written(written: Measurement, *needed: str, arms: Sequence[str] = (), samples: int = 1) -> pd.DataFrame:
    """The table, checked: it has these columns, these arms, on the same problems, and this many samples of each.

    ValueError in one sentence: a column or an arm that is missing, arms over different problems, the same sample
    twice, fewer samples than a measure needs.
    """
    table = written.table
    if lacking := [name for name in ("problem", "arm", "sample", *needed) if name not in table]:
        raise ValueError(f"the rollouts have no column {', '.join(lacking)}; they have {', '.join(map(str, table))}")
    there = list(dict.fromkeys(table["arm"]))
    if absent := [arm for arm in arms if arm not in there]:
        raise ValueError(
            f"the rollouts are one-sided: there is no arm {absent[0]!r} beside {', '.join(there)}; write with it too"
        )
    twice = table.duplicated(["problem", "arm", "sample"])
    if twice.any():
        row = table[twice].iloc[0]
        raise ValueError(f"arm {row['arm']!r} has sample {row['sample']} of problem {row['problem']!r} twice")
    asked = {arm: set(table.loc[table["arm"] == arm, "problem"]) for arm in there}
    everything = set().union(*asked.values())
    for arm, problems in asked.items():
        if problems != everything:
            raise ValueError(
                f"arm {arm!r} answers {len(problems)} of {len(everything)} problems, not {min(everything - problems)!r}"
                "; arms are compared on the same problems"
            )
    sizes = table.groupby(["arm", "problem"], sort=False).size()
    if (least := int(sizes.min())) < samples:
        arm, problem = sizes.idxmin()
        raise ValueError(
            f"this needs at least {samples} samples of each problem, but arm {arm!r} has {least} of {problem!r}; "
            "sample more"
        )
    return table


def rows_by(table: pd.DataFrame, *keys: str) -> dict[tuple[Any, ...], list[Row]]:
    """Rows by the values of some columns, in the order in which they first come; a group-by without its overhead."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    records: Any = table.to_dict("records")
    for row in records:
        found.setdefault(tuple(row[key] for key in keys), []).append(row)
    return found


def oddities(written: Measurement, *, space: Collection[str] | str | None = None) -> pd.DataFrame:
    """What a reader should look at before any number: a row per text that is odd, with what is odd about it.

    "does not parse into steps" (a stray token, or no step at all), "no answer", "answer outside the space" where
    `space` is given: a set of answers, or a regular expression that a whole answer has to match. Columns: problem, arm,
    sample, what, text. Empty where nothing is odd. Such texts stay in every measure: leaving them out would favour the
    arm that writes more of them.
    """
    rows = []
    for row in read_written(written, "spans", "stray", "answer", "text").to_dict("records"):
        odd = ["does not parse into steps"] * bool(row["stray"] or not row["spans"])
        odd += ["no answer"] * (not row["answer"])
        odd += ["answer outside the space"] * bool(row["answer"] and not _inside(row["answer"], space))
        key = {name: row[name] for name in ("problem", "arm", "sample")}
        rows += [{**key, "what": what, "text": row["text"]} for what in odd]
    return pd.DataFrame(rows, columns=["problem", "arm", "sample", "what", "text"])


def in_order(table: pd.DataFrame, arms: Sequence[str]) -> pd.Series:
    """`step` of each arm of a checkpoint series, which has to rise from arm to arm; ValueError where it does not."""
    if "step" not in table:
        raise ValueError("a checkpoint series needs a column 'step' that says how long each arm was trained")
    steps = table.groupby("arm", sort=False)["step"]
    if (steps.nunique(dropna=False) > 1).any():
        raise ValueError(f"arm {steps.nunique(dropna=False).idxmax()!r} has more than one training step")
    found = steps.first().reindex(list(arms))
    for (before, here), (after, there) in zip(list(found.items())[:-1], list(found.items())[1:], strict=True):
        if not there > here:
            raise ValueError(
                f"the checkpoint series is out of order: {after!r} (step {there:g}) comes after {before!r} "
                f"(step {here:g})"
            )
    return found


def _inside(answer: str, space: Collection[str] | str | None) -> bool:
    if space is None:
        return True
    return re.fullmatch(space, answer) is not None if isinstance(space, str) else answer in space
