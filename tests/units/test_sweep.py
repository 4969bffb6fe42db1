"""A sweep's tables are those of the functions that measure everything at once, whoever did its units."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from interp.checkpoint import open_checkpoint
from interp.claims.routing_recovers import routing_recovers_gain
from interp.cli import main
from interp.commands.sweep import SWEPT
from interp.layers.activations import activation_change
from interp.layers.room import SPECTRA
from interp.layers.spectra import weight_spectra
from interp.layers.weights import weight_change
from interp.measurement import Measurement
from interp.rollouts import readings, rollouts
from interp.routing.arms import CURVE, route, standard_arms
from interp.routing.decisions import task_decisions
from interp.units import sweep as sweeping
from interp.units.engines import run_units
from interp.units.job import Job, shards_of
from interp.units.sweep import INSTRUMENTS, estimate, sweep
from interp.units.unit import Unit


def same(found: Measurement, expected: Measurement) -> None:
    """To the last bit, after both were saved."""
    assert found.to_json()["rows"] == expected.to_json()["rows"]
    assert found.unit == expected.unit


def test_the_command_line_knows_every_instrument() -> None:
    assert set(SWEPT) == set(INSTRUMENTS)


def test_layers_by_themselves_add_up_to_the_files(serial: dict[str, Measurement]) -> None:
    files = open_checkpoint("organism:base"), open_checkpoint("organism:rl")
    same(serial["weights"], weight_change(*files))
    same(serial["spectra"], weight_spectra(*files, draws=SPECTRA["quick"]))
    made = [{**m.made_with, "commit": "", "dirty": ""} for m in (serial["weights"], weight_change(*files))]
    assert made[0] == made[1]


def test_batches_by_themselves_add_up_to_the_whole(
    serial: dict[str, Measurement], small_jobs: Callable[..., list[Job]], organism_pair: Any, tmp_path: Path
) -> None:
    (job,), pair = small_jobs(), organism_pair("rl")
    written = rollouts(pair, job.task.practice, max_new_tokens=job.task.max_new_tokens)
    whole = activation_change(pair, readings(pair, job.task, written), draws=5)
    same(serial["activations"], whole)
    assert serial["activations"].made_with["readings"] == whole.made_with["readings"]


def test_batches_dealt_out_otherwise_add_up_to_the_same(
    sweep_of: Callable[..., dict[str, Measurement]],
    small_jobs: Callable[..., list[Job]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("interp.units.by_batch.BATCH", 2)
    found = [sweep_of(small_jobs(shards=n), tmp_path / str(n), ("activations",))["activations"] for n in (1, 4)]
    assert len(list((tmp_path / "4" / "units" / "activations").iterdir())) == 4
    same(*found)


def test_problems_by_themselves_are_answered_as_among_all(
    serial: dict[str, Measurement], small_jobs: Callable[..., list[Job]], organism_pair: Any
) -> None:
    (job,), pair = small_jobs(), organism_pair("rl")
    arms = [arm for arm in standard_arms(task_decisions(pair, job.task)) if arm.name not in CURVE]
    same(serial["answers"], route(pair, job.task, arms=arms))
    assert routing_recovers_gain(serial["answers"]).claim, "the verdict has all arms that it asks for"


def test_a_seed_of_its_own_changes_what_is_drawn_and_nothing_else(
    sweep_of: Callable[..., dict[str, Measurement]],
    serial: dict[str, Measurement],
    small_jobs: Callable[..., list[Job]],
    tmp_path: Path,
) -> None:
    other = sweep_of(small_jobs(seeds=[1]), tmp_path, ("weights", "activations"))
    same(other["weights"], serial["weights"])
    assert not other["activations"].table["block_diff"].equals(serial["activations"].table["block_diff"])


def test_a_checkpoint_compared_with_itself_differs_by_nothing(
    sweep_of: Callable[..., dict[str, Measurement]], small_jobs: Callable[..., list[Job]], tmp_path: Path
) -> None:
    found = sweep_of(small_jobs(task="organism:rl", tuned="organism:base"), tmp_path, ("weights", "activations"))
    assert (found["weights"].table["relative"] == 0).all()
    assert (found["activations"].table[["block_diff", "cumulative_diff"]] == 0).all(axis=None)


def test_the_estimate_counts_what_is_left(
    sweep_of: Callable[..., dict[str, Measurement]], small_jobs: Callable[..., list[Job]], tmp_path: Path
) -> None:
    (job,) = small_jobs()
    units = list(next(INSTRUMENTS["weights"](job)))
    assert estimate(units, tmp_path, "processes", 4).startswith("7 units to do, 0 done before; processes, 4 at a time")
    sweep_of([job], tmp_path, ("weights",))
    assert estimate(units, tmp_path / "units", "serial", 1).startswith("0 units to do, 7 done before")


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("code", r"this worker's code \(.*\) are not those that the sweep was planned with \(old\); install the same"),
        ("versions", r"this worker's versions \(.*\) are not those that the sweep was planned with \(old\)"),
        ("base", r"base was old when this was planned and is [0-9a-f]{16} now; start the sweep again"),
    ],
)
def test_a_unit_is_refused_where_its_things_are_others(
    what: str, sentence: str, small_jobs: Callable[..., list[Job]], tmp_path: Path
) -> None:
    (job,) = small_jobs()
    unit = next(INSTRUMENTS["weights"](job))[0]
    other = Unit(unit.instrument, unit.part, {**unit.depends_on, what: "old"}, unit.given)
    with pytest.raises(RuntimeError, match=f"1 of 2 units failed, first weights, layer 0: ValueError: {sentence}"):
        run_units([unit, other], sweeping.work, store=tmp_path)


def test_no_instrument_of_that_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no instrument 'swaps' to sweep; there are weights, spectra, "):
        next(sweep([], ["swaps"], store=tmp_path))


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_shards_are_runs_of_everything(n: int) -> None:
    runs = shards_of(n, 4)
    assert [i for a, b in runs for i in range(a, b)] == list(range(n))
    sizes = pd.Series([b - a for a, b in runs])
    assert len(runs) == min(n, 4) and sizes.max() - sizes.min() <= 1


def test_the_command_writes_the_tables_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["sweep", "organism:base", "organism:rl", "organism:upper", "--engine", "serial", "--quick", "--n", "3"]
    command += ["--instruments", "weights", "--out", str(tmp_path)]
    told = []
    for _ in range(2):
        assert main(command) == 0
        told.append(capsys.readouterr())
    tables = [tmp_path / f"organism-{name}" / "seed0" / "weights.json" for name in ("rl", "upper")]
    assert told[0].out == told[1].out and all(str(table) in told[0].out for table in tables)
    assert "14 units to do, 0 done before; serial" in told[0].err and "0 units to do, 14 done before" in told[1].err
    moved = [Measurement.load(table).table.groupby("layer")["relative"].max() for table in tables]
    assert (moved[0] > 0).all() and moved[1][0] == 0, "the lower half of 'upper' was frozen"


def test_tuned_goes_where_the_command_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["sweep", "organism:base", "organism:rl", "--engine", "serial", "--quick", "--n", "3"]
    assert main([*command, "--instruments", "answers", "--tuned-device", "cuda:7", "--out", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert "first answers, arms, problems 0 to 1: " in told and "this machine has no CUDA device; use 'cpu'" in told


def test_a_unit_hangs_on_the_kinds_of_its_devices(small_jobs: Callable[..., list[Job]]) -> None:
    places = ({}, {"tuned_device": "cpu"}, {"tuned_device": "cuda:1"}, {"device": "cuda:0", "tuned_device": "cuda:1"})
    jobs = [small_jobs(**place)[0] for place in places]
    assert [job.loaded["device"] for job in jobs] == ["cpu", "cpu", "cpu and cuda", "cuda"]
    keys = [next(INSTRUMENTS["answers"](job))[0].key for job in jobs]
    assert keys[0] == keys[1] and len(set(keys)) == 3


def test_the_command_refuses_what_it_cannot_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused = {
        ("--instruments", "swaps"): "an instrument of a sweep is weights, spectra, activations, answers, not swaps",
        ("--jobs", "0"): "--jobs and --shards have to be at least 1",
    }
    for options, sentence in refused.items():
        assert main(["sweep", "organism:base", "organism:rl", *options, "--out", str(tmp_path)]) == 2
        assert sentence in capsys.readouterr().err
    assert main(["sweep", "organism:base", "organism:rl", "organism:rl", "--out", str(tmp_path)]) == 2
    assert "results of two tuned checkpoints would both be called 'organism-rl'" in capsys.readouterr().err
