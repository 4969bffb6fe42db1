"""What the two models wrote, in one table, and the same texts labelled token by token for the instruments."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pandas as pd
from torch import nn

from interp.decoding import Choose, Completion, decode, greedy, sample
from interp.measurement import Measurement, digest
from interp.pair import Pair, load_pair
from interp.tasks.task import Label, Problem, Reading, Task
from interp.written import Answer, last_answer, together, written_row

Writer = Literal["base", "tuned"]


def complete(
    pair: Pair,
    prompts: Sequence[Sequence[int]],
    choose: Choose,
    *,
    max_new_tokens: int,
    batch_size: int = 256,
    models: Mapping[str, nn.Module] | None = None,
) -> list[Completion]:
    """What is written to every prompt: `decode` by the pair's own stop tokens, padding and context.

    `models` are the pair's two unless others are given; one that `choose` never asks is never run.
    """
    return decode(
        models or pair.models,
        prompts,
        choose,
        max_new_tokens=max_new_tokens,
        stop=pair.stop_ids,
        pad=pair.pad_id,
        batch_size=batch_size,
        context=pair.context,
    )


def rollouts(
    pair: Pair, problems: Sequence[Problem], *, max_new_tokens: int, seed: int = 0, batch_size: int = 256
) -> Measurement:
    """One response of each model to each problem: base samples at temperature 1, tuned writes greedily.

    Sampled text shows what base does over its whole repertoire; greedy text is what tuned is used for. Rows:
    `writer`, `decoding`, `problem`, `kind`, `text`, `tokens` (ids, without the stop token), `reason`.
    """
    prompts = [pair.encode(problem.prompt) for problem in problems]
    drawn = sample("base", seed=seed, n_prompts=len(prompts), max_new_tokens=max_new_tokens)
    writers = {"base": ("sampled at T=1", drawn), "tuned": ("greedy", greedy("tuned"))}
    rows = []
    for writer, (decoding, choose) in writers.items():
        done = complete(pair, prompts, choose, max_new_tokens=max_new_tokens, batch_size=batch_size)
        rows += [
            {
                "writer": writer,
                "decoding": decoding,
                "problem": problem.id,
                "kind": problem.kind,
                "text": pair.text(completion.tokens),
                "tokens": list(completion.tokens),
                "reason": completion.reason,
            }
            for problem, completion in zip(problems, done, strict=True)
        ]
    asked = digest([[problem.id, problem.prompt] for problem in problems])
    made_with = pair.made_with(prompts=asked, seed=seed, max_new_tokens=max_new_tokens)
    return Measurement("rollouts", "one response per row", pd.DataFrame(rows), made_with)


def write(
    pair: Pair,
    task: Task,
    *,
    arms: Mapping[str, str] | None = None,
    samples: int = 1,
    temperature: float | None = 1.0,
    seed: int = 0,
    batch_size: int = 256,
    choose: Mapping[str, Choose] | None = None,
    answer: Answer = last_answer,
    about: Mapping[str, object] | None = None,
) -> Measurement:
    """`written`: `samples` responses per problem and arm, as `interp.written` describes the table.

    `arms` names a model of the pair ("base", "tuned") for each arm; by default both under their own names. Arms share
    their random numbers, so that a copy of base as tuned writes the same texts. `temperature` None is greedy: one
    sample. An arm in `choose` writes by that function instead. `about` are further columns, the same in every row.
    """
    if samples < 1 or (temperature is None and samples > 1):
        raise ValueError(f"samples is {samples}; give at least 1, and 1 where the most likely token is written")
    writers = dict(arms or {"base": "base", "tuned": "tuned"})
    prompts = [pair.encode(problem.prompt) for problem in task.problems for _ in range(samples)]
    rows = []
    for arm, model in writers.items():
        if choose is not None and arm in choose:
            decide = choose[arm]
        elif temperature is None:
            decide = greedy(model)
        else:
            drawn = {"n_prompts": len(prompts), "max_new_tokens": task.max_new_tokens}
            decide = sample(model, seed=seed, temperature=temperature, **drawn)
        done = complete(pair, prompts, decide, max_new_tokens=task.max_new_tokens, batch_size=batch_size)
        for number, completion in enumerate(done):
            problem, text = task.problems[number // samples], pair.text(completion.tokens)
            words = pair.words(completion.tokens) if len(completion.tokens) else []
            how: dict[str, Any] = {"words": words, "reason": completion.reason, "answer": answer}
            rows.append(
                written_row(task, problem, arm, number % samples, completion.tokens, text, **how) | dict(about or {})
            )
    facts = {"task": task.name, "asked": task.digest, "samples": samples, "temperature": temperature, "seed": seed}
    return Measurement("written", "one text per row", pd.DataFrame(rows), pair.made_with(**facts, arms=writers))


def write_series(base: str, checkpoints: Mapping[int, str], task: Task, **options: Any) -> Measurement:
    """`written` of a checkpoint series: `checkpoints` by their training step, in order; base is step 0.

    Arms are "base" and "step N"; the column `step` says where each stands. Options are those of `write`.
    """
    steps = list(checkpoints)
    if steps != sorted(steps) or min(steps, default=0) <= 0:
        raise ValueError(f"the checkpoint series is out of order: {steps}; give rising steps above 0")
    parts = list[Measurement]()
    for step, checkpoint in checkpoints.items():
        pair = load_pair(base, checkpoint)
        if not parts:
            parts.append(write(pair, task, arms={"base": "base"}, about={"step": 0}, **options))
        parts.append(write(pair, task, arms={f"step {step}": "tuned"}, about={"step": step}, **options))
    if not parts:
        raise ValueError("the checkpoint series is empty; give at least one checkpoint after base")
    return together(*parts)


def readings(pair: Pair, task: Task, written: Measurement, *, writer: Writer | None = None) -> list[Reading]:
    """The prompts with what was written to them as labelled readings, of both writers or of one.

    Labels are the task's own where it has a parser; otherwise every token of a response is `text` of no strategy.
    """
    problems = {problem.id: problem for problem in (*task.practice, *task.problems)}
    table = written.table if writer is None else written.table[written.table.writer == writer]
    return [_reading(pair, task, problems[row.problem], row.tokens) for row in table.itertuples()]


def _reading(pair: Pair, task: Task, problem: Problem, tokens: Sequence[int]) -> Reading:
    prompt = pair.encode(problem.prompt)
    if task.label is None:
        labels = [Label("none", "text")] * len(tokens)
    else:
        labels = task.label(problem, pair.words(tokens) if len(tokens) else [])
    return Reading(problem.id, (*prompt, *tokens), (*[Label("none", "prompt")] * len(prompt), *labels))
