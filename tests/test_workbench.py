"""The whole path on pairs whose truth is known, and on every architecture."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from interp.claims.locus import activation_locus, locus, weight_locus
from interp.claims.routing_recovers import routing_recovers_gain
from interp.claims.upper_layers import upper_layers_carry_behaviour
from interp.claims.upper_third import upper_third_carries_change
from interp.claims.verdict import Verdict
from interp.layers.activations import activation_change
from interp.layers.swaps import block_swaps
from interp.layers.weights import weight_change
from interp.measurement import Measurement
from interp.pair import Pair, load_pair
from interp.rollouts import readings, rollouts
from interp.routing.arms import Arm, route
from interp.routing.decisions import task_decisions
from interp.routing.routers import decision_tokens, every_disagreement
from interp.tasks.organism import organism_task
from interp.workbench import decide, measure_layers, measure_routing

PAIRS = {"rl": "base", "sft": "base", "newskill": "base", "lower": "base", "upper": "base", "null": "base"}

ASKED = 60
"""Problems that every mixture is asked. With 60, as with 90, the verdicts below stand clear of their limits."""
FAST = ("gpt2", "gemma2")
"""Architectures that run through the rooms each time: the others are nearer to the organisms', which all else is on."""


@cache
def pair(tuned: str) -> Pair:
    return load_pair(f"organism:{PAIRS.get(tuned, 'base')}", f"organism:{tuned}")


@cache
def swaps(tuned: str) -> Measurement:
    return block_swaps(pair(tuned), organism_task(tuned, n=ASKED, practice=30))


@cache
def answers(tuned: str) -> Measurement:
    task = organism_task(tuned, n=ASKED, practice=30)
    decisions = task_decisions(pair(tuned), task)
    arms = [Arm("every disagreement", every_disagreement), Arm("decision tokens", decision_tokens(decisions))]
    return route(pair(tuned), task, arms=arms)


@cache
def activations(tuned: str) -> Measurement:
    task = organism_task(tuned, n=9, practice=60)
    written = rollouts(pair(tuned), task.practice, max_new_tokens=task.max_new_tokens)
    return activation_change(pair(tuned), readings(pair(tuned), task, written), draws=5)


def weights(tuned: str) -> Measurement:
    return weight_change(pair(tuned).base_checkpoint, pair(tuned).tuned_checkpoint)


@cache
def verdict(tuned: str) -> Verdict:
    return routing_recovers_gain(answers(tuned))


@pytest.mark.parametrize("tuned", ["rl", "sft", "upper"])
def test_a_pair_that_learned_when_is_told_by_its_decision_tokens(tuned: str) -> None:
    assert verdict(tuned).says == "supported"
    assert verdict(tuned).low > 0.8
    table = answers(tuned).table
    decided = table[table.arm == "decision tokens"]
    assert decided.routed.sum() / decided.tokens.sum() < 0.06
    at_random = table[table.arm == "random at the decision rate"].correct.mean()
    assert at_random < 0.3 < decided.correct.mean()


def test_a_pair_that_learned_how_gains_nothing_at_decisions_and_everything_at_disagreements() -> None:
    table = answers("newskill").table
    assert verdict("newskill").says == "contradicted"
    assert verdict("newskill").high < 0.2
    everywhere, tuned = (table[table.arm == arm].correct.to_numpy() for arm in ("every disagreement", "tuned"))
    assert np.array_equal(everywhere, tuned)
    assert everywhere.mean() > 0.9
    assert "its number is empty" in verdict("newskill").because


@pytest.mark.parametrize("tuned", ["null", "lower"])
def test_a_pair_without_a_gain_is_refused_its_ratio(tuned: str) -> None:
    assert verdict(tuned).says == "undecided"
    assert verdict(tuned).estimate is None
    assert "There is no gain to recover" in verdict(tuned).because


@pytest.mark.parametrize(
    ("tuned", "axis", "third"), [("upper", "answers", "upper third"), ("lower", "facts", "lower third")]
)
def test_all_three_measures_name_the_planted_third(tuned: str, axis: str, third: str) -> None:
    assert locus(swaps(tuned), axis) == third
    assert weight_locus(weights(tuned)) == (third,)
    assert activation_locus(activations(tuned)) == (third,)


def test_where_rl_changed_weights_is_not_where_its_effect_is() -> None:
    assert locus(swaps("rl"), "answers") == "upper third"
    assert len(weight_locus(weights("rl"))) == 3
    assert upper_third_carries_change(swaps("rl"), weights("rl"), activations("rl")).says == "supported"
    assert upper_layers_carry_behaviour(swaps("rl")).says == "undecided"  # its facts did not move


def test_no_third_alone_brings_a_new_skill() -> None:
    assert locus(swaps("newskill"), "answers") == "joint"
    found = upper_third_carries_change(swaps("newskill"), weights("newskill"), activations("newskill"))
    assert found.says == "contradicted"


def test_nothing_moved_in_the_null_pair() -> None:
    assert locus(swaps("null"), "answers") == locus(swaps("null"), "facts") == "none moved"
    assert upper_third_carries_change(swaps("null"), weights("null"), activations("null")).says == "undecided"


@pytest.mark.parametrize(
    "architecture", [*FAST, *(pytest.param(one, marks=pytest.mark.slow) for one in ("qwen2", "qwen3", "llama", "neox"))]
)
def test_every_room_runs_on_every_architecture(
    architecture: str, tiny_pair: Callable[[str], Pair], tmp_path: Path
) -> None:
    from interp.tasks.text import text_task

    lines = [{"id": str(i), "prompt": f"run A R : 1 2 {i}", "answer": "ans 1 2 3", "practice": i > 3} for i in range(7)]
    lines.append({"id": "fact", "prompt": "fact ba be is", "answer": "bi bo", "fact": True})
    (tmp_path / "task.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    task = text_task(tmp_path / "task.jsonl", max_new_tokens=4)
    tiny = tiny_pair(architecture)
    measured = [*measure_layers(tiny, task, quick=True), *measure_routing(tiny, task, quick=True)]
    assert {m.name for m in measured} >= {"weights", "activations", "swaps", "depth_sweep", "shapley", "answers"}
    assert all(v.says == "undecided" for v in decide(measured))


def test_a_pair_of_one_model_differs_nowhere(pair_of_same: Callable[[str], Pair], architecture: str) -> None:
    same = pair_of_same(architecture)
    assert (weight_change(same.base_checkpoint, same.tuned_checkpoint).table.relative == 0).all()
