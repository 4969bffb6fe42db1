from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from interp.claims.feature_standings import standings
from interp.measurement import Measurement
from interp.organisms.language import VOCABULARY
from interp.sae.attacks import feature_attacks, judged
from interp.sae.features import strategy_features
from interp.sae.trained import TrainedSAE
from interp.tasks.task import Label, Reading

STEP = VOCABULARY.index("step")


@pytest.fixture(scope="module")
def worded(readings) -> list[Reading]:
    """The same texts, in which the strategy "worded" is nothing but the token `step`."""

    def labels(reading: Reading) -> tuple[Label, ...]:
        return tuple(
            label
            if label.role == "prompt"
            else Label("worded", "text", number)
            if token == STEP
            else Label("none", "text")
            for number, (token, label) in enumerate(zip(reading.tokens, reading.labels, strict=True))
        )

    return [replace(reading, labels=labels(reading)) for reading in readings]


@pytest.fixture(scope="module")
def detector(tiny_pair, detector_of) -> TrainedSAE:
    return detector_of(tiny_pair("llama"), STEP)


@pytest.fixture(scope="module")
def of_words(tiny_pair, detector, worded) -> Measurement:
    return strategy_features(tiny_pair("llama"), detector, {"all": worded})


def test_a_planted_trigger_word_detector_is_token_driven(tiny_pair, detector, worded, of_words):
    pair = tiny_pair("llama")
    row = of_words.table.query("source == 'sae' and model == 'base'").iloc[0]
    assert row.feature == 0 and row.auroc > 0.99, "it tells the strategy without fault"
    table = feature_attacks(pair, detector, worded, of_words).table.set_index("attack")
    assert (table.says.drop("same position") == "token-driven").all()
    assert "step" in table.tokens.iloc[0].split()
    for attack in ("replace", "insert", "prepend"):
        assert table.d[attack] > 2 and table.low[attack] > 0.8 > table.control[attack]


def test_the_verdict_on_it_is_token_detector(tiny_pair, detector, worded, of_words):
    pair = tiny_pair("llama")
    attacks = feature_attacks(pair, detector, worded, of_words)
    fits = [{"model": m, "bos": "excluded", "fvu": 0.1, "kl_recovered": 0.9} for m in ("base", "tuned")]
    quality = Measurement("sae_quality", "shares", pd.DataFrame(fits), {})
    [one] = standings(of_words, quality, attacks=attacks)
    assert one.word == "token detector" and "reads words" in one.because


def test_a_feature_that_no_token_raises_is_not(tiny_pair, small_sae, readings, features):
    """A feature of position: what stands in the text, whatever the words, leaves it where it was."""
    pair = tiny_pair("llama")
    told = features.table[features.table["at"] == "content"].assign(sign=1, auroc=0.9)
    table = feature_attacks(pair, small_sae, readings, replace(features, table=told), n_texts=30).table
    table = table[table.attack != "same position"]
    injected = table[table.attack.isin(["replace", "insert", "prepend"])]
    beyond = (injected.d - injected.control.clip(lower=0)).groupby([injected.strategy, injected["at"]]).max()
    says = injected.groupby(["strategy", "at"]).says.first()
    assert [judged(value) for value in beyond] == says.tolist()
    assert "context-dependent" in set(says) or "weakly token-driven" in set(says)


def test_random_tokens_are_no_trigger(tiny_pair, detector, worded, of_words, monkeypatch):
    """The same attack with tokens that the feature does not read finds nothing."""
    pair = tiny_pair("llama")
    digits = [VOCABULARY.index(digit) for digit in "123"]
    monkeypatch.setattr("interp.sae.attacks._triggers", lambda readings, values: digits)
    table = feature_attacks(pair, detector, worded, of_words).table
    table = table[table.attack != "same position"]
    assert (table[table.attack != "strategy"].d < 0.8).all()
    assert set(table.says) <= {"context-dependent", "weakly token-driven", "partly token-driven"}
    assert table[table.attack == "strategy"].d.iloc[0] > 2, "while the strategy itself is seen"


def test_a_feature_that_is_lower_or_tells_nothing_is_not_attacked(tiny_pair, detector, worded, of_words):
    pair = tiny_pair("llama")
    for changed in (of_words.table.assign(sign=-1), of_words.table.assign(auroc=0.6)):
        table = feature_attacks(pair, detector, worded, replace(of_words, table=changed)).table
        assert table.says.tolist() == ["not attacked"] and np.isnan(table.d.iloc[0])


def test_a_paraphrase_that_changes_what_is_read_is_seen(tiny_pair, detector, worded, of_words):
    pair = tiny_pair("llama")
    back = VOCABULARY.index("back")

    def swapped(reading: Reading) -> Reading:
        return replace(reading, tokens=tuple(back if token == STEP else token for token in reading.tokens))

    def longer(reading: Reading) -> Reading:
        """Another form with one more token, whose labels stand elsewhere than the original's."""
        extra = Label("none", "text")
        return replace(
            reading, tokens=(*reading.tokens[:1], back, *reading.tokens[1:]), labels=(extra, *reading.labels)
        )

    told = {}
    for name, paraphrase in (("same", lambda reading: reading), ("swapped", swapped), ("longer", longer)):
        table = feature_attacks(pair, detector, worded, of_words, paraphrase=paraphrase).table
        told[name] = table[table.attack == "paraphrase"].iloc[0]
    assert (told["same"].says, told["same"].n) == ("unclear", 0), "nothing was changed, so nothing was tested"
    assert told["longer"].says == "survives" and told["longer"].retention == pytest.approx(1.0, abs=0.05)
    assert told["swapped"].says == "does not survive" and told["swapped"].retention_high < 0.5
    nothing = feature_attacks(pair, detector, worded, of_words, paraphrase=lambda reading: None).table
    row = nothing[nothing.attack == "paraphrase"].iloc[0]
    assert (row.says, row.n) == ("unclear", 0), "no text has another form"


def test_the_thresholds_are_the_papers():
    words = ["token-driven", "partly token-driven", "weakly token-driven", "context-dependent", "not attacked"]
    assert [judged(d) for d in (0.8, 0.5, 0.2, 0.19, float("nan"))] == words
