"""Claims about texts as instruments: what is expected of them, their cells, and the record that ships."""

from pathlib import Path

import pytest

from interp.calibration import claim_cells
from interp.calibration.claim_cells import APART, COPIES, ORGANISMS, TWICE, cells
from interp.calibration.expected import CLAIMS_EXPECTED, OR, UNDECIDED, outcome, planted
from interp.calibration.matrix import calibrate
from interp.calibration.rates import claim_name, rates
from interp.calibration.record import CLAIMS, SHIPPED, record
from interp.claims.ledger import DECIDED
from interp.claims.register import REGISTER
from interp.measurement import Measurement
from interp.organisms.errands.recipes import ERRANDS
from interp.organisms.recipes import RECIPES


def test_what_is_expected_is_of_known_claims_organisms_and_words() -> None:
    assert set(CLAIMS_EXPECTED) == set(DECIDED) == set(REGISTER)
    assert set(ORGANISMS) <= {*RECIPES, *ERRANDS, *COPIES, APART, TWICE}
    words = {word for answers in CLAIMS_EXPECTED.values() for wanted in answers.values() for word in wanted.split(OR)}
    assert words == {"supported", "contradicted", UNDECIDED}
    for key, answers in CLAIMS_EXPECTED.items():
        assert any(wanted != "supported" for wanted in answers.values()), f"{key} has no organism of which it is untrue"
        assert "supported" in answers.values(), f"{key} has no organism of which it is true"


def test_a_claim_that_is_not_supported_where_nothing_was_planted_is_right() -> None:
    wanted = CLAIMS_EXPECTED["C19"]["errands-neat"]
    assert not planted(wanted) and planted(CLAIMS_EXPECTED["C19"]["errands-bold"])
    assert [outcome(wanted, says) for says in ("contradicted", UNDECIDED, "supported")] == ["right", "right", "wrong"]


def test_cores_of_tunings_confined_to_different_blocks_and_of_one_tuning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = calibrate([claim_name("C14")], base_seeds=[0, 1], folder=tmp_path)
    assert set(zip(found.table["organism"], found.table["given"], strict=True)) == {
        (APART, "supported"),
        (TWICE, "contradicted"),
    }
    assert set(found.table["outcome"]) == {"right"} and set(found.table["part"]) == {"development", "confirmation"}
    assert rates(found)["sensitivity"].eq(1).all()

    def refused(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(claim_cells, "core_overlap", refused)
    again = calibrate([claim_name("C14")], base_seeds=[0, 1], kept=True, folder=tmp_path)
    assert again.table.equals(found.table)
    with pytest.raises(LookupError, match="no instrument asked for has a known answer on rl of base seeds 0"):
        calibrate([claim_name("C14")], ["rl"], base_seeds=[0], folder=tmp_path)


def test_cells_are_asked_what_is_known_of_them_and_are_on_the_shelf(tmp_path: Path) -> None:
    of = {cell.organism: cell for cell in cells(list(CLAIMS_EXPECTED), ORGANISMS, [0], tmp_path)}
    assert of["rl"].keys == ("C6", "C16", "C17", "C22c")
    assert of["rl"].needs == ["formats", "answers", "pass_counts", "forced", "ceiling"]
    assert of[APART].shelved == ("upper", "lower") and of["errands-copy"].shelved == ("errands-base",)
    assert not cells(list(CLAIMS_EXPECTED), ["errands-bold"], [99], tmp_path)


def test_the_shipped_record_was_judged_as_expected_today() -> None:
    table = Measurement.load(SHIPPED / CLAIMS).table
    assert {APART, TWICE, "errands-neat"} <= set(table["organism"])
    for row in table.itertuples():
        wanted = CLAIMS_EXPECTED[str(row.instrument).removeprefix("claim ")][str(row.organism)]
        assert (row.expected, row.outcome) == (wanted, outcome(wanted, str(row.given)))
    assert "Where the answer was planted, this verdict was right in" in record(REGISTER["C14"].claim)
