"""The routing verdict on tables whose truth is planted."""

import numpy as np
import pandas as pd
import pytest

from interp.claims.ceiling import passed
from interp.claims.routing_recovers import routing_recovers_gain
from interp.measurement import Measurement

N = 300
PLACE = np.random.default_rng(0).random(N)
"""Where each problem stands: an arm of accuracy a answers those below a, so arms are paired."""


def answers(
    *,
    base: float = 0.03,
    tuned: float = 0.97,
    decision: float = 0.96,
    twin: float = 0.06,
    everything: float | None = None,
    routed: float = 0.04,
    flexible: float | None = None,
) -> Measurement:
    """A table of the arms that the verdict reads, and one it does not; `flexible` is base's flexible accuracy."""
    accuracy = {
        "base": base,
        "tuned": tuned,
        "decision tokens": decision,
        "random at the decision rate": twin,
        "every disagreement": tuned if everything is None else everything,
        "KL over 1": 0.5,
    }
    tables = [
        pd.DataFrame(
            {
                "arm": arm,
                "rate": np.nan,
                "problem": [f"p{i}" for i in range(N)],
                "kind": "run",
                "correct": share > PLACE,
                "flexible": (share if arm != "base" or flexible is None else flexible) > PLACE,
                "tokens": 25,
                "routed": np.where(np.arange(N) < N * 25 * routed / 5, 5, 0),
                "changed": np.where(np.arange(N) < N * 25 * routed / 10, 5, 0),
                "reason": "stop",
            }
        )
        for arm, share in accuracy.items()
    ]
    return Measurement("answers", "answered correctly", pd.concat(tables, ignore_index=True), {})


def test_when_is_supported() -> None:
    verdict = routing_recovers_gain(answers())
    assert verdict.says == "supported"
    assert verdict.reported == 0.91
    assert verdict.estimate == pytest.approx(0.99, abs=0.02)
    assert verdict.low is not None and verdict.low >= 0.8
    assert verdict.n == N
    for sentence in (
        "Tuning taught when",
        "It chooses 4.0% of the tokens written and changes 2.0%.",
        "Control, random positions at the same rate",
        "tuned's own greedy decoding by construction, so its number is empty",
        "Not measured here: base's own pass@k",
        "What would change our mind",
    ):
        assert sentence in verdict.because


def test_how_is_contradicted_although_every_disagreement_recovers_everything() -> None:
    verdict = routing_recovers_gain(answers(base=0.0, tuned=1.0, decision=0.0, twin=0.0, routed=0.04))
    assert verdict.says == "contradicted"
    assert verdict.estimate == 0.0
    assert verdict.high is not None and 0 < verdict.high < 0.2
    assert "Tuning taught how, not when" in verdict.because
    assert "Routing every disagreement recovers 1.00" in verdict.because


def test_no_gain_gives_no_ratio() -> None:
    verdict = routing_recovers_gain(answers(base=0.5, tuned=0.5, decision=0.5, twin=0.5))
    assert verdict.says == "undecided"
    assert (verdict.estimate, verdict.low, verdict.high) == (None, None, None)
    assert "There is no gain to recover: tuned and base score the same on each of 300 problems" in verdict.because
    assert "its number is empty" in verdict.because


def test_a_loss_is_no_gain() -> None:
    verdict = routing_recovers_gain(answers(base=0.9, tuned=0.3, decision=0.3, twin=0.8))
    assert verdict.says == "undecided"
    assert "tuned answers fewer problems than base" in verdict.because


@pytest.mark.parametrize(
    ("planted", "missing"),
    [
        ({"decision": 0.5}, "interval reaches below 80%"),
        ({"decision": 0.8}, "interval reaches below 80%"),
        ({"routed": 0.2}, "20.0% of tokens are routed, more than 15%"),
        ({"twin": 0.96}, "it does not beat random positions at the same rate"),
    ],
)
def test_one_missing_condition_leaves_it_undecided_and_is_named(planted: dict[str, float], missing: str) -> None:
    verdict = routing_recovers_gain(answers(**planted))
    assert verdict.says == "undecided"
    assert missing in verdict.because


