import math
from typing import Any

import pandas as pd
import pytest

from interp.claims.feature_standings import standings
from interp.claims.features_precede import features_precede_tuning
from interp.measurement import Measurement

SAE = {"sae": 0.95, "raw dimension": 0.75, "random direction": 0.7, "difference of means": 0.78, "linear probe": 0.79}
"""A feature that beats what it has to; no direction that tells the strategy."""
DIRECTION = {"sae": 0.7, "raw dimension": 0.75, "random direction": 0.8, "difference of means": 0.9}
"""A direction that tells it and no feature."""
NOTHING = {"sae": 0.6, "raw dimension": 0.65, "random direction": 0.66, "difference of means": 0.68}


def features(
    strategies: dict[str, dict[str, float]], n_positive: int = 200, at: str = "onset", **columns: Any
) -> Measurement:
    rows = []
    for strategy, aurocs in strategies.items():
        for source, auroc in {"shuffled labels": 0.5, **aurocs}.items():
            for model in ("base", "tuned"):
                row = {"strategy": strategy, "at": at, "source": source, "model": model, "feature": 7, "sign": 1}
                row |= {"text": "base", "auroc": auroc, "low": auroc - 0.02, "high": auroc + 0.02}
                row |= {"d": 2.0, "d_low": 1.8, "d_high": 2.2}
                for by in ("position", "token"):
                    row |= {f"{by}_matched": 0.9, f"{by}_low": 0.85, f"{by}_high": 0.95}
                rows.append(row | {"n_positive": n_positive, "n_negative": 900, "n_searched": 512} | columns)
    return Measurement("features", "held-out AUROC", pd.DataFrame(rows), {})


def quality(base: float = 0.03, tuned: float = 0.05, kl: float = 0.98) -> Measurement:
    rows = [
        {"model": model, "bos": bos, "fvu": fvu * (1 if bos == "excluded" else 20), "kl_recovered": kl}
        for model, fvu in (("base", base), ("tuned", tuned))
        for bos in ("excluded", "included")
    ]
    return Measurement("sae_quality", "shares", pd.DataFrame(rows), {})


def causes(effects: dict[tuple[str, str, str], float], at: str = "onset", rank_p: float = 1 / 21) -> Measurement:
    """Effects by (strategy, source, model); what is not named does nothing."""
    rows = []
    for strategy in dict.fromkeys(key[0] for key in effects):
        for source in ("sae feature", "difference of means"):
            for model in ("base", "tuned"):
                effect = effects.get((strategy, source, model), 0.0)
                for how, sign in (("add", 1), ("clamp", 0.5), ("ablate", -0.5)):
                    value, width = sign * effect, 0.02
                    row = {"strategy": strategy, "at": at, "source": source, "model": model, "how": how}
                    row |= {"effect": value, "low": value - width, "high": value + width}
                    row |= {"controls_low": -0.01, "controls_high": 0.01}
                    rows.append(row | {"rank_p": rank_p if effect else 0.6})
    return Measurement("causes", "change in probability", pd.DataFrame(rows), {})


def usage(**gained: float) -> Measurement:
    """Strategies by how much probability tuning moved onto them at a text's first decision; none later."""
    rows = [
        {"strategy": strategy, "decision": decision, "gained": value, "gained_low": value - 0.01}
        | {"gained_high": value + 0.01}
        for strategy, most in gained.items()
        for decision, value in (("first", most), ("later", 0.0))
    ]
    return Measurement("usage", "probability", pd.DataFrame(rows), {})


def steered(strategy: str, solved: float, *, twin: float = 0.1, n: int = 40) -> Measurement:
    """Shares of problems that base solves with nothing (a tenth), the strategy's direction or one of 5 twins added."""
    arms = [("nothing", "", 0.0, 0, 0.1), ("steered", strategy, 2.0, 0, solved)]
    arms += [("twin", strategy, 2.0, draw, twin) for draw in range(5)]
    rows = [
        {"arm": arm, "strategy": of, "dose": dose, "draw": draw, "problem": f"p{i}", "correct": i < share * n}
        for arm, of, dose, draw, share in arms
        for i in range(n)
    ]
    return Measurement("steered", "answered correctly", pd.DataFrame(rows), {})


def word(*measured: Measurement, **more: Measurement) -> str:
    [one] = standings(measured[0], quality(), *measured[1:], **more)
    return one.word


