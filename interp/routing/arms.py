"""Every arm of the routing experiment under one protocol: who chooses which tokens, and is the answer still right?"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from tqdm.auto import tqdm

from interp.measurement import Measurement
from interp.pair import Pair
from interp.routing.budget import KEPT, RANDOM, thinned
from interp.routing.decisions import Decisions, task_decisions
from interp.routing.hybrid import Hybrid, write_each
from interp.routing.placing import candidate_hooks
from interp.routing.positions import matched_random
from interp.routing.routers import (
    always,
    at_random,
    base_about_to_decide,
    content_tokens,
    decision_tokens,
    entropy_over,
    every_disagreement,
    first,
    js_over,
    kl_over,
    margin_under,
    never,
    reverse,
)
from interp.routing.steering import write_steered
from interp.routing.steering_arms import SteeredArm, steering_arms
from interp.routing.step import Router
from interp.tasks.task import Task

DRAWS = 3
"""How often the random controls of the decision arm are drawn."""
DECISION, REVERSED = "decision tokens", "base into tuned, at decisions"
"""Arms that random controls follow."""
CURVE = ("first 3 tokens", *(f"{DECISION}, {keep:.0%} kept" for keep in KEPT))
"""Standard arms that a quick run leaves out: no verdict hangs on them."""

UNIT = (
    "one answer per row: correct by the strict rule and by the flexible one; tokens written (the stop token counts; "
    "of arms that write several texts, all of them), routed to tuned (under steering: onsets), and changed by it "
    "(another token than base's)"
)


@dataclass(frozen=True)
class Arm:
    """A router by the name it has in the table; `rate` is its threshold, budget or share, `draw` its random draw."""

    name: str
    router: Router
    rate: float = math.nan
    draw: int = 0


@dataclass(frozen=True)
class Written:
    """An arm with a way of writing of its own: `texts` answers every problem of the task."""

    name: str
    texts: Callable[[], Sequence[Hybrid]]
    rate: float = math.nan
    draw: int = 0


def standard_arms(decisions: Decisions, *, seed: int = 0) -> list[Arm]:
    """What the verdict and the main figures need; `route` adds the two models alone and the random controls."""
    return [
        Arm("every disagreement", every_disagreement),
        Arm(DECISION, decision_tokens(decisions)),
        Arm("content tokens", content_tokens(decisions)),
        Arm("base about to decide", base_about_to_decide(decisions)),
        Arm("KL over 1", kl_over(1.0), 1.0),
        Arm("entropy over 0.5", entropy_over(0.5), 0.5),
        *(Arm(f"first {k} tokens", first(k), float(k)) for k in (1, 3)),
        *(Arm(f"random {rate:.0%}", at_random(rate, seed=seed), rate) for rate in (0.05, 0.12, 0.25, 0.5)),
        *(
            Arm(f"{DECISION}, {keep:.0%} kept", thinned(decision_tokens(decisions), keep, seed=seed), keep)
            for keep in KEPT
        ),
    ]


def more_arms(decisions: Decisions, *, thorough: bool = False, seed: int = 0) -> list[Arm]:
    """Other kinds of router, one of each, and the reverse direction, in which base writes some of tuned's tokens.

    With `thorough` other thresholds and denser curves too: about 20 arms, each as dear as another.
    """
    arms = [
        Arm("JS over 0.3", js_over(0.3), 0.3),
        Arm("margin under 0.5", margin_under(0.5), 0.5),
        Arm(REVERSED, reverse(decision_tokens(decisions))),
    ]
    if not thorough:
        return arms
    known = {0.05, 0.12, 0.25, 0.5}
    return [
        *arms,
        *(Arm(f"KL over {t:g}", kl_over(t), t) for t in (0.5, 2.0)),
        *(Arm(f"JS over {t:g}", js_over(t), t) for t in (0.1, 0.5)),
        *(Arm(f"entropy over {t:g}", entropy_over(t), t) for t in (0.3, 1.0)),
        Arm("margin under 0.2", margin_under(0.2), 0.2),
        *(Arm(f"first {k} tokens", first(k), float(k)) for k in (2, 5, 8)),
        *(Arm(f"random {rate:.0%}", at_random(rate, seed=seed), rate) for rate in RANDOM if rate not in known),
        *(
            Arm(f"every disagreement, {keep:.0%} kept", thinned(every_disagreement, keep, seed=seed), keep)
            for keep in KEPT
        ),
    ]


def route(
    pair: Pair,
    task: Task,
    *,
    arms: Sequence[Arm] | None = None,
    more: Sequence[Arm] = (),
    steered: Sequence[SteeredArm] | None = None,
    others: Sequence[Written] = (),
    facts: Mapping[str, Any] | None = None,
    quick: bool = False,
    batch_size: int = 256,
    seed: int = 0,
) -> Measurement:
    """`answers`: every arm's greedy answer to each of the task's problems, graded, with the tokens tuned wrote in it.

    Base and tuned alone come first, then `arms` (the standard ones by default) and `more`. Where one of them is called
    "decision tokens", its random controls follow, `DRAWS` rows per problem told apart by `draw`: "random at the
    decision rate" routes each position with the probability of the decision arm's routed share of all tokens, "random,
    matched per problem" as many positions of every problem as that arm did. Then the arms in which base writes every
    token under steering, by default `steering_arms` where the standard arms are asked and there are practice problems,
    and `others`, such as those of `elicited_arms`. Under `quick` the arms of `CURVE` are left out, and steering has
    the controls of its directions alone, at the highest candidate layer, not the one that does best in practice.

    Columns: arm, rate, draw, problem, kind, correct, flexible, tokens, routed, changed, reason. In the arm "tuned",
    `changed` counts where base would have written something else on tuned's own text. `facts` go into the provenance,
    such as what `more` and `others` were made with. Cost: one arm writes each
    problem once; on the small organisms about 3 ms a problem and arm.
    """
    decisions = task_decisions(pair, task) if arms is None else None
    facts = {"task": task.name, "asked": task.digest, "seed": seed, "decoding": "greedy", **(facts or {})}
    if decisions:
        facts["decisions"] = decisions.rule
        arms = [arm for arm in standard_arms(decisions, seed=seed) if not (quick and arm.name in CURVE)]
    asked = [Arm("base", never), Arm("tuned", always), *(arms or ()), *more]
    _refuse_twice([*asked, *(steered or ()), *others])
    prompts = [pair.encode(problem.prompt) for problem in task.problems]

    at_once = max(1, batch_size // max(1, len(prompts)))

    def routed(arms: Sequence[Arm], desc: str) -> list[dict[str, Any]]:
        rows = []
        for start in tqdm(range(0, len(arms), at_once), desc=desc, disable=None):
            group = arms[start : start + at_once]
            routers = [arm.router for arm in group]
            each = write_each(pair, prompts, routers, max_new_tokens=task.max_new_tokens, batch_size=batch_size)
            for arm, texts in zip(group, each, strict=True):
                rows += graded(arm, pair, task, texts)
        return rows

    table = routed(asked, "routing")
    table += routed(_controls(table, seed=seed), "routing, random controls")
    if steered is None and decisions and task.practice:
        hook = candidate_hooks(pair.n_layers)[0] if quick else None
        steered = steering_arms(
            pair, task, decisions, rate=_rate(table, DECISION), hook=hook, controls_only=quick, seed=seed
        )
        facts["steered at"] = "nowhere: tuned opens no strategy in practice"
    if steered:
        facts["steered at"] = ", ".join(dict.fromkeys(vector.hook for one in steered for vector in one.vectors))
    for one in tqdm(steered or (), desc="steering", disable=None):
        texts = write_steered(
            pair,
            prompts,
            one.vectors,
            one.onsets,
            max_new_tokens=task.max_new_tokens,
            oracle=one.oracle,
            batch_size=batch_size,
        )
        table += graded(one, pair, task, texts)
    for other in tqdm(others, desc="other arms", disable=None):
        table += graded(other, pair, task, other.texts())
    return Measurement("answers", UNIT, pd.DataFrame(table), pair.made_with(**facts))


def _refuse_twice(arms: Sequence[Arm | SteeredArm | Written]) -> None:
    if len({(arm.name, arm.draw) for arm in arms}) < len(arms):
        raise ValueError(f"two arms have the same name and draw: {[arm.name for arm in arms]}; names have to differ")


def _rate(table: Sequence[dict[str, Any]], arm: str) -> float:
    """The share of tokens that an arm routed."""
    rows = [row for row in table if row["arm"] == arm]
    return float(sum(row["routed"] for row in rows) / sum(row["tokens"] for row in rows))


def _controls(table: Sequence[dict[str, Any]], *, seed: int) -> list[Arm]:
    """The random arms that route as much as the decision arm did, and as the reversed one; none of arms not there."""
    arms, names = list[Arm](), {row["arm"] for row in table}
    if DECISION in names:
        rate, rows = _rate(table, DECISION), [row for row in table if row["arm"] == DECISION]
        written, routed = ([row[column] for row in rows] for column in ("tokens", "routed"))
        for draw in range(DRAWS):
            arms.append(Arm("random at the decision rate", at_random(rate, seed=seed, draw=draw), rate, draw))
        for draw in range(DRAWS):
            matched = matched_random(written, routed, seed=seed, draw=draw)
            arms.append(Arm("random, matched per problem", matched, rate, draw))
    if REVERSED in names:
        rate = 1 - _rate(table, REVERSED)
        arms.append(Arm("base into tuned, at random", reverse(at_random(rate, seed=seed)), rate))
    return arms


def graded(arm: Arm | SteeredArm | Written, pair: Pair, task: Task, texts: Sequence[Hybrid]) -> list[dict[str, Any]]:
    """One row of `answers` per problem."""
    table = []
    for problem, text in zip(task.problems, texts, strict=True):
        grade = task.grade(problem, pair.text(text.completion.tokens))
        table.append(
            {
                "arm": arm.name,
                "rate": arm.rate,
                "draw": arm.draw,
                "problem": problem.id,
                "kind": problem.kind,
                "correct": grade.strict,
                "flexible": grade.flexible,
                "tokens": text.written,
                "routed": text.routed,
                "changed": text.changed,
                "reason": text.completion.reason,
            }
        )
    return table
