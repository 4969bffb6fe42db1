"""Answers about features by the vectors of an SAE: cells beside the full ones, and the page's sentence."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from interp.calibration import feature_cells
from interp.calibration.feature_answers import FEATURE_INSTRUMENTS
from interp.calibration.feature_cells import SAMPLES, Cell
from interp.calibration.fewer_vectors import VECTORS, fewer_vectors, lines
from interp.calibration.record import missed
from interp.claims import features_precede
from interp.measurement import Measurement

USUAL = "best feature as pre-existing"


def table(rows: list[tuple[str, str, int, int, bool, str]]) -> Measurement:
    columns = ["instrument", "beside", "base_seed", "samples", "planted", "outcome"]
    cells = pd.DataFrame(rows, columns=columns)
    parts = cells["base_seed"].map(lambda seed: "confirmation" if seed > 4 else "development")
    return Measurement("vectors", "answers", cells.assign(part=parts), {})


def fitted_on(samples: int) -> dict[str, Measurement]:
    made_with = {"sae": {"samples": samples}}
    return {"sae_quality": Measurement("sae_quality", "shares", pd.DataFrame({"fvu": [0.1]}), made_with)}


FOUND = table(
    [
        ("features precede tuning", "", 5, 5_120, True, "undecided"),
        ("features precede tuning", "", 7, 5_120, True, "right"),
        ("features precede tuning", "", 0, 5_120, True, "wrong"),
        ("features precede tuning", "", 5, 5_120, False, "wrong"),
        ("features precede tuning", "", 5, 40_000, True, "right"),
        ("best feature as pre-existing", "feature standing", 5, 5_120, True, "wrong"),
    ]
)


def test_a_cell_of_fewer_vectors_lies_beside_the_full_one_and_shares_what_no_sae_enters(tmp_path: Path) -> None:
    full, fewer = (Cell("rl", 5, 1, tmp_path, samples) for samples in (SAMPLES, 5_120))
    assert full == Cell("rl", 5, 1, tmp_path)
    assert (full.folder.name, fewer.folder.name) == ("sae1", "sae1 of 5120")
    assert (full.of_base, full.folder.parent) == (fewer.of_base, fewer.folder.parent)


def test_every_number_of_vectors_is_a_cell_and_with_kept_only_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[Cell]()
    rows = [{"strategy": "step", "source": "sae", "model": "base", "at": "onset", "auroc": 0.9}]
    told = {"features": Measurement("features", "AUROC", pd.DataFrame(rows), {})}

    def measured(cell: Cell) -> dict[str, Measurement]:
        asked.append(cell)
        return told

    monkeypatch.setattr(feature_cells, "measured", measured)
    usual = {USUAL: FEATURE_INSTRUMENTS[USUAL]}
    monkeypatch.setattr("interp.calibration.fewer_vectors.FEATURE_INSTRUMENTS", usual)
    found = fewer_vectors(tmp_path, base_seeds=[5])
    assert [cell.samples for cell in asked if cell.organism == "rl"] == list(VECTORS)
    assert set(found.table["samples"]) == set(VECTORS) and set(found.table["part"]) == {"confirmation"}
    with pytest.raises(LookupError, match="of no pair are features kept for every number of vectors in"):
        fewer_vectors(tmp_path, base_seeds=[5], kept=True)
    for organism, numbers in (("null", VECTORS), ("rl", VECTORS[:-1])):
        for samples in numbers:
            for name in ("features", "causes", "news"):
                there = Cell(organism, 5, 0, tmp_path / "features", samples)
                replace(told["features"], name=name).save(there.folder)
    kept = fewer_vectors(tmp_path, base_seeds=[5], kept=True).table
    assert list(zip(kept["organism"], kept["samples"], strict=True)) == [("null", samples) for samples in VECTORS]


def test_a_line_counts_what_was_planted_and_not_the_usual_reading() -> None:
    assert lines(FOUND) == [
        "features precede tuning, SAEs of 5,120 vectors: missed in 2 of 3 answers",
        "features precede tuning, SAEs of 40,000 vectors: missed in 0 of 1 answers",
    ]


def test_the_sentence_is_that_of_the_nearest_number_on_seeds_that_chose_nothing(tmp_path: Path) -> None:
    FOUND.save(tmp_path)
    assert missed(features_precede.CLAIM, fitted_on(6_000), tmp_path) == (
        "With autoencoders fitted on 5,120 vectors the planted answer was missed in 1 of 2 (here: 6,000 vectors)."
    )
    assert "40,000 vectors the planted answer was missed in 0 of 1 (here: 100,000" in missed(
        "features precede tuning", fitted_on(100_000), tmp_path
    )
    assert missed("feature standing", fitted_on(6_000), tmp_path) == ""
    assert missed(features_precede.CLAIM, {}, tmp_path) == ""