def both(strategy: str, source: str, base: float, tuned: float) -> dict[tuple[str, str, str], float]:
    return {(strategy, source, "base"): base, (strategy, source, "tuned"): tuned}


def test_a_feature_that_tells_and_moves_base_precedes_tuning() -> None:
    told, moved = features({"step": SAE}), causes(both("step", "sae feature", 0.3, 0.3))
    verdict = features_precede_tuning(told, quality(), moved, usage=usage(step=0.3, back=0.3, plan=0.3))
    assert (verdict.says, verdict.estimate, verdict.n) == ("supported", 1.0, 1)
    for sentence in (
        "step at onset: pre-existing and causal",
        "the best of 512 features 0.950 (0.930 to 0.970), which beats its strongest control, raw dimension, 0.750",
        "adding the feature changes the probability of the strategy by 0.30 (0.28 to 0.32) (twins -0.01 to +0.01)",
        "What would change our mind",
    ):
        assert sentence in verdict.because


def test_a_direction_counts_where_no_feature_does() -> None:
    told, moved = features({"step": DIRECTION}), causes(both("step", "difference of means", 0.2, 0.2))
    [one] = standings(told, quality(), moved)
    assert (one.word, one.carrier) == ("pre-existing and causal", "difference of means")
    assert "which loses to its strongest control, random direction" in one.because
    assert "a direction fitted with labels (difference of means) tells it with 0.900" in one.because
    other = causes(both("step", "sae feature", 0.2, 0.2))
    assert word(told, other) == "undecided", "the effect has to be that of what tells the strategy"


def test_what_only_tuned_uses_is_repurposed() -> None:
    told = features({"step": SAE})
    assert word(told, causes(both("step", "sae feature", 0.0, 0.3))) == "pre-existing but inert in base (repurposed)"
    verdict = features_precede_tuning(
        told, quality(), causes(both("step", "sae feature", 0.0, 0.3)), usage=usage(step=0.3)
    )
    assert (verdict.says, verdict.estimate) == ("contradicted", 0.0)


def test_what_neither_uses_or_what_random_twins_do_too_is_undecided() -> None:
    told = features({"step": SAE})
    assert word(told, causes(both("step", "sae feature", 0.0, 0.0))) == "undecided"
    assert word(told, causes(both("step", "sae feature", 0.3, 0.3), rank_p=0.2)) == "undecided"
    assert word(told, causes(both("step", "sae feature", 0.03, 0.03))) == "undecided", "too small to notice"
    assert word(told) == "undecided", "causes were not measured"
    assert features_precede_tuning(told, quality()).says == "undecided"


def test_what_nothing_in_base_tells_is_not_called_new_without_a_look_at_tuned() -> None:
    told, moved = features({"step": NOTHING}), causes(both("step", "sae feature", 0.3, 0.3))
    [one] = standings(told, quality(), moved)
    assert one.word == "undecided" and "nothing in base tells it" in one.because


def news(
    cosine: float = 0.3, base: float = 0.0, *, told: float = 0.95, able: float = 0.8, position: float = 0.9
) -> Measurement:
    """Z in content: the feature's cosine, how far setting it or the direction moves base, and what tuned can do."""
    rows = [
        {"strategy": "Z", "at": "content", "source": source, "how": how, "model": model}
        | {"before": 0.1 + able if model == "tuned" else 0.1, "effect": base, "low": base - 0.01, "high": base + 0.01}
        | {"able": able, "able_low": able - 0.02, "able_high": able + 0.02, "cosine": cosine, "seed_low": 0.6}
        | {"told_low": told, "position_low": position, "token_low": 0.9}
        for source in ("sae feature", "difference of means")
        for how in ("add", "clamp", "ablate")
        for model in ("base", "tuned")
    ]
    return Measurement("news", "", pd.DataFrame(rows), {})


