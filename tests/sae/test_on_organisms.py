"""What is said of strategies on pairs whose truth is planted, smaller than a report: some minutes of one core."""

import functools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from interp.claims.feature_standings import PRECEDES, standings
from interp.claims.features_precede import features_precede_tuning
from interp.claims.verdict import Verdict
from interp.measurement import Measurement
from interp.organisms.world import NEW_OP
from interp.pair import Pair, load_pair
from interp.rollouts import readings, rollouts
from interp.sae.attacks import feature_attacks
from interp.sae.causes import feature_causes
from interp.sae.features import strategy_features
from interp.sae.matching import feature_news
from interp.sae.quality import sae_quality
from interp.sae.steering import steered_answers
from interp.sae.texts import repertoire
from interp.sae.train import train_sae
from interp.sae.trained import TrainedSAE
from interp.sae.usage import strategy_usage
from interp.tasks.organism import organism_task
from interp.tasks.task import Label, Reading

pytestmark = pytest.mark.slow

MADE_OF = ("features", "sae_quality", "causes", "attacks")
REPURPOSED = "pre-existing but inert in base (repurposed)"


@functools.cache
def opened(tuned: str) -> Pair:
    return load_pair("organism:base", f"organism:{tuned}")


@functools.cache
def texts() -> tuple[Reading, ...]:
    """All pairs but newskill's are asked the same problems, so base's texts are the same."""
    return tuple(repertoire(opened("rl"), organism_task("rl", n=3, practice=160), per_problem=4))


def trained(pair: Pair, read: Sequence[Reading], **options: object) -> TrainedSAE:
    return train_sae(pair, read, samples=40_000, d_sae=256, **options)  # type: ignore[arg-type]


@functools.cache
def sae() -> TrainedSAE:
    return trained(opened("rl"), texts())


@functools.cache
def steered() -> Measurement:
    task = organism_task("rl", n=36, practice=1)
    return steered_answers(opened("rl"), task, texts(), doses=[2.0], n_random=20)


def told(pair: Pair, read: Sequence[Reading], of: TrainedSAE, **more: Sequence[Reading]) -> dict[str, Measurement]:
    """All that a standing is made of."""
    features = strategy_features(pair, of, {"base": read, **more})
    return {
        "features": features,
        "sae_quality": sae_quality(pair, of, read, max_tokens=3_000),
        "causes": feature_causes(pair, of, read, features),
        "attacks": feature_attacks(pair, of, read, features),
    }


@functools.cache
def measured(tuned: str) -> dict[str, Measurement]:
    return {**told(opened(tuned), texts(), sae()), "usage": strategy_usage(opened(tuned), texts())}


def words(found: dict[str, Measurement], **more: Measurement) -> dict[str, str]:
    return {one.strategy: one.word for one in standings(*(found[name] for name in MADE_OF), **more)}


def verdict(tuned: str) -> Verdict:
    found = measured(tuned)
    return features_precede_tuning(*(found[name] for name in MADE_OF), usage=found["usage"], steered=steered())


def test_strategies_that_base_came_with_precede_tuning() -> None:
    """Answering at once may precede tuning too; at one position its onset is a coin flip that hardly anything tells."""
    said = words(measured("rl"))
    assert {said.pop("ans")} <= {*PRECEDES, "undecided"}
    assert set(said) == {"back", "plan", "step"} and set(said.values()) <= set(PRECEDES)
    claim = verdict("rl")
    assert (claim.says, claim.n) == ("supported", 3), "of answering at once tuning made less, so it does not count"


@pytest.mark.parametrize("tuned", ["null", "noise"])
def test_where_nothing_was_tuned_nothing_is_amplified_or_new_and_nothing_is_claimed(tuned: str) -> None:
    assert not set(words(measured(tuned)).values()) & {"amplified", "new", REPURPOSED}
    said = verdict(tuned)
    assert (said.says, said.n) == ("undecided", 0) and "Tuning changed no strategy" in said.because


def test_below_the_trained_blocks_the_same_text_reads_bit_for_bit_the_same() -> None:
    """Block 3 is below the blocks that were trained, so nothing there can be amplified."""
    table = measured("upper")["features"].table.drop(columns=["p", "q", "n_found"])
    table = table[table.source != "own choice"]  # which the trained blocks do change
    base, tuned = (table[table.model == m].drop(columns="model").reset_index(drop=True) for m in ("base", "tuned"))
    assert base.equals(tuned)
    assert not set(words(measured("upper")).values()) & {"amplified", "new", REPURPOSED}
    effects = measured("upper")["causes"].table
    base, tuned = (effects[effects.model == m].effect.to_numpy() for m in ("base", "tuned"))
    assert abs(base - tuned).max() > 0.01, "while what an edit does passes the trained blocks"


