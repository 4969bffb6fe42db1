from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from interp.measurement import Measurement
from interp.organisms.language import VOCABULARY
from interp.sae.causes import feature_causes
from interp.sae.features import strategy_features
from interp.sae.sites import is_held_out, onset_sites


@pytest.fixture(scope="module")
def causes(tiny_pair, small_sae, readings, features) -> Measurement:
    unrelated = [text.tokens[:4] for text in readings[:6]]
    return feature_causes(
        tiny_pair("llama"), small_sae, readings, features, at="onset", unrelated=unrelated, n_places=12
    )


def test_a_row_per_strategy_source_edit_and_model(causes):
    keys = causes.table[["strategy", "source", "how", "model"]]
    assert len(keys) == 4 * 2 * 3 * 2 and not keys.duplicated().any()
    twins = causes.table.groupby("source").n_controls.unique().to_dict()
    assert {source: n.tolist() for source, n in twins.items()} == {"sae feature": [20], "difference of means": [40]}
    assert (causes.table.n == 12).all() and causes.table.norm.nunique() == 1, "what is added is as long for all"
    assert ((causes.table.low <= causes.table.effect) & (causes.table.effect <= causes.table.high)).all()
    for name in ("kl", "kl_unrelated", "elsewhere"):
        assert (causes.table[f"{name}_low"] <= causes.table[name]).all()
        assert (causes.table[name] <= causes.table[f"{name}_high"]).all()
    assert (causes.table.kl > -1e-6).all() and (causes.table.kl_unrelated > -1e-6).all()
    assert (causes.table.rank_p >= 1 / (1 + causes.table.n_controls)).all() and (causes.table.rank_p <= 1).all()
    assert (causes.table.effect + causes.table.before).between(0, 1).all()


def test_a_pair_of_one_model_has_one_answer(pair_of_same, small_sae, readings, features):
    table = feature_causes(pair_of_same("llama"), small_sae, readings, features, n_places=6, n_controls=3).table
    assert set(zip(table["at"], table.how, strict=True)) == {
        *(("onset", how) for how in ("add", "clamp", "ablate")),
        ("content", "ablate"),
    }
    assert table.kl_unrelated.isna().all(), "no unrelated text was given"
    base, tuned = (table[table.model == m].drop(columns="model").reset_index(drop=True) for m in ("base", "tuned"))
    assert base.equals(tuned)


def test_random_weights_choose_no_strategy(causes):
    """The tiny models know nothing of strategies, so nothing that was found moves one by as much as 0.05."""
    assert (causes.table.effect.abs() < 0.05).all()


def test_a_planted_feature_opens_its_strategy_and_its_twins_do_not(tiny_pair, small_sae, readings, features):
    """An SAE of the last block whose feature writes what the head reads as `step`."""
    pair = tiny_pair("llama")
    head = pair.base.state_dict()["unembed.weight"]
    reads = head[VOCABULARY.index("step")] - head.mean(0)
    table = features.table.assign(sign=pd.array([1] * len(features.table), "Int64"))
    step = table[(table.source == "sae") & (table.strategy == "step") & (table["at"] == "onset")]
    feature, original = int(step.feature.iloc[0]), small_sae.sae.W_dec.data.clone()
    try:
        small_sae.sae.W_dec.data[feature] = reads / reads.norm()
        told = feature_causes(
            pair,
            replace(small_sae, hook="blocks.3.hook_out"),
            readings,
            replace(features, table=table),
            at="onset",
            strategies=["step"],
            hows=["add"],
            n_places=12,
            dose=20.0,
        )
    finally:
        small_sae.sae.W_dec.data = original
    row = told.table.set_index(["source", "model"]).loc[("sae feature", "base")]
    assert row.effect > 0.3 and row.low > 0 and row.rank_p == pytest.approx(1 / 21)
    assert row.controls_high < row.effect / 2


def test_an_addition_is_the_change_read_by_hand(tiny_pair, small_sae, readings):
    """One cell from its parts: places of held-out problems where another strategy opens, one vector, one softmax."""
    pair, some = tiny_pair("llama"), readings[:60]
    sites, features = onset_sites(some), strategy_features(pair, small_sae, {"some": some})
    told = feature_causes(
        pair, small_sae, some, features, at="onset", strategies=["plan"], hows=["add"], n_places=10_000, n_controls=1
    )
    row = told.table[(told.table.source == "sae feature") & (told.table.model == "base")].iloc[0]
    found = features.table.query("strategy == 'plan' and source == 'sae' and at == 'onset' and model == 'base'").iloc[0]
    unit = small_sae.sae.W_dec[int(found.feature)]
    vector = row.norm * int(found.sign) * unit / unit.norm()
    held_out = np.flatnonzero(sites.held_out)
    opens_at = {int(sites.position[i]) for i in held_out if sites.strategy[i] == "plan"}
    others = [i for i in held_out if sites.strategy[i] != "plan" and int(sites.position[i]) in opens_at]
    assert 0 < len(others) < sum(sites.strategy[held_out] != "plan"), "only where a plan could have opened as well"
    change = []
    for i in others:
        tokens = torch.tensor([some[sites.reading[i]].tokens[: sites.position[i] + 1]])

        def hook(activation, hook):
            return torch.cat([activation[:, :-1], activation[:, -1:] + vector], 1)

        chance = [
            pair.base.run_with_hooks(tokens, fwd_hooks=hooks)[0, -1].softmax(-1)[VOCABULARY.index("plan")]
            for hooks in ([], [(small_sae.hook, hook)])
        ]
        change.append(float(chance[1] - chance[0]))
    assert all(is_held_out(some[sites.reading[i]].problem) for i in others)
    assert row.n == len(others) and row.effect == pytest.approx(np.mean(change), abs=1e-5)


def test_in_content_the_next_token_is_what_is_asked_for(tiny_pair, small_sae, readings, features):
    table = feature_causes(
        tiny_pair("llama"), small_sae, readings, features, at="content", strategies=["back"], n_places=8, n_controls=2
    ).table
    assert set(table["at"]) == {"content"} and (table.groupby("model").before.nunique() == 1).all()


def test_places_that_are_not_there(tiny_pair, small_sae, readings, features):
    with pytest.raises(ValueError, match="cannot be told apart at 'middle'"):
        feature_causes(tiny_pair("llama"), small_sae, readings, features, at="middle")
    none = replace(features, table=features.table.assign(feature=pd.array([None] * len(features.table), "Int64")))
    with pytest.raises(ValueError, match="no strategy has a feature and places to change"):
        feature_causes(tiny_pair("llama"), small_sae, readings, none)