def test_too_many_tokens_alone_are_named_with_share_limit_and_what_would_change_it() -> None:
    because = routing_recovers_gain(answers(routed=0.2)).because
    assert because.startswith(
        "Not enough for either reading: 20.0% of tokens are routed, more than 15%. That alone keeps it from support"
    )
    assert "More problems would not change that" in because and "What would settle it: more problems" not in because
    both = routing_recovers_gain(answers(routed=0.2, decision=0.5)).because
    assert "That alone" not in both and "What would settle it: more problems" in both


def test_several_draws_of_the_random_twin_are_one_control() -> None:
    table = answers(twin=0.03).table.assign(draw=0)
    lucky = table[table["arm"] == "random at the decision rate"].assign(draw=1, correct=PLACE < 0.15)
    verdict = routing_recovers_gain(Measurement("answers", "share", pd.concat([table, lucky]), {}))
    assert verdict.says == "supported"
    base, tuned, one, other = (float(np.mean(share > PLACE)) for share in (0.03, 0.97, 0.03, 0.15))
    assert f"they recover {((one + other) / 2 - base) / (tuned - base):.2f} " in verdict.because


def test_a_grading_rule_that_turns_the_verdict_leaves_it_undecided() -> None:
    verdict = routing_recovers_gain(answers(flexible=0.9))
    assert verdict.says == "undecided"
    assert "The grading rule decides it: supported under strict grading, undecided under flexible" in verdict.because


def test_every_disagreement_that_is_not_tuned_is_pointed_out() -> None:
    assert "differs from tuned on" not in routing_recovers_gain(answers()).because
    assert "differs from tuned on" in routing_recovers_gain(answers(everything=0.9)).because


def with_steering(made: Measurement, *, steering: float, random: float, cut: int = 0) -> Measurement:
    """The table with the two steering arms, pushed at as many tokens as the decision arm."""
    like = made.table[made.table["arm"] == "decision tokens"]
    arms = {"steering": steering, "random steering directions": random}
    more = [like.assign(arm=arm, correct=share > PLACE, flexible=share > PLACE) for arm, share in arms.items()]
    more[0] = more[0].assign(reason=np.where(np.arange(N) < cut, "length", "stop"))
    return Measurement(made.name, made.unit, pd.concat([made.table, *more], ignore_index=True), {})


def test_steering_that_recovers_supports_when_decision_tokens_do_not() -> None:
    verdict = routing_recovers_gain(with_steering(answers(decision=0.5), steering=0.95, random=0.05))
    assert verdict.says == "supported"
    assert verdict.estimate == pytest.approx(0.98, abs=0.02)
    assert "steering base only, it recovers at least 80%" in verdict.because
    assert "Control, random directions as long" in verdict.because
    lucky = routing_recovers_gain(with_steering(answers(decision=0.5), steering=0.95, random=0.95))
    assert lucky.says == "undecided", "a random direction does as well"


def test_how_needs_every_arm_in_which_base_writes_to_fail() -> None:
    how = {"base": 0.0, "tuned": 1.0, "decision": 0.0, "twin": 0.0}
    both = routing_recovers_gain(with_steering(answers(**how), steering=0.0, random=0.0))
    assert both.says == "contradicted"
    one = routing_recovers_gain(with_steering(answers(**how), steering=0.5, random=0.0))
    assert one.says == "undecided"
    assert "The arms disagree: decision tokens by itself is contradicted and steering by itself is" in one.because


def test_an_arm_that_does_not_stop_is_named() -> None:
    made = with_steering(answers(), steering=0.95, random=0.05, cut=60)
    assert "20% of the answers of steering ran into the length limit." in routing_recovers_gain(made).because
    assert "length limit" not in routing_recovers_gain(answers()).because