def test_new_is_what_tuned_can_do_and_base_neither_holds_nor_can_be_made_to() -> None:
    told, moved = features({"Z": NOTHING}, at="content"), causes(both("Z", "sae feature", 0.0, 0.0), at="content")
    [one] = standings(told, quality(), moved, news=news())
    assert (one.word, one.carrier) == ("new", "sae feature")
    for sentence in (
        "carry it out 0.90 and base 0.10",
        "cosine 0.30, the same again from 0.60",
        "most base gains is 0.00",
    ):
        assert sentence in one.because
    unlike = news().table
    unlike = unlike.assign(cosine=unlike.cosine.where(unlike.source == "difference of means", 0.9))
    [one] = standings(told, quality(), moved, news=Measurement("news", "", unlike, {}))
    assert (one.word, one.carrier) == ("new", "difference of means"), "the feature has a match, the direction none"
    for why, other in {
        "matched in base": news(0.9),
        "base gains by it": news(base=0.3),
        "base gains by it more than a tenth of what tuned can": news(base=0.08),
        "tells nothing in tuned": news(told=0.6),
        "only counts positions in tuned": news(position=0.5),
        "base can do it too": news(able=0.0),
    }.items():
        assert word(told, moved, news=other) != "new", why
    assert word(told, moved, news=news(base=0.06)) == "new", "less than a tenth"
    verdict = features_precede_tuning(told, quality(), moved, news=news(), usage=usage(step=0.0))
    assert (verdict.says, verdict.n) == ("contradicted", 1), "what is new was gained"


@pytest.mark.parametrize("steer", [None, steered("step", 0.6)])
def test_the_claim_is_about_strategies_that_tuning_made_more_of(steer: Measurement | None) -> None:
    """Of two strategies that base had, the one that nothing was gained of does not count; nor does either without."""
    told = features({"step": SAE, "back": SAE})
    moved = causes({**both("step", "sae feature", 0.3, 0.3), **both("back", "sae feature", 0.3, 0.3)})
    verdict = features_precede_tuning(told, quality(), moved, usage=usage(step=0.3, back=0.04), steered=steer)
    assert (verdict.says, verdict.n) == ("supported", 1)
    nothing = features_precede_tuning(told, quality(), moved, usage=usage(step=0.05, back=0.0), steered=steer)
    assert (nothing.says, nothing.n, nothing.estimate) == ("undecided", 0, None)
    assert nothing.because.startswith(
        "Tuning changed no strategy: most, the probability of opening with step grew by 0.05 (0.04 to 0.06), "
        "so there is nothing that a strategy could have preceded."
    )
    unknown = features_precede_tuning(told, quality(), moved)
    assert unknown.says == "undecided" and "was not measured" in unknown.because


def test_strategies_that_solve_nothing_in_base_leave_the_claim_open() -> None:
    """What tuning taught may lie elsewhere than in the strategies that it uses, as where it taught a new operation."""
    told, moved = features({"step": SAE}), causes(both("step", "sae feature", 0.3, 0.3))

    def says(steer: Measurement) -> str:
        return features_precede_tuning(told, quality(), moved, usage=usage(step=0.3), steered=steer).says

    assert says(steered("step", 0.6)) == "supported"
    assert says(steered("step", 0.1)) == "undecided", "no more than without"
    assert says(steered("step", 0.6, twin=0.6)) == "undecided", "no more than random directions"
    because = features_precede_tuning(
        told, quality(), moved, usage=usage(step=0.3), steered=steered("step", 0.1)
    ).because
    assert "what tuning taught may lie elsewhere" in because and "solves 0.00" in because


def test_what_only_counts_positions_is_no_detector() -> None:
    moved = causes(both("plan", "sae feature", 0.3, 0.3))
    counts = {"position_matched": 0.56, "position_low": 0.48, "position_high": 0.64}
    [one] = standings(features({"plan": SAE}, **counts), quality(), moved)
    assert one.word == "undecided"
    assert "only tells how far the text has come: at one position its AUROC is 0.56 (0.48 to 0.64)" in one.because
    unmatched = dict.fromkeys(counts, math.nan)
    assert word(features({"plan": SAE}, **unmatched), moved) == "undecided", "no two kinds of token share a position"


def beside_its_own_choice(told: Measurement, mean: float, low: float, position_low: float) -> Measurement:
    """The same features beside what base itself expects where the strategy opens."""
    rows = told.table[told.table.source == "sae"].assign(source="own choice", mean=mean, auroc=low + 0.02, low=low)
    matched = {"position_matched": position_low + 0.06, "position_low": position_low}
    return Measurement("features", "", pd.concat([told.table, rows.assign(**matched)]), {})


