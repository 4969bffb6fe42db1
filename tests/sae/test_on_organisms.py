"""The whole room on pairs whose truth is planted."""

import functools

import pytest

from interp.claims.features_precede import standings
from interp.measurement import Measurement
from interp.pair import load_pair
from interp.sae.texts import repertoire
from interp.tasks.organism import organism_task
from interp.workbench import decide, measure_features

pytestmark = pytest.mark.slow


@functools.cache
def measured(tuned: str) -> dict[str, Measurement]:
    pair = load_pair("organism:base", f"organism:{tuned}")
    task = organism_task(tuned, n=30, practice=200)
    return {m.name: m for m in measure_features(pair, task, quick=True)}


def words(tuned: str) -> dict[str, str]:
    found = measured(tuned)
    told = standings(found["features"], found["sae_quality"], found["causes"], found["attacks"])
    return {one.strategy: one.word for one in told}


def test_strategies_that_base_came_with_precede_tuning() -> None:
    assert words("rl") == dict.fromkeys(("ans", "back", "plan", "step"), "pre-existing and causal")
    [verdict] = decide(list(measured("rl").values()))
    assert verdict.says == "supported" and verdict.n == 4


@pytest.mark.parametrize("tuned", ["null", "noise"])
def test_where_nothing_was_tuned_nothing_is_amplified_or_new(tuned: str) -> None:
    assert not set(words(tuned).values()) & {"amplified", "new", "pre-existing but inert in base (repurposed)"}


def test_below_the_trained_blocks_the_same_text_reads_bit_for_bit_the_same() -> None:
    table = measured("upper")["features"].table
    same = table[(table.text == "base") & ~table.source.str.contains("untrained")].drop(columns=["p", "q", "n_found"])
    base, tuned = (same[same.model == m].drop(columns="model").reset_index(drop=True) for m in ("base", "tuned"))
    assert base.equals(tuned), "block 3 is below the blocks that were trained"
    effects = measured("upper")["causes"].table
    base, tuned = (effects[effects.model == m].effect.to_numpy() for m in ("base", "tuned"))
    assert abs(base - tuned).max() > 0.01, "while what an edit does passes the trained blocks"


def test_base_writes_every_strategy_several_times_to_each_problem() -> None:
    pair, task = load_pair("organism:base", "organism:rl"), organism_task("rl", n=9, practice=30)
    texts = repertoire(pair, task, per_problem=3, seed=0)
    assert len(texts) == 90 and len({text.problem for text in texts}) == 30
    assert {label.strategy for text in texts for label in text.labels} >= {"step", "back", "plan", "ans"}
    assert texts == repertoire(pair, task, per_problem=3, seed=0)
    assert texts != repertoire(pair, task, per_problem=3, seed=1)