def test_more_than_few_tokens_tell_what_few_would_recover() -> None:
    made = answers(routed=0.2)
    random = made.table[made.table["arm"] == "KL over 1"].assign(arm="random 50%", routed=12, correct=PLACE < 0.3)
    half = made.table[made.table["arm"] == "decision tokens"].assign(
        arm="decision tokens, 50% kept", correct=PLACE < 0.4, routed=2
    )
    verdict = routing_recovers_gain(Measurement("answers", "right", pd.concat([made.table, random, half]), {}))
    assert verdict.says == "undecided"
    assert "20.0% of tokens are routed, more than 15%" in verdict.because
    assert "Within 15% of tokens, decisions left out at random, they recover 0.7" in verdict.because


def test_the_rule_and_the_number_of_problems_that_would_decide_are_printed() -> None:
    assert (
        "Rule: WHEN from 80% recovered (low end) with at most 15% of tokens" in routing_recovers_gain(answers()).because
    )
    close = routing_recovers_gain(answers(decision=0.83))
    assert "would bring the interval above 80%" in close.because


def test_saved_and_read_again_it_is_the_same_verdict(tmp_path) -> None:  # type: ignore[no-untyped-def]
    made = answers()
    assert routing_recovers_gain(Measurement.load(made.save(tmp_path))) == routing_recovers_gain(made)


def test_a_missing_arm_is_named() -> None:
    table = answers().table
    kept = table[table["arm"] != "random at the decision rate"]
    with pytest.raises(ValueError, match="has no arm random at the decision rate; route with it first"):
        routing_recovers_gain(Measurement("answers", "answered correctly", kept, {}))


def ceiling(verified: float, *, n: int = 16, parsed: bool = True) -> Measurement:
    """Base solves a share of the problems in 4 of `n` samples, and guesses one right everywhere."""
    solved = np.where(verified > PLACE, 4, 0)
    table = pd.DataFrame({"problem": [f"p{i}" for i in range(N)], "n": n, "right": solved + 1, "verified": solved})
    return Measurement("ceiling", "right answers", table if parsed else table.assign(verified=None), {})


def test_when_needs_base_to_reach_what_tuned_solves_by_a_true_process() -> None:
    able = routing_recovers_gain(answers(), ceiling=ceiling(0.99))
    assert able.says == "supported"
    assert "Base's process-verified pass@16 is 0.99 on 300 problems" in able.because
    assert "Not measured here" not in able.because
    unable = routing_recovers_gain(answers(), ceiling=ceiling(0.5))
    assert unable.says == "undecided"
    assert "base, sampled often, does not reach what tuned solves" in unable.because
    unverified = routing_recovers_gain(answers(), ceiling=ceiling(0.99, parsed=False))
    assert unverified.says == "undecided", "every problem has a lucky guess, which shows nothing"
    assert "No process was verified" in unverified.because
    assert routing_recovers_gain(answers(decision=0.04), ceiling=ceiling(0.5)).says == "contradicted"


def test_pass_at_k_is_the_share_of_draws_that_hold_a_right_one() -> None:
    made = ceiling(1.0)
    rng = np.random.default_rng(0)
    right = np.arange(16) < 4
    drawn = np.mean([rng.permutation(right)[:3].any() for _ in range(20_000)])
    assert passed(made, 3).iloc[0] == pytest.approx(drawn, abs=0.01)
    assert passed(made, 1, verified=False).iloc[0] == pytest.approx(5 / 16)
    assert (passed(ceiling(0.0), 16) == 0).all()
    with pytest.raises(ValueError, match="pass@17 needs at least 17 samples per problem, there are 16"):
        passed(made, 17)
    with pytest.raises(ValueError, match="no process was verified"):
        passed(ceiling(1.0, parsed=False), 1)


def test_base_may_be_sampled_on_some_of_the_problems_and_on_no_others() -> None:
    made = ceiling(0.99)
    some = Measurement("ceiling", made.unit, made.table.iloc[::3], {})
    verdict = routing_recovers_gain(answers(), ceiling=some)
    assert verdict.says == "supported"
    assert "on 100 problems" in verdict.because
    other = Measurement("ceiling", made.unit, made.table.replace({"problem": {"p0": "q0"}}), {})
    with pytest.raises(ValueError, match="not of the same problems: 1 of 300 that base was sampled on were not routed"):
        routing_recovers_gain(answers(), ceiling=other)
