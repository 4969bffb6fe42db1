import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from interp.plots.standing import outcomes, share, span, standing


def table(**arms: list[int]) -> pd.DataFrame:
    return pd.DataFrame(
        [{"arm": arm, "problem": i, "correct": bool(c)} for arm, solved in arms.items() for i, c in enumerate(solved)]
    )


def test_shares_and_intervals() -> None:
    solved = outcomes(table(base=[0] * 30 + [1] * 10, half=[0] * 15 + [1] * 25, tuned=[1] * 40), "arm")
    stands = standing(solved, "base", "tuned").set_index("arm")
    assert list(stands.index) == ["base", "half", "tuned"]
    assert stands.recovered["half"] == pytest.approx(0.5)
    assert stands.recovered_low["half"] < 0.5 < stands.recovered_high["half"]
    wilson = binomtest(25, 40).proportion_ci(method="wilson")
    assert (stands.low["half"], stands.high["half"]) == pytest.approx((wilson.low, wilson.high))
    for arm, place in (("base", 0), ("tuned", 1)):
        assert (stands.recovered[arm], stands.recovered_low[arm], stands.recovered_high[arm]) == (place,) * 3
    alone = standing(solved, "base", "tuned", arms=["half"]).set_index("arm")
    pd.testing.assert_frame_equal(alone, stands.loc[["half"]])


def test_a_hybrid_below_base_keeps_its_sign() -> None:
    solved = outcomes(table(base=[0] * 20 + [1] * 20, worse=[0] * 30 + [1] * 10, tuned=[1] * 40), "arm")
    assert standing(solved, "base", "tuned").set_index("arm").recovered["worse"] == pytest.approx(-0.5)


def test_without_a_gap_every_share_is_refused() -> None:
    stands = standing(outcomes(table(base=[0, 1] * 20, arm=[1, 0] * 20, tuned=[0, 1] * 20), "arm"), "base", "tuned")
    assert stands.refused.all()
    assert stands.recovered.isna().all()
    assert "no gap" in stands.reason.iloc[0]
    assert stands.accuracy.notna().all()


def test_draws_are_averaged_over_each_problem() -> None:
    drawn = pd.concat([table(base=[0] * 20, tuned=[1] * 20), table(random=[1] * 20), table(random=[0] * 20)])
    stands = standing(outcomes(drawn, "arm"), "base", "tuned").set_index("arm")
    assert stands.n["random"] == 20
    assert stands.accuracy["random"] == stands.recovered["random"] == 0.5


def test_an_arm_that_skips_a_problem_is_refused() -> None:
    short = table(base=[0, 0, 1], arm=[1, 1], tuned=[1, 1, 1])
    with pytest.raises(ValueError, match="'arm' has 0 answers to some of 3 problems and 1 to others"):
        outcomes(short, "arm")


def test_a_gap_needs_both_models() -> None:
    with pytest.raises(ValueError, match="there is no arm 'tuned' among"):
        standing(outcomes(table(base=[0, 1], arm=[1, 1]), "arm"), "base", "tuned")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.97, "97%"), (0.034, "3.4%"), (0.0, "0%"), (1.0, "100%"), (0.997, "99.7%"), (-0.012, "-1.2%"), (math.nan, "–")],
)
def test_share_as_text(value: float, text: str) -> None:
    assert share(value) == text


def test_span_as_text() -> None:
    assert span(0.5, 0.4, 0.62) == "50% (40% to 62%)"
    assert span(0.5, 0.4, np.inf) == "50% (40% to no bound)"
    assert span(np.nan, np.nan, np.nan) == "–"
