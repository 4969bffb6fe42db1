"""The features verdict on tables whose truth is planted."""

import math

import pandas as pd
import pytest

from interp.claims.features_precede import features_precede_tuning
from interp.measurement import Measurement

BASELINES = {"raw dimension": 0.75, "random direction": 0.70, "shuffled labels": 0.53}


def features(
    strategies: dict[str, float | dict[str, float]], *, n_positive: int = 400, width: float = 0.02
) -> Measurement:
    """AUROC of each strategy's SAE feature, or of several sources; intervals reach `width` to both sides."""
    rows = []
    for strategy, planted in strategies.items():
        of = {**BASELINES, **(planted if isinstance(planted, dict) else {"sae": planted})}
        for source, auroc in of.items():
            for model in ("base", "tuned"):
                row = {"strategy": strategy, "at": "onset", "source": source, "feature": 7, "model": model}
                row |= {"auroc": auroc, "low": auroc - width, "high": min(1.0, auroc + width), "firing": 0.5}
                rows.append(row | {"mean": 1.0, "n_positive": n_positive, "n_negative": 900, "n_searched": 512})
    return Measurement("features", "held-out AUROC", pd.DataFrame(rows), {})


def quality(base: float = 0.03, tuned: float = 0.05) -> Measurement:
    rows = [
        {"model": model, "bos": bos, "fvu": fvu * (1 if bos == "excluded" else 20)}
        for model, fvu in (("base", base), ("tuned", tuned))
        for bos in ("excluded", "included")
    ]
    return Measurement("sae_quality", "shares", pd.DataFrame(rows), {})


def test_features_that_beat_their_baselines_support_it() -> None:
    verdict = features_precede_tuning(features({"step": 0.95, "back": 0.9, "plan": 0.93}), quality())
    assert verdict.says == "supported"
    assert (verdict.estimate, verdict.n) == (1.0, 3)
    assert verdict.low is not None and verdict.low < 0.5
    for sentence in (
        "step at onset: pre-existing",
        "the best of 512 features 0.950 (0.930 to 0.970), which beats the best raw dimension, 0.750",
        "Not tested here: whether a feature causes anything",
        "What would change our mind",
    ):
        assert sentence in verdict.because


def test_strategies_without_a_feature_contradict_it() -> None:
    verdict = features_precede_tuning(features({"step": 0.6, "back": 0.7}), quality())
    assert verdict.says == "contradicted"
    assert verdict.estimate == 0.0
    assert "step at onset: not found" in verdict.because
    assert "by a direction that is no feature" not in verdict.because


def test_a_feature_that_loses_to_a_random_direction_is_not_one() -> None:
    verdict = features_precede_tuning(features({"step": {"sae": 0.9, "random direction": 0.97}}), quality())
    assert verdict.says == "contradicted"
    assert "which loses to the best random direction, 0.970" in verdict.because
    assert "Base does tell step apart (AUROC 0.8 or more), by a direction that is no feature." in verdict.because


def test_a_feature_level_with_a_baseline_is_unclear() -> None:
    verdict = features_precede_tuning(features({"step": {"sae": 0.93, "raw dimension": 0.92}}), quality())
    assert verdict.says == "undecided"
    assert "step at onset: unclear" in verdict.because
    assert "which is not clearly above the best raw dimension" in verdict.because


def test_good_labels_alone_are_not_enough_if_shuffled_ones_do_as_well() -> None:
    verdict = features_precede_tuning(features({"step": {"sae": 0.93, "shuffled labels": 0.92}}), quality())
    assert verdict.says == "undecided"


def test_strategies_that_differ_leave_it_undecided_and_are_listed() -> None:
    verdict = features_precede_tuning(features({"step": 0.95, "back": 0.6, "plan": {"sae": 0.81}}), quality())
    assert verdict.says == "undecided"
    assert verdict.estimate == pytest.approx(1 / 3)
    assert "pre-existing for step, not found for back and unclear for plan" in verdict.because


