from dataclasses import replace

import numpy as np
import pytest
import torch
from sae_lens import TopKSAE, TopKSAEConfig

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
def detector(tiny_pair) -> TrainedSAE:
    """An SAE of the embedding with one feature that reads the token `step` and seven that read nothing of use."""
    embedding = tiny_pair("llama").base.state_dict()["embed.weight"]
    centred = embedding - embedding.mean(0)
    # What `step` has and no other token: the ridge solution of "1 on step, 0 elsewhere".
    target = torch.zeros(len(embedding))
    target[STEP] = 1.0
    reads = torch.linalg.lstsq(centred.T @ centred + 0.1 * torch.eye(32), centred.T @ target).solution
    other = torch.randn(32, 7, generator=torch.Generator().manual_seed(0)) / 32
    encoder = torch.cat([reads[:, None], other], 1)
    sae = TopKSAE(TopKSAEConfig(d_in=32, d_sae=8, k=8))
    decoder = encoder.T / encoder.T.norm(dim=1, keepdim=True)
    state = {"W_enc": encoder, "W_dec": decoder, "b_enc": torch.zeros(8), "b_dec": embedding.mean(0)}
    sae.load_state_dict(state)
    return TrainedSAE(sae.requires_grad_(False), "blocks.0.hook_in", {"k": 8})


def test_a_planted_trigger_word_detector_is_token_driven(tiny_pair, detector, worded):
    pair = tiny_pair("llama")
    features = strategy_features(pair, detector, {"all": worded})
    row = features.table.query("source == 'sae' and model == 'base'").iloc[0]
    assert row.feature == 0 and row.auroc > 0.99, "it tells the strategy without fault"
    table = feature_attacks(pair, detector, worded, features).table.set_index("attack")
    assert (table.says == "token-driven").all()
    assert "step" in table.tokens.iloc[0].split()
    for attack in ("replace", "insert", "prepend"):
        assert table.d[attack] > 2 and table.low[attack] > 0.8 > table.control[attack]


def test_a_feature_that_no_token_raises_is_not(tiny_pair, small_sae, readings):
    """A feature of position: what stands in the text, whatever the words, leaves it where it was."""
    pair = tiny_pair("llama")
    features = strategy_features(pair, small_sae, {"all": readings})
    told = features.table.assign(sign=1, auroc=0.9)
    shuffled = replace(features, table=told)
    table = feature_attacks(pair, small_sae, readings, shuffled, n_texts=40).table
    injected = table[table.attack.isin(["replace", "insert", "prepend"])]
    beyond = (injected.d - injected.control.clip(lower=0)).groupby([injected.strategy, injected["at"]]).max()
    says = injected.groupby(["strategy", "at"]).says.first()
    assert [judged(value) for value in beyond] == says.tolist()
    assert "context-dependent" in set(says) or "weakly token-driven" in set(says)


def test_random_tokens_are_no_trigger(tiny_pair, detector, worded, monkeypatch):
    """The same attack with tokens that the feature does not read finds nothing."""
    pair = tiny_pair("llama")
    features = strategy_features(pair, detector, {"all": worded})
    digits = [VOCABULARY.index(digit) for digit in "123"]
    monkeypatch.setattr("interp.sae.attacks._triggers", lambda readings, values: digits)
    table = feature_attacks(pair, detector, worded, features).table
    assert (table[table.attack != "strategy"].d < 0.8).all()
    assert set(table.says) <= {"context-dependent", "weakly token-driven", "partly token-driven"}
    assert table[table.attack == "strategy"].d.iloc[0] > 2, "while the strategy itself is seen"


def test_a_feature_that_is_lower_or_tells_nothing_is_not_attacked(tiny_pair, detector, worded):
    pair = tiny_pair("llama")
    features = strategy_features(pair, detector, {"all": worded})
    for changed in (features.table.assign(sign=-1), features.table.assign(auroc=0.6)):
        table = feature_attacks(pair, detector, worded, replace(features, table=changed)).table
        assert table.says.tolist() == ["not attacked"] and np.isnan(table.d.iloc[0])


def test_a_paraphrase_that_changes_what_is_read_is_seen(tiny_pair, detector, worded):
    pair = tiny_pair("llama")
    features = strategy_features(pair, detector, {"all": worded})
    swap = {STEP: VOCABULARY.index("back")}
    for paraphrase, survives in (({}, True), (swap, False)):
        table = feature_attacks(pair, detector, worded, features, paraphrase=paraphrase).table
        row = table[table.attack == "paraphrase"].iloc[0]
        assert row.says == ("survives" if survives else "does not survive")
        assert (row.retention == pytest.approx(1.0)) == survives


def test_the_thresholds_are_the_papers():
    words = ["token-driven", "partly token-driven", "weakly token-driven", "context-dependent", "not attacked"]
    assert [judged(d) for d in (0.8, 0.5, 0.2, 0.19, float("nan"))] == words
