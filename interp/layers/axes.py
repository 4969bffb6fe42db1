"""What a hybrid's text is read for: answers, facts, output format, strategy onset."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from interp.decoding import Completion
from interp.layers.stages import Hybrid
from interp.layers.written import Store, written
from interp.pair import Pair
from interp.tasks.grading import stated_form
from interp.tasks.task import Problem, Task

AXES = ("answers", "facts", "output format", "strategy onset")


def outcomes(
    pair: Pair, task: Task, hybrids: Iterable[Hybrid], *, batch_size: int = 256, store: Store | None = None
) -> dict[Hybrid, pd.DataFrame]:
    """One table per hybrid: `axis`, `problem`, `kind`, and `correct`, all from its greedy text.

    - "answers": the task's problems, right by the strict rule
    - "facts": closed-book facts, right by the strict rule (left out where the task has none): knowledge
    - "output format": the text to a problem ends by itself in the form that the grader reads, right or wrong. With a
      parser: it accounts for every token; without one: a final answer is stated
    - "strategy onset": the text to a problem opens with the token that tuned opens with
    """
    asked = [("answers", problem) for problem in task.problems] + [("facts", problem) for problem in task.facts]
    prompts = [pair.encode(problem.prompt) for _, problem in asked]
    texts = written(pair, prompts, hybrids, max_new_tokens=task.max_new_tokens, batch_size=batch_size, store=store)
    tuned = texts[(True,) * (pair.n_layers + 2)]
    tables = {}
    for word, completions in texts.items():
        rows: list[tuple[str, str, str, bool]] = []
        for (axis, problem), completion, model in zip(asked, completions, tuned, strict=True):
            right = task.grade(problem, pair.text(completion.tokens)).strict
            rows.append((axis, problem.id, problem.kind, right))
            if axis == "answers":
                rows.append(("output format", problem.id, problem.kind, _in_form(pair, task, problem, completion)))
                rows.append(("strategy onset", problem.id, problem.kind, completion.tokens[:1] == model.tokens[:1]))
        rows.sort(key=lambda row: AXES.index(row[0]))
        tables[word] = pd.DataFrame(rows, columns=["axis", "problem", "kind", "correct"])
    return tables


def _in_form(pair: Any, task: Task, problem: Problem, completion: Completion) -> bool:
    """Whether a grader could read the text to its end, whatever it says."""
    if completion.reason != "stop" or not completion.tokens:
        return False
    if task.label is None:
        return stated_form(pair.text(completion.tokens)) is not None
    return all(label.role != "stray" for label in task.label(problem, pair.words(completion.tokens)))
