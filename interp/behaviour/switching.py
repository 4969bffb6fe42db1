"""How often does an arm change its thought, and how much of a wrong text comes after a right thought?"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from interp.measurement import Measurement, provenance
from interp.tasks.task import Task
from interp.written import read_written

Thoughts = Callable[[Mapping[str, Any]], Sequence[Sequence[Any]]]
"""A row to its thoughts: `[start, end]` in tokens, in order."""
METHODS = ("none", "switch penalty", "random penalty")
_SWITCH = re.compile(r"(?:alternatively|wait|hmm|another (?:way|approach)|let me try)\b", re.IGNORECASE)


def thoughts_by_strategy(switches: Collection[str]) -> Thoughts:
    """A thought begins with the text and with every step whose strategy is one of `switches` (`back` in a search)."""

    def thoughts(row: Mapping[str, Any]) -> list[list[int]]:
        starts = [0, *(start for start, _, strategy, _ in row["spans"] if strategy in switches and start)]
        return [list(pair) for pair in zip(starts, [*starts[1:], len(row["tokens"])], strict=True)]

    return thoughts


def thoughts_by_words(row: Mapping[str, Any]) -> list[list[int]]:
    """A thought begins with the text and with every line that opens with a word of doubt ("Wait", "Alternatively")."""
    words = row["text"].split()
    starts = [0, *(start for start, *_ in row["spans"] if start and _SWITCH.match(" ".join(words[start : start + 3])))]
    return [list(pair) for pair in zip(starts, [*starts[1:], len(words)], strict=True)]


def holds_gold(task: Task) -> Callable[[Mapping[str, Any], int, int], bool]:
    """A thought is right if it says the right answer, as a word or several in a row, bare of marks around them."""
    gold = {problem.id: problem.answer.split() for problem in task.problems}

    def is_right(row: Mapping[str, Any], start: int, end: int) -> bool:
        words = [word.strip("*$.,:;()\\[]{}") for word in row["text"].split()[start:end]]
        wanted = gold[row["problem"]]
        return any(words[i : i + len(wanted)] == wanted for i in range(len(words) - len(wanted) + 1))

    return is_right


def switching(
    written: Measurement, thoughts: Thoughts, is_right: Callable[[Mapping[str, Any], int, int], bool]
) -> Measurement:
    """`switching`: per problem, arm and sample the number of `switches` (thoughts - 1) and the tokens that were useful.

    `is_right(row, start, end)` says whether the thought in these tokens reaches the answer. `useful` is That, the
    tokens up to the end of the first right thought, and all of them where there is none; over wrong answers
    xi_UT = mean(1 - That / T) (Wang et al., arXiv 2501.18585): how much of a wrong text came after it had been right.
    Columns: problem, kind, arm, sample, correct, tokens, switches, useful, under (1 - That/T). An empty text has
    no thought, no switch and under 0. One sample of each problem tells the published comparison over all problems; the
    one within problems needs several.
    """
    table = read_written(written, "kind", "tokens", "spans", "strict")
    rows = []
    for row in table.to_dict("records"):
        length, found = len(row["tokens"]), thoughts(row)
        useful = next((end for start, end in found if is_right(row, start, end)), length)
        rows.append(
            {
                **{key: row[key] for key in ("problem", "kind", "arm", "sample")},
                "correct": bool(row["strict"]),
                "tokens": length,
                "switches": max(len(found) - 1, 0),
                "useful": useful,
                "under": 1 - useful / length if length else 0.0,
            }
        )
    made_with = provenance(rollouts=dict(written.made_with))
    return Measurement("switching", "thoughts per sample", pd.DataFrame(rows), made_with)


def penalties(runs: Mapping[str, Measurement]) -> Measurement:
    """`penalties`: accuracy per problem and arm without a penalty, with one on switch tokens, and with its random twin.

    `runs` are the rollouts by method ("none", "switch penalty", "random penalty"), written with
    `interp.behaviour.choosing.penalised`; the random one acts on as many tokens that are as frequent. Columns:
    problem, arm, method, correct (mean over samples).
    """
    if unknown := set(runs) - set(METHODS):
        raise ValueError(f"{min(unknown)!r} is no method; they are {', '.join(METHODS)}")
    parts = []
    for method, written in runs.items():
        table = read_written(written, "strict")
        means = table.assign(correct=table["strict"].astype(float)).groupby(["problem", "arm"], as_index=False)
        parts.append(means["correct"].mean().assign(method=method))
    made_with = provenance(rollouts={method: dict(written.made_with) for method, written in runs.items()})
    return Measurement("penalties", "accuracy by penalty", pd.concat(parts, ignore_index=True), made_with)
