"""The matrix on shipped organisms: the instruments are told from coins put in their place, and runs go on."""

import json
import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from interp.calibration import matrix as module
from interp.calibration.expected import CONFIRMATION, DEVELOPED_ON, DEVELOPMENT, EXPECTED, expected, part
from interp.calibration.feature_answers import FEATURE_INSTRUMENTS
from interp.calibration.instruments import INSTRUMENTS, Has, Instrument
from interp.calibration.matrix import calibrate, matrix
from interp.calibration.measuring import FROM_FILES
from interp.calibration.pairs import KNOWN, Unit
from interp.calibration.rates import like_a_coin, rates
from interp.checkpoint import open_checkpoint
from interp.cli import main
from interp.commands.found import FAILED, FINE, USAGE
from interp.measurement import Measurement
from interp.organisms import shelf
from interp.organisms.edits import EDITS
from interp.organisms.gates import FellShort

CHEAP = [name for name, one in INSTRUMENTS.items() if set(one.needs) <= set(FROM_FILES) and not one.beside]
RUN = ["upper", "newskill", "noise", "bf16"]
"""Enough organisms, over two base seeds, to tell `when or how` from a coin."""

FEW = 40
"""Problems, fewer than the command asks."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Measurements are made once for all tests of this file."""
    return tmp_path_factory.mktemp("calibration")


def weights(folder: Path) -> Measurement:
    return calibrate(CHEAP, list(EDITS), base_seeds=[0, 1], folder=folder)


def test_no_instrument_that_reads_weights_is_like_a_coin(folder: Path) -> None:
    record = weights(folder)
    assert like_a_coin(record) == []
    assert set(record.table["outcome"]) == {"right"}
    assert set(record.table["part"]) == {"development", "confirmation"}


def test_a_coin_in_an_instruments_place_is_found_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    coin = random.Random(0)
    tossed = INSTRUMENTS["changed MLPs"]._replace(
        says=lambda has: coin.choice([INSTRUMENTS["changed MLPs"].says(has), "3"])
    )
    monkeypatch.setattr(module, "INSTRUMENTS", {**INSTRUMENTS, "changed MLPs": tossed})
    assert main(["calibrate", *of(CHEAP, EDITS), "--seeds", "0", "1", "--jobs", "1", "--out", str(folder)]) == FAILED
    said = capsys.readouterr().out
    assert "No better than a coin in these cells: changed MLPs" in said
    assert "coin in these cells: changed heads" not in said


def of(instruments: list[str], organisms: object) -> list[str]:
    """The options that name them."""
    assert isinstance(organisms, dict | list)
    named = [("--instrument", name) for name in instruments] + [("--organism", name) for name in organisms]
    return [word for pair in named for word in pair]


def test_whether_tuning_taught_when_or_how_is_told_on_both_seeds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interp.calibration.measuring.SWAPPED", FEW)
    monkeypatch.setattr("interp.calibration.measuring.ROUTED", FEW)
    record = calibrate(["when or how", "every disagreement as when"], RUN, base_seeds=[0, 1], folder=folder)
    assert like_a_coin(record) == []
    found = rates(record).set_index(["instrument", "part"])
    assert found.loc[("when or how", "all"), "sensitivity"] == 1
    usual = record.table[
        (record.table.instrument == "every disagreement as when") & (record.table.organism == "newskill")
    ]
    assert list(usual["given"]) == ["supported", "supported"]
    assert list(usual["outcome"]) == ["wrong", "wrong"]