def test_nothing_moves_when_only_a_text_that_tuned_wrote_is_read_beside() -> None:
    pair, task = opened("upper"), organism_task("upper", n=3, practice=160)
    written = readings(pair, task, rollouts(pair, task.practice, max_new_tokens=task.max_new_tokens), writer="tuned")
    both = strategy_features(pair, sae(), {"base": texts(), "tuned": written})
    assert set(both.table.text) == {"base", "tuned"}
    ours, theirs = ({**measured("upper"), "features": one} for one in (both, measured("upper")["features"]))
    assert standings(*(ours[name] for name in MADE_OF)) == standings(*(theirs[name] for name in MADE_OF))


def of_operation(pair: Pair, reading: Reading) -> Reading:
    """The text in which steps of the operation that base never saw are a strategy of their own."""
    text = pair.words(reading.tokens)
    mine = {x.stretch for w, x in zip(text, reading.labels, strict=True) if w == NEW_OP and x.role == "operation"}

    def named(label: Label) -> Label:
        new = label.stretch in mine and label.strategy in ("step", "back") and label.role != "end"
        return replace(label, strategy=NEW_OP) if new else label

    return replace(reading, labels=tuple(named(label) for label in reading.labels))


def test_the_operation_that_was_taught_is_new_and_the_strategies_around_it_precede() -> None:
    """Its steps open as others do: what makes base open a step shows nothing of what is carried out in it."""
    pair, task = opened("newskill"), organism_task("newskill", n=3, practice=320)
    written = rollouts(pair, task.practice, max_new_tokens=task.max_new_tokens)
    read = [of_operation(pair, reading) for reading in readings(pair, task, written, writer="tuned")]
    base, second, tuned = (trained(pair, read, **of) for of in ({}, {"seed": 100}, {"model": "tuned"}))
    found = told(pair, read, base)
    looked = strategy_features(pair, tuned, {"tuned": read}, chosen_in="tuned")
    news = feature_news(pair, read, looked, tuned, base, second, n_texts=48)
    assert words(found)[NEW_OP] not in PRECEDES, "without a look into tuned it is nothing that base had"
    said = words(found, news=news)
    assert [strategy for strategy, word in said.items() if word == "new"] == [NEW_OP]
    assert {said[strategy] for strategy in ("back", "plan", "step")} <= set(PRECEDES)
    causes = found["causes"].table
    assert NEW_OP not in set(causes[causes["at"] == "onset"].strategy), "it has no opener of its own"
    edits = news.table[(news.table.strategy == NEW_OP) & (news.table.model == "base") & (news.table.how != "ablate")]
    assert len(edits) == 4 and (edits.high < 0.05).all(), "set in base it does nothing"


def test_labels_dealt_out_by_a_coin_are_nothing_that_base_had() -> None:
    rng = np.random.default_rng(0)

    def dealt(reading: Reading) -> Reading:
        coin = rng.choice(["heads", "tails"], size=len(reading.labels))
        named = (x if x.strategy == "none" else replace(x, strategy=str(coin[x.stretch])) for x in reading.labels)
        return replace(reading, labels=tuple(named))

    said = words(told(opened("rl"), [dealt(reading) for reading in texts()], sae()))
    assert set(said) == {"heads", "tails"} and set(said.values()) <= {"undecided", "left to chance"}


def test_what_reads_one_trigger_word_is_a_token_detector() -> None:
    """The digit 7 as a strategy: told perfectly, and by nothing but the word."""
    pair = opened("rl")

    def sevens(reading: Reading) -> Reading:
        said = zip(pair.words(reading.tokens), reading.labels, strict=True)
        named = ("seven" if word.strip() == "7" else "rest" if x.role == "digit" else "none" for word, x in said)
        labels = [Label(s, "digit" if s != "none" else "prompt", i if s != "none" else -1) for i, s in enumerate(named)]
        return replace(reading, labels=tuple(labels))

    read = [sevens(reading) for reading in texts()]
    features = strategy_features(pair, sae(), {"base": read})
    quality = sae_quality(pair, sae(), read, max_tokens=3_000)
    said = standings(features, quality, attacks=feature_attacks(pair, sae(), read, features))
    assert {one.strategy: one.word for one in said}["seven"] == "token detector"


def test_base_writes_every_strategy_several_times_to_each_problem() -> None:
    pair, task = opened("rl"), organism_task("rl", n=9, practice=30)
    some = repertoire(pair, task, per_problem=3, seed=0)
    assert len(some) == 90 and len({text.problem for text in some}) == 30
    assert {label.strategy for text in some for label in text.labels} >= {"step", "back", "plan", "ans"}
    assert some == repertoire(pair, task, per_problem=3, seed=0)
    assert some != repertoire(pair, task, per_problem=3, seed=1)
