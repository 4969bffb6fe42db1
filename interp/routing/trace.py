"""The token trace: for every token of every arm, what both models thought of it, who wrote it and why."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from interp.distances import entropy, js
from interp.pair import Pair
from interp.routing.hybrid import Hybrid, checked, gap, write_together
from interp.routing.steering import write_steered
from interp.routing.steering_arms import SteeredArm
from interp.routing.step import Router, Step
from interp.streamed import streaming
from interp.tasks.task import Label, Problem, Task

UNIT = (
    "one written token per row (the stop token counts): log-probabilities, entropies and Jensen-Shannon divergence in "
    "nats, gaps between the two best tokens in logits"
)


Traced = Router | SteeredArm
Prompts = Sequence[Sequence[int]]


def trace_tokens(
    pair: Pair, task: Task, arms: Mapping[str, Traced], path: Path, *, batch_size: int = 64, **facts: Any
) -> Path:
    """`token_trace` in a Parquet file: what each arm writes for the task's problems, a row per token; returns `path`.

    Columns: arm, problem, kind, position, token, text, base_token, base_text, tuned_token, tuned_text (each model's
    most likely one), base_logprob and tuned_logprob (of the token written), tuned_rank (of tuned's token in base, 1
    for base's own), js, base_entropy, tuned_entropy, base_gap, tuned_gap (below 1e-5 rounding may decide), gate (the
    router's word, or an onset of steering), source ("base", "tuned", or "steered": base under a push), changed (not
    what base would have written), strategy, role (the task's labels, "none" and "text" where it has no parser; "end"
    for the stop token). Base's numbers at an onset are those before the push.

    Both models read every token, whatever the router looks at; memory holds `batch_size` texts.
    """
    made_with = pair.made_with(task=task.name, asked=task.digest, decoding="greedy", arms=list(arms), **facts)
    with streaming(path, name="token_trace", unit=UNIT, made_with=made_with) as append:
        for arm, how in tqdm(arms.items(), desc="token trace", disable=None):
            for start in range(0, len(task.problems), batch_size):
                append(_traced(pair, task, range(start, min(start + batch_size, len(task.problems))), arm, how))
    return path


def _routed(
    pair: Pair, prompts: Prompts, router: Router, start: int, seen: list[pd.DataFrame], limit: int
) -> list[Hybrid]:
    """Writes by a router, and puts a row per token into `seen`; the first prompt is problem number `start`."""

    def look(step: Step) -> Bool[Tensor, " batch"]:
        gate = checked(router(_of_all(step, start)), step)
        token = torch.where(gate, step.tuned_token, step.base_token)
        seen.append(_rows(_Scores.of(step), gate, token, "tuned"))
        return gate

    return write_together(pair, prompts, look, max_new_tokens=limit, batch_size=len(prompts))


def _steered(
    pair: Pair, prompts: Prompts, arm: SteeredArm, start: int, seen: list[pd.DataFrame], limit: int
) -> list[Hybrid]:
    """The same under steering: what the models thought is read before the push, the token after it."""
    before: list[tuple[_Scores, Bool[Tensor, " batch"]]] = []

    def look(step: Step) -> Int[Tensor, " batch"]:
        which = arm.onsets(_of_all(step, start))
        before.append((_Scores.of(step), which >= 0))
        return which

    def watch(token: Int[Tensor, " batch"]) -> None:
        seen.append(_rows(*before.pop(), token, "steered"))

    return write_steered(
        pair,
        prompts,
        arm.vectors,
        look,
        max_new_tokens=limit,
        oracle=arm.oracle,
        batch_size=len(prompts),
        watch=watch,
    )


def _of_all(step: Step, start: int) -> Step:
    """The step with the numbers that its rows' problems have in the task: what is random draws by the number."""
    return Step(replace(step.turn, prompts=step.prompts + start))


def _traced(pair: Pair, task: Task, numbers: range, arm: str, how: Traced) -> pd.DataFrame:
    """The rows of one arm for the problems of these numbers, problem by problem."""
    problems, seen = [task.problems[i] for i in numbers], list[pd.DataFrame]()
    prompts = [pair.encode(problem.prompt) for problem in problems]
    told = numbers.start, seen, task.max_new_tokens
    texts = _steered(pair, prompts, how, *told) if isinstance(how, SteeredArm) else _routed(pair, prompts, how, *told)
    table = pd.concat(seen).sort_values(["problem", "position"], kind="stable", ignore_index=True)
    for column in ("token", "base_token", "tuned_token"):
        words = {token: pair.words([token])[0] for token in table[column].unique().tolist()}
        table[column.replace("token", "text")] = table[column].map(words)
    labels = [
        label for problem, text in zip(problems, texts, strict=True) for label in _labels(pair, task, problem, text)
    ]
    table["strategy"], table["role"] = [label.strategy for label in labels], [label.role for label in labels]
    table["kind"] = [problems[i].kind for i in table["problem"]]
    table["problem"] = [problems[i].id for i in table["problem"]]
    table.insert(0, "arm", arm)
    return table


class _Scores(NamedTuple):
    """What both models make of every row's next token before anything is pushed or written."""

    base: Float[Tensor, "batch d_vocab"]
    tuned: Float[Tensor, "batch d_vocab"]
    prompts: Int[np.ndarray, " batch"]
    position: int

    @classmethod
    def of(cls, step: Step) -> "_Scores":
        return cls(step.base_logits, step.tuned_logits, step.prompts.copy(), step.written)


def _rows(scores: _Scores, gate: Bool[Tensor, " batch"], token: Int[Tensor, " batch"], gated: str) -> pd.DataFrame:
    """A row per row of the step; `gated` is who wrote where the gate is open."""
    base, tuned = scores.base, scores.tuned
    by_base, by_tuned = base.argmax(-1), tuned.argmax(-1)
    columns = {
        "token": token,
        "base_token": by_base,
        "tuned_token": by_tuned,
        "base_logprob": base.double().log_softmax(-1).gather(1, token[:, None])[:, 0],
        "tuned_logprob": tuned.double().log_softmax(-1).gather(1, token[:, None])[:, 0],
        "tuned_rank": (base > base.gather(1, by_tuned[:, None])).sum(-1) + 1,
        "js": js(base, tuned),
        "base_entropy": entropy(base),
        "tuned_entropy": entropy(tuned),
        "base_gap": gap(base).double(),
        "tuned_gap": gap(tuned).double(),
        "gate": gate,
        "changed": token != by_base,
    }
    arrays = {name: column.cpu().numpy() for name, column in columns.items()}
    source = np.where(arrays["gate"], gated, "base")
    return pd.DataFrame({"problem": scores.prompts, "position": scores.position, **arrays, "source": source})


def _labels(pair: Pair, task: Task, problem: Problem, text: Hybrid) -> list[Label]:
    """One per token of a text, its stop token included."""
    tokens = text.completion.tokens
    if task.label is None or not tokens:
        labels = [Label("none", "text")] * len(tokens)
    else:
        labels = task.label(problem, pair.words(tokens))
    return [*labels, *[Label("none", "end")] * (text.written - len(tokens))]
