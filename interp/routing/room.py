"""Everything this room measures of one pair and task: answers of all arms, base's ceiling, tokens of a few texts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from interp.keeping import Keep
from interp.measurement import Measurement, source_digest
from interp.pair import Pair
from interp.routing.arithmetic import small_models
from interp.routing.arms import DECISION, Arm, more_arms, route, standard_arms
from interp.routing.ceiling import base_samples
from interp.routing.decisions import task_decisions
from interp.routing.elicited import elicited_arms, emulated_arm
from interp.routing.features import Dictionary, feature_arms
from interp.routing.prepared import prepared_arms
from interp.routing.routers import always, never
from interp.routing.steering_arms import SteeredArm, steering_arms
from interp.routing.step import Router
from interp.routing.trace import trace_tokens
from interp.streamed import load_streamed
from interp.tasks.task import Task

CEILING = 100
"""Problems that base is sampled on for its ceiling."""
TRACE = "trace.parquet"
"""The file that holds the token trace, beside the measurements."""
TRACED = 12
"""Problems whose tokens are traced."""
SHOWN = (DECISION, "content tokens", "every disagreement", "base about to decide", "random 12%")
"""Arms that are traced besides base and tuned alone."""
PUSHED = ("steering", "random steering directions")
"""Of the arms in which base writes every token, those that are traced: the main one, and one draw of its control."""


def answers(
    pair: Pair,
    task: Task,
    keep: Keep,
    *,
    small: Pair | None = None,
    dictionary: Dictionary | None = None,
    quick: bool = False,
    thorough: bool = False,
    seed: int = 0,
) -> list[Measurement]:
    """`answers`, and unless `quick`, which asks the standard arms only, `ceiling`: what base solves sampled often.

    With `thorough` every arm there is, which takes about twice as long. A `small` pair adds emulated fine-tuning, a
    `dictionary` the arms of `feature_arms`; under `quick` too, since they were asked for.
    """

    facts: dict[str, Any] = {}
    if small is not None:
        small_models(pair, small)  # refused now and not after minutes
        facts["small"] = {one.name: one.digest for one in (small.base_checkpoint, small.tuned_checkpoint)}
    if dictionary is not None:
        facts["sae"] = dict(dictionary.made_with)

    def every_arm() -> Measurement:
        decisions = task_decisions(pair, task)
        more = [*more_arms(decisions, thorough=thorough, seed=seed), *prepared_arms(pair, task, decisions)]
        others = elicited_arms(pair, task, small=small, thorough=thorough, seed=seed)
        return route(pair, task, more=[*more, *features()], others=others, facts=facts, seed=seed)

    def standard() -> Measurement:
        others = [emulated_arm(pair, task, small)] if small else []
        return route(pair, task, more=features(), others=others, facts=facts, quick=True, seed=seed)

    def features() -> list[Arm]:
        return feature_arms(pair, task, task_decisions(pair, task), dictionary, seed=seed) if dictionary else []

    if quick:
        return [keep("answers", standard)]
    few = replace(task, problems=task.problems[:CEILING])
    ceiling = keep("ceiling", lambda: base_samples(pair, few, seed=seed))
    return [keep("answers", every_arm), ceiling]


def trace(pair: Pair, task: Task, folder: Path, *, hook: str | None = None, seed: int = 0) -> Path:
    """`folder/trace.parquet`: what the arms of `SHOWN` wrote to the first `TRACED` problems, a row per token.

    With the `hook` at which base was steered the arms of `PUSHED` are in it too. It is written again only where it was
    made from something else.
    """
    path, few = folder / TRACE, replace(task, problems=task.problems[:TRACED])
    facts: dict[str, Any] = {"seed": seed, "code": source_digest(["", "tasks", "routing"]), "steered_at": hook}
    if path.exists() and _same(load_streamed(path).made_with, pair.made_with(asked=few.digest, **facts)):
        return path
    decisions = task_decisions(pair, task)
    arms: dict[str, Router | SteeredArm] = {"base": never, "tuned": always}
    arms |= {arm.name: arm.router for arm in standard_arms(decisions, seed=seed) if arm.name in SHOWN}
    if hook is not None:
        steered = steering_arms(pair, task, decisions, rate=0.0, hook=hook, controls_only=True, seed=seed)
        for arm in steered:
            if arm.name in PUSHED:
                arms.setdefault(arm.name, arm)
    return trace_tokens(pair, few, arms, path, **facts)


def _same(made: Any, wanted: Any) -> bool:
    return all(made.get(fact) == wanted[fact] for fact in ("base", "tuned", "asked", "seed", "code", "steered_at"))
