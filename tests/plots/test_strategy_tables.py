import numpy as np
import pandas as pd

from interp.measurement import Measurement
from interp.plots.strategy_tables import cluster_text, fitted_text, news_text, usage_text


def made(name, rows):
    return Measurement(name, "", pd.DataFrame(rows), {})


def test_what_moved_onto_a_strategy_and_off_it_stand_apart():
    row = {"strategy": "step", "decision": "first", "base": 0.2, "tuned": 0.3, "n": 1200, "n_problems": 300}
    row |= {"gained": 0.25, "gained_low": 0.2, "gained_high": 0.3, "lost": 0.15, "lost_low": 0.1, "lost_high": 0.2}
    text = usage_text(made("usage", [row]))
    moved = ["25% (20% to 30%)", "15% (10% to 20%)"]
    assert text.rows == [["step", "first", "20%", "30%", *moved, "1,200", "300"]]
    assert len(text.head) == len(text.rows[0])


def test_of_tunings_own_the_edits_in_base_and_the_ablation_in_tuned_are_told():
    told = {"told_low": 0.91, "able": 0.5, "able_low": 0.4, "able_high": 0.6, "n": 90, "n_texts": 30, "feature": 7}
    told |= {"seed_low": 0.42, "random_high": 0.44, "cosine": 0.1, "strategy": "Z"}
    effects = {("base", "add"): 0.01, ("base", "clamp"): 0.02, ("base", "ablate"): 9.0}
    effects |= {("tuned", "add"): 9.0, ("tuned", "clamp"): 9.0, ("tuned", "ablate"): -0.3}
    rows = [
        {**told, "source": source, "model": model, "how": how, "effect": effect, "low": effect, "high": effect}
        for source in ("sae feature", "difference of means")
        for (model, how), effect in effects.items()
    ]
    text = news_text(made("news", rows))
    feature, direction = text.rows
    assert feature[:5] == ["Z", "SAE feature 7", "0.91", "0.10", "0.42 / 0.44"]
    assert [cell[:5] for cell in feature[6:9]] == ["+0.01", "+0.02", "-0.30"] and "30 texts" in text.caption
    assert direction[1] == "difference of means" and direction[4] == "–", "the limits are those of features"
    assert {len(feature), len(direction)} == {len(text.head)}


def test_kinds_without_labels_say_so():
    row = {"model": "base", "n_clusters": 3, "consistency": 0.9, "null_mean": 0.8, "null_high": 0.85, "p": 1 / 21}
    row |= {"n_steps": 5000, "best": True}
    known = {"agreement": 0.5, "agreement_high": 0.01, "agreement_p": 1 / 21}
    unknown = dict.fromkeys(known, np.nan) | {"best": False}
    text = cluster_text(made("clusters", [row | known, row | unknown]))
    assert text.rows[0] == ["base", "3, furthest above", "0.90", "0.85", "0.05", "0.50", "0.01"]
    assert text.rows[1][1:] == ["3", "0.90", "0.85", "0.05", "no labels", ""]
    assert len(text.head) == 7 and "5,000 steps" in text.caption


def test_fitted_vectors_stand_beside_those_for_tokens():
    effects = {("strategy", "step"): 0.6, ("strategy", "back"): 0.4, ("token", "7"): 0.7}
    rows = [
        {"fitted_for": kind, "goal": goal, "model": model, "dose": 1.0, "effect": effect + (model == "tuned") / 10}
        for (kind, goal), effect in effects.items()
        for model in ("base", "tuned")
    ]
    text = fitted_text(made("fitted", rows))
    strategy, token = text.rows
    assert strategy == ["1", "opening a strategy", "2", "+0.50", "+0.40 to +0.60", "+0.60", "+0.50 to +0.70"]
    assert token[1:4] == ["a token that opens nothing", "1", "+0.70"] and len(text.head) == len(token)
