"""Arms of the routing experiment in units: a unit is some of the problems, answered by every arm.

Random routers count problems as the whole task does, so a unit's rows are those that `route` would have for them.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd
from jaxtyping import Bool
from torch import Tensor

from interp.backoff import backing_off
from interp.measurement import Measurement
from interp.routing.arms import CURVE, DECISION, DRAWS, UNIT, Arm, graded, standard_arms
from interp.routing.decisions import task_decisions
from interp.routing.hybrid import write_together
from interp.routing.positions import matched_random
from interp.routing.routers import always, at_random, never
from interp.routing.step import Router, Step
from interp.units import opened
from interp.units.by_batch import loaded, made_with
from interp.units.job import Job, Steps, shards_of
from interp.units.unit import Unit

BATCH = 256


def answers(job: Job) -> Steps:
    """`answers` of `route`: base, tuned, the standard arms (`quick`: without the curve) and their random controls.

    Steering, which is fitted on all practice problems before anything is answered, is not in it: ask `interp routing`.
    """
    runs = shards_of(len(job.task.problems), job.shards)
    first = yield [_unit(job, "arms", run, quick=job.quick) for run in runs]
    table = [row for result in first for row in result["rows"]]
    decided = [row for row in table if row["arm"] == DECISION]
    counts = {name: [row[name] for row in decided] for name in ("tokens", "routed")}
    second = yield [_unit(job, "controls", run, **counts) for run in runs]
    table += [row for result in second for row in result["rows"]]
    order = {arm: place for place, arm in enumerate(dict.fromkeys((row["arm"], row["draw"]) for row in table))}
    table.sort(key=lambda row: order[row["arm"], row["draw"]])  # a stable sort: problems stay in order
    facts = {"task": job.task.name, "asked": job.task.digest, "seed": job.seed, "decoding": "greedy"}
    facts |= {"decisions": first[0]["decisions"], "shards": len(runs)}
    facts |= {"batch_size": min(result["batch_size"] for result in (*first, *second))}
    return Measurement("answers", UNIT, pd.DataFrame(table), made_with(job, first[0]["loaded"], **facts))


def rows(unit: Unit) -> dict[str, Any]:
    """The unit's problems, answered and graded, and how the pair was loaded."""
    pair, task, on = opened.pair(unit), opened.task(unit), unit.depends_on
    start, stop = on["problems"]
    decisions, few = task_decisions(pair, task), replace(task, problems=task.problems[start:stop])
    prompts = [pair.encode(problem.prompt) for problem in few.problems]
    if on["asked"] == "arms":
        standard = [arm for arm in standard_arms(decisions, seed=on["seed"]) if not (on["quick"] and arm.name in CURVE)]
        arms = [Arm("base", never), Arm("tuned", always), *standard]
    else:
        arms = _controls(on["tokens"], on["routed"], on["seed"])
    table, sizes = list[dict[str, Any]](), list[int]()
    for arm in arms:
        write = partial(write_together, pair, prompts, _from(start, arm.router), max_new_tokens=task.max_new_tokens)
        texts, size = backing_off(lambda n, write=write: write(batch_size=n), BATCH)  # type: ignore[misc]
        table += graded(arm, pair, few, texts)
        sizes.append(size)
    how = {"decisions": decisions.rule, "loaded": loaded(pair.made_with()), "batch_size": min(sizes)}
    return {"rows": table, **how}


def _unit(job: Job, asked: str, run: tuple[int, int], **on: Any) -> Unit:
    forwards = (run[1] - run[0]) * job.task.max_new_tokens * (18 if asked == "arms" else 2 * DRAWS)
    return job.unit(
        "answers",
        f"{asked}, problems {run[0]} to {run[1]}",
        code=__name__,
        flops=2.0 * job.parameters * forwards,
        task=job.task.digest,
        **job.loaded,
        seed=job.seed,
        asked=asked,
        problems=list(run),
        **on,
    )


def _controls(tokens: Sequence[int], routed: Sequence[int], seed: int) -> list[Arm]:
    """The random arms that route as much as the decision arm did, as a share of all tokens and problem by problem."""
    rate = sum(routed) / sum(tokens)
    by_rate = [at_random(rate, seed=seed, draw=draw) for draw in range(DRAWS)]
    matched = [matched_random(tokens, routed, seed=seed, draw=draw) for draw in range(DRAWS)]
    return [
        *(Arm("random at the decision rate", router, rate, draw) for draw, router in enumerate(by_rate)),
        *(Arm("random, matched per problem", router, rate, draw) for draw, router in enumerate(matched)),
    ]


def _from(start: int, router: Router) -> Router:
    """The same router where the first prompt is number `start` of all."""

    def shifted(step: Step) -> Bool[Tensor, " batch"]:
        return router(Step(replace(step.turn, prompts=step.turn.prompts + start)))

    return shifted
