"""What is planted about features, and rows of what is said of them; labels whose answer is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interp.calibration import feature_cells
from interp.calibration.expected import outcome, planted
from interp.calibration.feature_answers import FEATURE_INSTRUMENTS, best_feature, feature_rows
from interp.calibration.feature_cells import Cell, kept
from interp.calibration.labels import dealt, of_operation
from interp.calibration.matrix import calibrate
from interp.measurement import Measurement
from interp.pair import load_pair
from interp.tasks.organism import organism_task
from interp.tasks.task import Reading


def features(**best: float) -> Measurement:
    rows = [
        {"strategy": name, "source": source, "model": "base", "at": at, "auroc": auroc - short}
        for name, auroc in best.items()
        for at, short in (("onset", 0.0), ("content", 0.1))
        for source in ("sae", "linear probe")
    ]
    rows += [{"strategy": "step", "source": "linear probe", "model": "base", "at": "onset", "auroc": 1.0}]
    return Measurement("features", "AUROC", pd.DataFrame(rows), {})


@pytest.mark.parametrize(
    ("organism", "strategy", "given", "word"),
    [
        ("rl", "step", "amplified", "right"),
        ("null", "step", "amplified", "wrong"),
        ("null", "step", "pre-existing", "right"),
        ("sft", "step", "new", "wrong"),
        ("newskill", "Z", "new", "right"),
        ("newskill", "Z", "pre-existing", "wrong"),
        ("newskill", "step", "undecided", "undecided"),
        ("coin", "heads", "pre-existing", "wrong"),
        ("coin", "heads", "undecided", "right"),
        ("untrained", "step", "new", "wrong"),
    ],
)
def test_a_standing_is_held_against_what_was_planted(organism: str, strategy: str, given: str, word: str) -> None:
    wanted = FEATURE_INSTRUMENTS["feature standing"].right(organism, strategy)
    assert outcome(wanted, given) == word
    assert planted(wanted) == (organism not in ("coin", "untrained"))


@pytest.mark.parametrize(
    ("organism", "says", "word"),
    [
        ("rl", "supported", "right"),
        ("rl", "undecided", "undecided"),
        ("null", "contradicted", "wrong"),
        ("newskill", "contradicted", "right"),
        ("newskill", "supported", "wrong"),
        ("coin", "undecided", "right"),
    ],
)
def test_the_claim_is_held_against_what_was_planted(organism: str, says: str, word: str) -> None:
    wanted = FEATURE_INSTRUMENTS["features precede tuning"].right(organism, "")
    assert outcome(wanted, says) == word
    assert planted(wanted) == (organism == "rl")


def test_the_usual_reading_goes_by_the_best_feature_alone() -> None:
    said = best_feature({"features": features(step=0.7, heads=0.81)})
    assert said == {"step": "undecided", "heads": "pre-existing"}


def test_rows_name_the_strategy_and_count_the_usual_reading_apart(tmp_path: Path) -> None:
    usual = {"best feature as pre-existing": FEATURE_INSTRUMENTS["best feature as pre-existing"]}
    rows = feature_rows(Cell("coin", 5, 2, tmp_path), {"features": features(heads=0.9, tails=0.6)}, usual)
    assert [(row["about"], row["given"], row["outcome"]) for row in rows] == [
        ("heads", "pre-existing", "wrong"),
        ("tails", "undecided", "right"),
    ]
    assert {(row["beside"], row["organism"], row["base_seed"], row["seed"], row["part"]) for row in rows} == {
        ("feature standing", "coin", 5, 2, "confirmation")
    }


def test_kept_cells_enter_the_matrix_and_unfinished_ones_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = FEATURE_INSTRUMENTS["best feature as pre-existing"]
    for organism, finished in (("coin", True), ("rl", True), ("null", False)):
        cell = Cell(organism, 0, 0, tmp_path / "features")
        for name in ("features", "causes", "news")[: 3 if finished else 1]:
            replace(features(step=0.9), name=name).save(cell.folder)
    assert set(kept(Cell("rl", 0, 0, tmp_path / "features"))) == {"features", "causes", "news"}

    def refused(_cell: Cell) -> None:
        raise AssertionError("measured")

    monkeypatch.setattr(feature_cells, "measured", refused)
    record = calibrate(["best feature as pre-existing"], base_seeds=[0], kept=True, folder=tmp_path)
    assert dict(zip(record.table["organism"], record.table["outcome"], strict=True)) == {"rl": "right", "coin": "wrong"}
    assert set(record.table["beside"]) == {usual.beside}
    with pytest.raises(AssertionError, match="measured"):
        calibrate(["best feature as pre-existing"], ["null"], base_seeds=[0], folder=tmp_path)


@pytest.fixture(scope="module")
def text() -> Reading:
    said = "run Z A : 1 2 3 step Z 4 5 6 step A 7 8 9 ans 7 8 9 <eos>"
    words = ["<bos>", *said.split()]
    pair = load_pair("organism:base", "organism:base")
    tokens = pair.encode(said)
    task = organism_task("newskill", n=3, practice=3)
    assert task.label is not None
    prompt = task.label(task.problems[0], [])
    assert prompt == []
    response = task.label(replace(task.problems[0], id="elsewhere"), words[8:])
    none = replace(response[-1], strategy="none", role="text")
    return Reading("t", tuple(tokens), (none,) * 8 + tuple(response))


def test_a_coin_deals_whole_stretches_and_leaves_the_rest(text: Reading) -> None:
    coined = dealt(text, np.random.default_rng(0))
    assert {label.strategy for label in coined.labels} <= {"none", "heads", "tails"}
    for stretch in {label.stretch for label in text.labels if label.strategy != "none"}:
        mine = {label.strategy for label in coined.labels if label.stretch == stretch and label.strategy != "none"}
        assert len(mine) == 1
    before = [label.strategy == "none" for label in text.labels]
    assert [label.strategy == "none" for label in coined.labels] == before


def test_only_the_new_operations_stretch_becomes_its_own_strategy(text: Reading) -> None:
    pair = load_pair("organism:base", "organism:base")
    labels = of_operation(pair, text).labels
    words = pair.words(text.tokens)
    mine = [word for word, label in zip(words, labels, strict=True) if label.strategy == "Z"]
    assert mine == ["step", "Z", "4", "5", "6"]