def test_a_run_that_was_interrupted_measures_nothing_twice(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = weights(folder)

    def refused(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr("interp.calibration.measuring.weight_change", refused)
    assert weights(folder).table.equals(before.table)
    with pytest.raises(AssertionError, match="measured again"):
        calibrate(["weight locus"], ["copy"], base_seeds=[0], folder=tmp_path)
    kept = calibrate(["weight locus", "causal locus, answers"], ["copy"], base_seeds=[0], kept=True, folder=folder)
    assert list(kept.table["instrument"]) == ["weight locus"]
    with pytest.raises(LookupError, match="nothing that was asked for is kept in"):
        calibrate(["weight locus"], ["copy"], base_seeds=[0], kept=True, folder=tmp_path)


def test_another_seed_of_an_edit_is_another_cell_with_its_own_place(folder: Path) -> None:
    record = calibrate(["changed heads"], ["head-ov"], base_seeds=[0], draws=3, folder=folder)
    assert list(record.table["seed"]) == [0, 1, 2]
    assert len(set(record.table["expected"])) > 1
    assert set(record.table["outcome"]) == {"right"}


def test_a_further_draw_of_a_trained_organism_is_another_tuning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []

    def train(name: str, *, seed: int, out: Path, tuning: int, say: object) -> Path:
        trained.append((name, seed, tuning))
        if name == "noise":
            raise FellShort("noise of seed 1 did not pass its gate: facts is 1 of 64, wanted >= 0.95")
        return shelf.folder("rl" if tuning == 1 else "newskill", seed)

    monkeypatch.setattr("interp.calibration.pairs.train_organism", train)
    record = calibrate(["weight locus"], ["sft", "sft-again", "noise"], base_seeds=[1], draws=2, folder=tmp_path)
    assert trained == [*[("sft", 1, 1)] * 3, ("sft", 1, 2), ("noise", 1, 1)]
    told = record.table.groupby("organism")["seed"].apply(list).to_dict()
    assert told == {"sft": [0, 1], "sft-again": [0, 1], "noise": [0]}
    assert set(record.table["outcome"]) == {"right"}
    further = Measurement.load(tmp_path / "sft" / "base1" / "seed1" / "weights.json")
    assert further.made_with["tuned"]["digest"] == open_checkpoint("organism:rl@1").digest


def test_what_other_code_measured_is_kept_and_what_is_of_other_checkpoints_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibrate(["weight locus"], ["baked"], base_seeds=[0, 1], folder=tmp_path)
    monkeypatch.setattr("interp.calibration.measuring.source_digest", lambda _folders: "other code")
    assert len(calibrate(["weight locus"], ["baked"], base_seeds=[0, 1], kept=True, folder=tmp_path).table) == 2
    (tmp_path / "baked" / "base0").rename(tmp_path / "baked" / "base2")
    kept = calibrate(["weight locus"], ["baked"], base_seeds=[1, 2], kept=True, folder=tmp_path)
    assert list(kept.table["base_seed"]) == [1]


@pytest.mark.slow
def test_processes_say_what_one_says(folder: Path, tmp_path: Path) -> None:
    asked: Callable[..., Measurement] = lambda jobs, where: calibrate(  # noqa: E731
        ["weight locus"], ["copy", "baked", "middle"], base_seeds=[1], folder=where, jobs=jobs
    )
    assert asked(2, tmp_path).table.equals(asked(1, folder).table)


@pytest.mark.slow
def test_workers_end_with_a_run_that_is_killed(
    tmp_path: Path, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    driver = subprocess.Popen([sys.executable, Path(__file__).with_name("driver.py"), tmp_path])
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    assert all(Path("/proc", worker.name).exists() for worker in tmp_path.iterdir())
    driver.kill()
    driver.wait()
    wait_until(lambda: not any(Path("/proc", worker.name).exists() for worker in tmp_path.iterdir()))


def test_seeds_that_confirm_chose_nothing() -> None:
    assert not set(DEVELOPMENT) & set(CONFIRMATION)
    assert [part(seed) for seed in (0, 1, 4)] == ["development", "confirmation", "confirmation"]
    assert [part(seed, "feature standing") for seed in (0, 4, 5)] == ["development", "development", "confirmation"]
    assert set(DEVELOPED_ON) <= {*INSTRUMENTS, *FEATURE_INSTRUMENTS}


def test_instruments_travel_to_other_processes() -> None:
    assert pickle.loads(pickle.dumps(dict(INSTRUMENTS))) == dict(INSTRUMENTS)


def test_every_expectation_names_an_instrument_and_an_organism() -> None:
    assert set(EXPECTED) == set(INSTRUMENTS)
    assert {organism for of in EXPECTED.values() for organism in of} <= set(KNOWN)
    assert all(one.beside in ("", *INSTRUMENTS) for one in INSTRUMENTS.values())
    assert expected("changed heads", "head-ov", {"layer": 2, "head": 1}) == "L2H1 OV"
    assert expected("changed heads", "rl", {}) is None


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--instrument", "lens"], USAGE, "there is no instrument 'lens' to calibrate; there are weight locus"),
        (["--organism", "rll"], USAGE, "there is no organism 'rll' to calibrate"),
        (
            ["--organism", "base"],
            USAGE,
            "no instrument asked for has a known answer on base of base seeds 0, 1, 2, 3, 4",
        ),
        (["--jobs", "0"], USAGE, "--jobs and --draws have to be at least 1"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(
    arguments: list[str], code: int, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", *arguments, "--out", str(tmp_path)]) == code
    assert sentence in capsys.readouterr().err


def test_an_organism_that_is_not_there_and_an_unknown_question_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="there is no organism 'rll' to calibrate on"):
        Unit("rll", 0, 0)

    def silent(_has: Has) -> str:
        return "none"

    with pytest.raises(LookupError, match="nothing is known to be right for tea leaves"):
        matrix({"tea leaves": Instrument("?", ("weights",), silent)}, folder=tmp_path)


def test_the_command_prints_and_saves_what_it_found(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = [*of(["changed heads"], EDITS), "--seeds", "0", "1", "--jobs", "1", "--out", str(folder)]
    assert main(["calibrate", *wanted, "--json"]) == FINE
    (told,) = json.loads(capsys.readouterr().out)["measurements"]
    assert told["name"] == "record"
    assert told["rows"] == json.loads((folder / "record.json").read_text())["rows"]
