"""Answers drawn again: gaps shrink as asked, what tuning did not reach is base, and the sentence counts them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interp.calibration import power as module
from interp.calibration.pairs import Unit
from interp.calibration.power import fewer_problems, resampled, weaker
from interp.calibration.record import gap, missed
from interp.claims import routing_recovers
from interp.measurement import Measurement

SOLVED = {"base": 0.05, "tuned": 0.95, "every disagreement": 0.95, "decision tokens": 0.95}
TWIN = "random at the decision rate"


def answers(n: int = 100, **solved: float) -> Measurement:
    """Arms that solve the last problems, the best of them the most."""
    rows = [
        {"arm": arm, "draw": 0, "problem": f"p{i}", "correct": i >= n * (1 - share)}
        for arm, share in {**SOLVED, TWIN: 0.05, **solved}.items()
        for i in range(n)
    ]
    table = pd.DataFrame(rows).assign(tokens=20, routed=1, changed=1, reason="stop")
    return Measurement("answers", "answers", table.assign(flexible=table["correct"]), {})


def drawn(n: int, reached: float, seed: int = 0) -> Measurement:
    return resampled(answers(), n, reached, np.random.default_rng(seed))


def test_a_resample_has_as_many_problems_as_asked_each_with_every_arm() -> None:
    table = drawn(250, 1.0).table
    assert table["problem"].nunique() == 250
    assert (table.groupby("problem")["arm"].nunique() == 5).all()
    assert gap(drawn(2000, 1.0)) == pytest.approx(0.9, abs=0.03)


def test_on_problems_that_tuning_did_not_reach_every_arm_is_base() -> None:
    table = drawn(400, 0.0).table
    right = table.pivot(index="problem", columns="arm", values="correct")
    assert all((right[arm] == right["base"]).all() for arm in right)
    assert right["base"].mean() == pytest.approx(0.05, abs=0.04)
    assert gap(drawn(400, 0.0)) == 0
    assert gap(drawn(4000, 0.3)) == pytest.approx(0.27, abs=0.03)


def test_swaps_shrink_on_answers_and_facts_each_towards_its_own_base() -> None:
    rows = [
        {"swapped": swapped, "direction": way, "axis": axis, "problem": f"{axis}{i}", "correct": right}
        for axis, ends in (("answers", (False, True)), ("facts", (True, False)), ("output format", (True, True)))
        for i in range(10)
        for way, right in (("tuned into base", ends[0]), ("base into tuned", ends[1]))
        for swapped in ("nothing", "upper third")
    ]
    swaps = Measurement("swaps", "right", pd.DataFrame(rows), {})
    assert gap(swaps) == 1
    table = resampled(swaps, 50, 0.0, np.random.default_rng(1)).table
    assert set(table["axis"]) == {"answers", "facts"}
    assert not table.loc[table["axis"] == "answers", "correct"].any()
    assert table.loc[table["axis"] == "facts", "correct"].all()


@pytest.fixture(scope="module")
def curve() -> Measurement:
    has = {"answers": answers()}
    pairs = {"when or how": [(Unit("rl", 1, 0), has), (Unit("newskill", 1, 0), has)]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_kept", lambda instrument, *_: pairs.get(instrument, []))
        patch.setattr(module, "PROBLEMS", (20, 300))
        patch.setattr(module, "REACHED", (1.0, 0.05))
        return fewer_problems(Path("nowhere"), resamples=6)


def test_many_problems_find_a_large_gap_few_miss_a_small_one(curve: Measurement) -> None:
    right = curve.table[curve.table["organism"] == "rl"].set_index(["n", "reached"])["right"]
    assert right[300, 1.0] == 3
    assert right[20, 0.05] == 0
    table = curve.table
    assert (table[["right", "undecided", "wrong"]].sum(axis=1) == table["resamples"]).all()


def test_a_line_tells_of_each_gap_at_the_number_of_problems(
    curve: Measurement, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SAID", 300)
    first, second = module.lines(curve)
    assert first.startswith(("when or how, 300 problems, gap 0.8", "when or how, 300 problems, gap 0.9"))
    assert first.endswith("missed in 3 of 6 resamples")
    assert second.startswith("when or how, 300 problems, gap 0.0")


def test_an_answer_that_was_not_planted_is_wrong_however_many_problems(curve: Measurement) -> None:
    cells = curve.table[(curve.table["organism"] == "newskill") & (curve.table["reached"] == 1.0)]
    assert cells["right"].sum() == 0
    assert cells.set_index("n")["wrong"][300] == 3


def test_the_sentence_is_that_of_the_nearest_number_and_gap(curve: Measurement, tmp_path: Path) -> None:
    curve.save(tmp_path)
    told = missed(routing_recovers.CLAIM, {"answers": answers()}, tmp_path)
    cells = curve.table[(curve.table["n"] == 300) & (curve.table["reached"] == 1.0)]
    expected = f"missed in {cells['resamples'].sum() - cells['right'].sum()} of {cells['resamples'].sum()} resamples"
    assert told.startswith("With 300 problems and a gap of 0.8") and expected in told
    assert told.endswith(f"(here: 100 problems, gap {gap(answers()):.2f}).")
    none = missed("when or how", {"answers": answers(40, tuned=0.05)}, tmp_path)
    assert none.startswith("With 20 problems and a gap of 0.0") and none.endswith("(here: 40 problems, gap 0.00).")


def test_nothing_is_said_where_there_is_no_curve_or_no_measurement(curve: Measurement, tmp_path: Path) -> None:
    assert missed("when or how", {"answers": answers()}, tmp_path) == ""
    curve.save(tmp_path)
    assert missed("when or how", {}, tmp_path) == ""
    assert missed("weight locus", {"answers": answers()}, tmp_path) == ""


def test_a_folder_without_measurements_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="no measurement of a planted answer is kept in .*; run interp calibrate"):
        fewer_problems(tmp_path)
    with pytest.raises(LookupError, match="no weaker tuning is kept in"):
        weaker(tmp_path, kept=True)
