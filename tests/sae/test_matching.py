from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from interp.measurement import Measurement
from interp.sae.matching import best_cosines, feature_news
from interp.sae.train import train_sae


def test_an_sae_matches_itself_and_a_shuffled_one(small_sae):
    torch.testing.assert_close(best_cosines(small_sae, small_sae), torch.ones(64))


def test_another_width_or_hook_is_refused(small_sae):
    with pytest.raises(ValueError, match="'blocks.2.hook_out' of width 32 and 'blocks.1.hook_out' of width 32"):
        best_cosines(small_sae, replace(small_sae, hook="blocks.1.hook_out"))


def test_news_hold_the_match_and_its_null(tiny_pair, small_sae, readings):
    pair = tiny_pair("llama")
    second = train_sae(pair, readings, d_sae=64, k=4, samples=10_000, seed=1)
    made_up = pd.DataFrame([{"strategy": "step", "at": "onset", "feature": 3, "how": "add", "effect": 0.1}])
    told = {"strategy": "step", "at": "onset", "source": "sae", "model": "tuned", "text": "t", "low": 0.9}
    features = Measurement("features", "", pd.DataFrame([told]), {})
    causes = Measurement("causes", "", made_up, {})
    row = feature_news(features, causes, small_sae, small_sae, second).table.iloc[0]
    assert row.cosine == pytest.approx(1.0) and row.told_low == 0.9
    assert row.seed_low == pytest.approx(float(np.quantile(best_cosines(second, small_sae).numpy(), 0.05)))
    assert row.random_high < 0.75 < row.cosine, "64 directions in 32 dimensions: chance is high, a match is higher"
