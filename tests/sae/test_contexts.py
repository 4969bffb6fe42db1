from dataclasses import replace

import pandas as pd
import pytest

from interp.sae.activations import activations
from interp.sae.contexts import feature_contexts
from interp.sae.features import strategy_features


@pytest.fixture(scope="module")
def features(tiny_pair, small_sae, readings):
    return strategy_features(tiny_pair("llama"), small_sae, {"all": readings})


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
    base, tuned = (table[table.model == m]["words"].tolist() for m in ("base", "tuned"))
    assert base == tuned, "both models read the same words"


def test_without_features_there_is_nothing_to_look_at(tiny_pair, small_sae, readings, features):
    none = replace(features, table=features.table.assign(feature=pd.array([None] * len(features.table), "Int64")))
    with pytest.raises(ValueError, match="there is no feature to look at"):
        feature_contexts(tiny_pair("llama"), small_sae, readings, none)