def test_only_strategies_without_a_feature_are_said_to_be_read_by_another_direction() -> None:
    by_direction = {"sae": 0.6, "random direction": 0.95}
    verdict = features_precede_tuning(
        features({"step": {"sae": 0.99, "raw dimension": 0.9}, "back": by_direction}), quality()
    )
    assert verdict.says == "undecided"
    assert "Base does tell back apart" in verdict.because


def test_a_strategy_counts_once_and_by_its_better_place() -> None:
    onset, content = features({"step": 0.95}).table, features({"step": 0.6}).table.assign(at="content")
    both = Measurement("features", "held-out AUROC", pd.concat([onset, content]), {})
    verdict = features_precede_tuning(both, quality())
    assert (verdict.says, verdict.n) == ("supported", 1)
    assert "step in content: not found" in verdict.because


def test_too_few_positive_tokens_give_no_verdict_on_that_strategy() -> None:
    few, many = features({"plan": 0.5}, n_positive=40).table, features({"step": 0.95}).table
    verdict = features_precede_tuning(Measurement("features", "held-out AUROC", pd.concat([few, many]), {}), quality())
    assert (verdict.says, verdict.n) == ("supported", 1)
    assert "plan at onset: 40 positive tokens, fewer than 100, no verdict." in verdict.because
    alone = features_precede_tuning(features({"plan": 0.99}, n_positive=40), quality())
    assert (alone.says, alone.n, alone.estimate) == ("undecided", 0, None)


def test_an_auroc_without_an_interval_gives_no_verdict() -> None:
    table = features({"step": 0.95}).table.assign(low=math.nan)
    verdict = features_precede_tuning(Measurement("features", "held-out AUROC", table, {}), quality())
    assert (verdict.says, verdict.n) == ("undecided", 0)


@pytest.mark.parametrize(("base", "tuned"), [(0.31, 0.2), (0.1, 0.35), (0.02, 0.07), (0.1, 0.02)])
def test_an_sae_that_does_not_fit_both_models_is_invalid(base: float, tuned: float) -> None:
    verdict = features_precede_tuning(features({"step": 0.99}), quality(base, tuned))
    assert (verdict.says, verdict.estimate) == ("undecided", None)
    assert verdict.because.startswith("SAE invalid")
    assert f"leaves {base:.3f} of the variance unexplained in base and {tuned:.3f} in tuned" in verdict.because


def test_a_feature_that_is_lower_on_the_strategy_is_called_so() -> None:
    table = features({"step": 0.95}).table.assign(sign=-1)
    verdict = features_precede_tuning(Measurement("features", "held-out AUROC", table, {}), quality())
    assert "features (lower on the strategy) 0.950" in verdict.because


def test_a_missing_or_doubled_baseline_is_named() -> None:
    table = features({"step": 0.95}).table
    without = table[table["source"] != "random direction"]
    with pytest.raises(ValueError, match="strategy 'step' at 'onset' has 0 rows of 'random direction' in base"):
        features_precede_tuning(Measurement("features", "held-out AUROC", without, {}), quality())
    with pytest.raises(ValueError, match="has 2 rows of 'sae' in base"):
        features_precede_tuning(Measurement("features", "held-out AUROC", pd.concat([table, table]), {}), quality())


def test_quality_of_both_models_is_needed() -> None:
    one = quality().table.query("model == 'base'")
    with pytest.raises(ValueError, match="has to hold base and tuned once each"):
        features_precede_tuning(features({"step": 0.95}), Measurement("sae_quality", "shares", one, {}))


def test_saved_and_read_again_it_is_the_same_verdict(tmp_path) -> None:  # type: ignore[no-untyped-def]
    made = (features({"step": 0.95, "back": 0.6}), quality())
    again = [Measurement.load(measurement.save(tmp_path)) for measurement in made]
    assert features_precede_tuning(*again) == features_precede_tuning(*made)
