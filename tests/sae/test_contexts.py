import copy
from dataclasses import replace

import pandas as pd
import pytest

from interp.sae.activations import activations
from interp.sae.contexts import feature_contexts, neuronpedia


def test_contexts_are_the_texts_where_the_feature_is_highest(tiny_pair, small_sae, readings, features):
    pair = tiny_pair("llama")
    table = feature_contexts(pair, small_sae, readings, features, n=3, width=8).table
    assert len(table) == 4 * 2 * 3 * 2
    assert (table["words"].map(len) == 8).all() and (table["values"].map(len) == 8).all()
    encoded = small_sae.encode(activations(pair.base, readings, small_sae.hook))
    for (_, _, feature), rows in table[table.model == "base"].groupby(["strategy", "at", "feature"]):
        assert max(rows[rows["rank"] == 0]["values"].iloc[0]) == pytest.approx(float(encoded[:, feature].max()))
        assert rows.problem.is_unique
        peaks = rows.sort_values("rank")["values"].map(max).tolist()
        assert peaks == sorted(peaks, reverse=True)
        assert rows.iloc[0].firing == pytest.approx(float((encoded[:, feature] > 0).double().mean()))
        assert sum(rows.iloc[0].counts) == int((encoded[:, feature] > 0).sum())
        weights = pair.base.state_dict()["unembed.weight"] @ small_sae.sae.W_dec[feature]
        assert rows.iloc[0].promotes[0] == pair.words([int(weights.argmax())])[0]
        assert rows.iloc[0].suppresses[0] == pair.words([int(weights.argmin())])[0]
        assert rows.iloc[0].weights[0] == pytest.approx(float(weights.max()))
    assert (table.neuronpedia == "").all(), "trained here, so it is nowhere else"
    base, tuned = (table[table.model == m]["words"].tolist() for m in ("base", "tuned"))
    assert base == tuned, "both models read the same words"


def test_without_features_there_is_nothing_to_look_at(tiny_pair, small_sae, readings, features):
    none = replace(features, table=features.table.assign(feature=pd.array([None] * len(features.table), "Int64")))
    with pytest.raises(ValueError, match="there is no feature to look at"):
        feature_contexts(tiny_pair("llama"), small_sae, readings, none)


def test_a_released_feature_has_its_address(small_sae):
    released = copy.deepcopy(small_sae.sae)
    released.cfg.metadata.neuronpedia_id = "gpt2-small/8-res-jb"
    assert neuronpedia(replace(small_sae, sae=released), 7) == "https://www.neuronpedia.org/gpt2-small/8-res-jb/7"
