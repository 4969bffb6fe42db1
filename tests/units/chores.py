"""Work for workers of the tests, importable where they are; some of it ends badly."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interp.units.unit import Unit


def square(unit: Unit) -> float:
    return float(unit.depends_on["x"]) ** 2


def fail(unit: Unit) -> float:
    if unit.depends_on["x"] % 2:
        raise ValueError(f"{unit.depends_on['x']} is odd")
    return square(unit)


def die(unit: Unit) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_once(unit: Unit, work: Callable[[Unit], Any] = square) -> Any:
    """The first to come by is killed in the middle of its unit."""
    try:
        Path(unit.given["marker"]).touch(exist_ok=False)
    except FileExistsError:
        return work(unit)
    os.kill(os.getpid(), signal.SIGKILL)


def sweep_killed_once(unit: Unit) -> Any:
    from interp.units.sweep import work

    return killed_once(unit, work)


def linger(unit: Unit) -> None:
    """Say who is at work, and stay at it."""
    Path(unit.given["here"], str(os.getpid())).touch()
    time.sleep(600)


def drive(units: list[Unit], folder: Path) -> None:
    """Be the driver of two workers."""
    from interp.units.engines import run_units

    run_units(units, linger, store=folder, engine="processes", jobs=2)


def race(store: Path, unit: Unit, times: int) -> None:
    """Do one unit again and again."""
    from interp.units.store import finished, place

    for _ in range(times):
        place(store, unit).unlink(missing_ok=True)
        finished(store, unit, square)


def layers_of_weights(folder: Path) -> None:
    """A sweep, then a room whose measurements are remembered, on two organisms."""
    from unittest import mock

    from interp.layers import room
    from interp.measurement import remembered
    from interp.pair import load_pair
    from interp.units.jobs import folder_of, jobs_of
    from interp.units.sweep import sweep

    with mock.patch("interp.measurement._commit", dict):
        jobs = jobs_of("organism:base", ["organism:rl"], n=3, practice=3, quick=True, shards=3)
        for job, measured in sweep(jobs, ["weights", "activations"], store=folder / "units"):
            measured.save(folder_of(job, folder))
        pair = load_pair("organism:base", "organism:rl")
        on = {"base": pair.base_checkpoint.digest, "tuned": pair.tuned_checkpoint.digest}
        room.weights(pair, lambda name, make: remembered(folder / "room", name, on, make))