def test_what_base_itself_leaves_to_chance_is_not_asked_of_its_features() -> None:
    counts = {"position_matched": 0.56, "position_low": 0.48, "position_high": 0.64}
    told = features({"plan": SAE}, **counts)
    [one] = standings(beside_its_own_choice(told, 0.15, 0.83, 0.48), quality())
    assert one.word == "left to chance"
    assert "opens with it with probability 0.15 where it comes, does not know when" in one.because
    assert word(beside_its_own_choice(told, 0.15, 0.83, 0.62)) == "undecided", "base knows, and no feature tells it"
    assert word(beside_its_own_choice(told, 0.15, 0.70, 0.62)) == "left to chance", "not well enough for a detector"
    assert word(beside_its_own_choice(told, 0.01, 0.83, 0.48)) == "undecided", "base does not follow it at all"
    known = causes(both("step", "sae feature", 0.3, 0.3))
    assert word(beside_its_own_choice(features({"step": SAE}), 0.15, 0.83, 0.48), known) == "pre-existing and causal"


def test_the_claim_leaves_out_what_is_left_to_chance_and_says_so() -> None:
    told = beside_its_own_choice(features({"plan": NOTHING}), 0.15, 0.83, 0.48).table
    every = Measurement("features", "", pd.concat([features({"step": SAE}).table, told]), {})
    moved = causes(both("step", "sae feature", 0.3, 0.3))
    verdict = features_precede_tuning(every, quality(), moved, usage=usage(step=0.3, plan=0.3))
    assert (verdict.says, verdict.n) == (
        "supported",
        1,
    ) and "made more of, but for plan, which base leaves to chance: step." in verdict.because
    alone = features_precede_tuning(Measurement("", "", told, {}), quality(), usage=usage(plan=0.3))
    assert alone.says == "undecided" and alone.estimate is None, "nothing is left to judge by"


def test_amplified_needs_intervals_apart_on_the_same_text() -> None:
    moved = causes(both("step", "sae feature", 0.3, 0.3))
    table = features({"step": SAE}).table
    in_base = table.model == "base"
    stronger = table.assign(d=table.d.where(in_base, 2.7), d_low=table.d_low.where(in_base, 2.5))
    assert word(Measurement("features", "", stronger, {}), moved) == "amplified"
    little = table.assign(d=table.d.where(in_base, 2.3), d_low=table.d_low.where(in_base, 2.25))
    assert word(Measurement("features", "", little, {}), moved) == "pre-existing and causal", "a little more"
    elsewhere = pd.concat([table, stronger.assign(text="tuned")])
    assert word(Measurement("features", "", elsewhere, {}), moved) == "pre-existing and causal", "its own text"


def test_a_token_detector_is_called_one_by_either_attack() -> None:
    moved = causes(both("step", "sae feature", 0.3, 0.3))
    fired = pd.DataFrame([{"strategy": "step", "at": "onset", "attack": "insert", "says": "token-driven"}])
    attacks = Measurement("attacks", "", fired, {})
    assert word(features({"step": SAE}), moved, attacks) == "token detector"
    quiet = Measurement("attacks", "", fired.assign(says="context-dependent"), {})
    reworded = Measurement("attacks", "", fired.assign(attack="paraphrase", says="does not survive"), {})
    assert word(features({"step": SAE}), moved, reworded) == "token detector"
    assert word(features({"step": SAE}), moved, quiet) == "pre-existing and causal"
    assert word(features({"step": SAE}, token_matched=0.52, token_low=0.5), moved, quiet) == "token detector"
    by_direction = features({"step": {**SAE, "difference of means": 0.9}})
    both_move = causes(both("step", "difference of means", 0.3, 0.3))
    [one] = standings(by_direction, quality(), both_move, attacks)
    assert (one.word, one.carrier) == ("pre-existing and causal", "difference of means"), (
        "the direction is not attacked"
    )


@pytest.mark.parametrize("control", ["raw dimension", "random direction", "shuffled labels", "untrained model"])
def test_a_feature_has_to_beat_every_control(control: str) -> None:
    moved = causes(both("step", "sae feature", 0.3, 0.3))
    assert word(features({"step": {**SAE, control: 0.93}}), moved) == "undecided"


def test_a_direction_has_to_beat_a_probe_of_an_untrained_model() -> None:
    moved = causes(both("step", "difference of means", 0.3, 0.3))
    assert word(features({"step": {**DIRECTION, "linear probe of an untrained model": 0.6}}), moved) != "undecided"
    assert word(features({"step": {**DIRECTION, "linear probe of an untrained model": 0.89}}), moved) == "undecided"


