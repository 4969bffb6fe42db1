"""Rates of a matrix whose answers are written down here; the coin that has to be told from an instrument."""

import json
import math
import random
from pathlib import Path

import pandas as pd
import pytest
from scipy.stats import binomtest, hypergeom

from interp.calibration.expected import NOTHING, outcome, part
from interp.calibration.rates import COIN, failing, like_a_coin, lines, rates
from interp.calibration.record import SHIPPED, in_short, record
from interp.claims import upper_third
from interp.measurement import Measurement

Cell = tuple[str, str, int]
"""Expected, given, base seed."""


def matrix(cells: list[Cell], instrument: str = "locus", beside: str = "") -> Measurement:
    rows = [
        {
            "instrument": instrument,
            "beside": beside,
            "organism": f"o{i}",
            "about": "",
            "base_seed": base_seed,
            "seed": 0,
            "part": part(base_seed),
            "expected": wanted,
            "given": given,
            "planted": wanted not in NOTHING,
            "outcome": outcome(wanted, given),
        }
        for i, (wanted, given, base_seed) in enumerate(cells)
    ]
    return Measurement("record", "answers", pd.DataFrame(rows), {})


MIXED = [
    *[("upper third", "upper third", 1)] * 6,
    ("upper third", "lower third", 1),
    ("upper third", "undecided", 2),
    *[("none", "none", 2)] * 4,
    ("none", "upper third", 2),
    ("upper third", "lower third", 0),
]


def test_rates_are_counted_on_each_part_by_itself() -> None:
    row = rates(matrix(MIXED)).set_index("part").loc["confirmation"]
    assert (row.n_planted, row.n_nothing, row.n_wrong) == (8, 5, 2)
    assert (row.sensitivity, row.false_positive, row.undecided) == (6 / 8, 1 / 5, 1 / 8)
    wilson = binomtest(6, 8).proportion_ci(method="wilson")
    assert (row.sensitivity_low, row.sensitivity_high) == pytest.approx((wilson.low, wilson.high))
    developed = rates(matrix(MIXED)).set_index("part").loc["development"]
    assert developed.sensitivity == 0
    assert math.isnan(developed.false_positive)


def test_chance_is_that_of_drawing_the_hits_among_all_findings() -> None:
    row = rates(matrix(MIXED)).set_index("part").loc["confirmation"]
    assert row.p_coin == pytest.approx(hypergeom(13, 8, 7).sf(5))


def test_a_coin_is_seldom_taken_for_an_instrument_and_a_right_one_never_for_a_coin() -> None:
    truth = [("upper third", seed) for seed in (0, 1) for _ in range(4)] + [("none", seed) for seed in (0, 1)] * 4

    def tossed(seed: int) -> Measurement:
        coin = random.Random(seed)
        return matrix([(wanted, coin.choice(["upper third", "none"]), base_seed) for wanted, base_seed in truth])

    seen_through = sum(like_a_coin(tossed(seed)) == ["locus"] for seed in range(40))
    assert seen_through >= 40 * (1 - 2 * COIN)
    assert like_a_coin(matrix([(wanted, wanted, base_seed) for wanted, base_seed in truth])) == []


@pytest.mark.parametrize("always", ["none", "upper third"])
def test_what_always_says_the_same_is_no_better_than_a_coin(always: str) -> None:
    cells = [(wanted, always, 1) for wanted in ["upper third"] * 10 + ["none"] * 10]
    assert like_a_coin(matrix(cells)) == ["locus"]


@pytest.mark.parametrize("n_nothing", [0, 1])
def test_too_few_cells_tell_nothing_about_a_coin_and_that_is_said(n_nothing: int) -> None:
    right = matrix([("upper third", "upper third", 1)] * 8 + [("none", "none", 1)] * n_nothing)
    assert like_a_coin(right) == []
    assert "Too few organisms to tell it from a coin: locus." in lines(right)


def test_usual_readings_are_counted_and_not_required_to_be_right() -> None:
    usual = matrix([("none", "upper third", 1)] * 3, beside="causal locus")
    assert like_a_coin(usual) == []
    assert failing(usual) == {}
    assert rates(usual).set_index("part").false_positive["confirmation"] == 1


def test_an_instrument_that_falls_short_on_confirmation_seeds_is_named_with_its_rates() -> None:
    assert failing(matrix(MIXED)) == {
        "locus": "it finds 75% of what was planted and 20% of its answers where nothing was planted are findings"
    }
    assert failing(matrix([("upper third", "none", 0), *MIXED[:6]])) == {}
    text = "\n".join(lines(matrix(MIXED)))
    assert "locus, o6@1, seed 0: lower third; planted upper third" in text
    assert "6 of 8, 0.75 (0.41 to 0.93)" in text


def test_a_record_counts_confirmation_seeds_only(tmp_path: Path) -> None:
    matrix(MIXED, instrument="upper third").save(tmp_path)
    told = record("upper third", tmp_path)
    assert told == record(upper_third.CLAIM, tmp_path)
    assert "right in 10 of 13, wrong in 2, undecided in 1 (base seeds 1 and 2" in told
    assert "1 of 5 were findings where nothing was planted" in told
    assert in_short(["upper third", "lens"], tmp_path) == ["found 6 of 8; false 1 of 5", "not confirmed"]
    assert told.endswith("It is not to be trusted for this question: " + failing(matrix(MIXED))["locus"] + ".")
    matrix([cell for cell in MIXED if cell[0] == cell[1]], instrument="upper third").save(tmp_path)
    assert "not to be trusted" not in record("upper third", tmp_path)
    with pytest.raises(LookupError, match="'lens' was not calibrated on confirmation seeds; there are upper third"):
        record("lens", tmp_path)


def test_what_was_only_developed_on_has_no_record(tmp_path: Path) -> None:
    matrix([("upper third", "upper third", 0)]).save(tmp_path)
    assert len(json.loads((tmp_path / "record.json").read_text())["rows"]) == 1
    with pytest.raises(LookupError, match="was not calibrated on confirmation seeds"):
        record("locus", tmp_path)
    assert in_short(["locus"], tmp_path) == ["not confirmed"]


def test_the_same_behaviour_by_two_routes_gets_the_same_verdicts_in_the_shipped_matrix() -> None:
    table = Measurement.load(SHIPPED / "record.json").table
    ours = table[(table["beside"] == "") & (table["seed"] == 0) & table["organism"].isin(["rl", "sft"])]
    ours = ours[ours["instrument"].isin(["when or how", "recovered share", "features precede tuning"])]
    given = ours.pivot(index=["instrument", "base_seed"], columns="organism", values="given").dropna()
    assert len(given) >= 6
    assert (given["rl"] == given["sft"]).all()
