"""What else brings base to do better, in the same table: other prompts, sums of logits, several answers."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from interp.pair import Pair
from interp.routing.arithmetic import ALPHAS, emulated, small_models, towards_tuned, write_by_sum
from interp.routing.arms import Written
from interp.routing.branching import BRANCHES, SAMPLES, write_branches, write_by_vote
from interp.routing.hybrid import Hybrid
from interp.routing.prompted import SHOTS, few_shot, instructed, write_alone
from interp.tasks.task import Task

EMULATED = "base + 1 (small tuned - small base)"
"""The arm of emulated fine-tuning."""

_log = logging.getLogger("interp")


def elicited_arms(
    pair: Pair,
    task: Task,
    *,
    templates: Sequence[str] | None = None,
    small: Pair | None = None,
    thorough: bool = False,
    batch_size: int = 256,
    seed: int = 0,
) -> list[Written]:
    """Base told how to begin, summed with tuned, by its surest branch; `thorough`: after examples and by majority too.

    `templates` are instructions with a place for the `{prompt}`; by default one per opener of the task, that appends
    it to the prompt, so that base is told a strategy whatever the problem. With a `small` pair of the same tokenizer
    there is `EMULATED` too: what tuning did to that pair, put on base. Examples are left out, with a logged
    sentence, where practice problems yield too few of them or they do not fit into the context. Cost in answers
    written per problem: examples, templates and sums one each (a sum reads two or three models), branches 10, majority
    16.
    """
    prompts = [pair.encode(problem.prompt) for problem in task.problems]
    options: dict[str, Any] = {"max_new_tokens": task.max_new_tokens, "batch_size": batch_size}

    def alone(ids: Sequence[Sequence[int]]) -> list[Hybrid]:
        return write_alone(pair, ids, **options)

    def told(template: str) -> list[Hybrid]:
        return alone([pair.encode(prompt) for prompt in instructed(task, template)])

    arms = _after_examples(pair, task, alone) if thorough else []
    for template in templates if templates is not None else [f"{{prompt}} {opener}" for opener in task.openers]:
        arms.append(Written(f"base asked {template!r}", partial(told, template)))
    for alpha in ALPHAS:
        total = partial(write_by_sum, pair, prompts, towards_tuned(alpha), **options)
        arms.append(Written(f"base + {alpha:g} (tuned - base)", total, alpha))
    if small is not None:
        arms.append(emulated_arm(pair, task, small, batch_size=batch_size))
    arms.append(Written(f"base, surest of {BRANCHES} branches", partial(write_branches, pair, prompts, **options)))
    if thorough:
        vote = partial(write_by_vote, pair, prompts, seed=seed, **options)
        arms.append(Written(f"base, majority of {SAMPLES}", vote))
    return arms


def emulated_arm(pair: Pair, task: Task, small: Pair, *, batch_size: int = 256) -> Written:
    """`EMULATED`, emulated fine-tuning: base + (small tuned - small base); ValueError where tokenizers differ."""
    prompts = [pair.encode(problem.prompt) for problem in task.problems]
    options: dict[str, Any] = {"max_new_tokens": task.max_new_tokens, "batch_size": batch_size}
    models = small_models(pair, small)
    return Written(EMULATED, partial(write_by_sum, pair, prompts, emulated(), others=models, **options), 1.0)


def _after_examples(pair: Pair, task: Task, alone: Callable[[Sequence[Sequence[int]]], list[Hybrid]]) -> list[Written]:
    """The arm that is shown worked problems first, or none."""
    try:
        prompts = few_shot(pair, task)
        longest = max(map(len, prompts)) + task.max_new_tokens
        if longest > pair.context:
            raise ValueError(
                f"prompt and answer are up to {longest} tokens long, the models' context is {pair.context}"
            )
    except ValueError as error:
        _log.warning("the arm of %d examples is left out: %s", SHOTS, error)
        return []
    return [Written(f"base after {SHOTS} examples", partial(alone, prompts))]