@pytest.mark.parametrize(("base", "tuned", "kl"), [(0.31, 0.2, 0.9), (0.1, 0.35, 0.9), (0.02, 0.07, 0.7)])
def test_an_sae_that_does_not_fit_both_models_is_invalid(base: float, tuned: float, kl: float) -> None:
    verdict = features_precede_tuning(features({"step": SAE}), quality(base, tuned, kl))
    assert (verdict.says, verdict.estimate) == ("undecided", None)
    assert verdict.because.startswith("SAE invalid")
    assert f"leaves {base:.3f} of the variance unexplained in base and {tuned:.3f} in tuned" in verdict.because


def test_strategies_that_differ_leave_it_undecided_and_are_listed() -> None:
    told = features({"step": SAE, "back": SAE, "plan": NOTHING})
    moved = causes({**both("step", "sae feature", 0.3, 0.3), **both("back", "sae feature", 0.0, 0.3)})
    verdict = features_precede_tuning(told, quality(), moved, usage=usage(step=0.3, back=0.3, plan=0.3))
    assert verdict.says == "undecided" and verdict.estimate == pytest.approx(1 / 3)
    lead = verdict.because.split(". ")[0]
    for part in ("pre-existing and causal for step", "(repurposed) for back", "undecided for plan"):
        assert part in lead


def test_a_strategy_counts_once_and_by_its_better_place() -> None:
    table = pd.concat([features({"step": NOTHING}, at="content").table, features({"step": SAE}).table])
    moved = causes(both("step", "sae feature", 0.3, 0.3))
    [one] = standings(Measurement("features", "", table, {}), quality(), moved)
    assert one.word == "pre-existing and causal" and one.because.startswith("step at onset")


def test_too_few_positive_tokens_give_no_verdict_on_that_strategy() -> None:
    table = pd.concat([features({"plan": SAE}, n_positive=40).table, features({"step": SAE}).table])
    moved = causes({**both("step", "sae feature", 0.3, 0.3), **both("plan", "sae feature", 0.3, 0.3)})
    verdict = features_precede_tuning(
        Measurement("features", "", table, {}), quality(), moved, usage=usage(plan=0.3, step=0.3)
    )
    assert (verdict.says, verdict.n) == ("supported", 1)
    assert "plan at onset: 40 positive tokens, fewer than 100, no verdict." in verdict.because
    alone = features_precede_tuning(features({"plan": SAE}, n_positive=40), quality(), moved)
    assert (alone.says, alone.n, alone.estimate) == ("undecided", 0, None)
    without = Measurement("features", "", features({"step": SAE}).table.assign(low=math.nan), {})
    assert (features_precede_tuning(without, quality(), moved).n) == 0


def test_a_missing_or_doubled_baseline_is_named() -> None:
    table = features({"step": SAE}).table
    without = table[table["source"] != "random direction"]
    with pytest.raises(ValueError, match="strategy 'step' at 'onset' has 0 rows of 'random direction' in base"):
        features_precede_tuning(Measurement("features", "held-out AUROC", without, {}), quality())
    with pytest.raises(ValueError, match="has 2 rows of 'sae' in base"):
        features_precede_tuning(Measurement("features", "held-out AUROC", pd.concat([table, table]), {}), quality())


def test_quality_of_both_models_is_needed() -> None:
    one = quality().table.query("model == 'base'")
    with pytest.raises(ValueError, match="has to hold base and tuned once each"):
        features_precede_tuning(features({"step": SAE}), Measurement("sae_quality", "shares", one, {}))


def test_saved_and_read_again_it_is_the_same_verdict(tmp_path) -> None:  # type: ignore[no-untyped-def]
    made = (features({"step": SAE, "back": NOTHING}), quality(), causes(both("step", "sae feature", 0.3, 0.3)))
    again = [Measurement.load(measurement.save(tmp_path)) for measurement in made]
    assert features_precede_tuning(*again) == features_precede_tuning(*made)
    nothing = features({"step": SAE}, n_positive=40, auroc=math.nan, low=math.nan, high=math.nan, d=math.nan)
    assert features_precede_tuning(Measurement.load(nothing.save(tmp_path)), quality()).n == 0
