"""Instruments on pairs and seeds, in waves of units: whatever can be done by now is done side by side."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from interp.estimate import core_speed
from interp.measurement import Measurement
from interp.units import by_batch, by_layer, by_problem, texts
from interp.units.engines import run_units
from interp.units.job import Job, Steps
from interp.units.store import place
from interp.units.unit import Unit

INSTRUMENTS: Mapping[str, Callable[[Job], Steps]] = {
    "weights": by_layer.weights,
    "spectra": by_layer.spectra,
    "activations": by_batch.activations,
    "answers": by_problem.answers,
}
WORK: Mapping[str, Callable[[Unit], Any]] = {
    "weights": by_layer.rows,
    "spectra": by_layer.rows,
    "texts": texts.texts,
    "activations": by_batch.sums,
    "answers": by_problem.rows,
}
_log = logging.getLogger("interp")


def sweep(
    jobs: Sequence[Job],
    instruments: Sequence[str] = tuple(INSTRUMENTS),
    *,
    store: Path,
    engine: str = "serial",
    processes: int = 1,
) -> Iterator[tuple[Job, Measurement]]:
    """Every instrument of every job, as it is finished; who does the units, and how often they die, changes no number.

    The first wave holds what hangs on nothing but files and prompts; the next what had to wait for a wave's results
    (activations for the texts, random controls for the arm that they follow). What is in `store` is not done again.
    """
    if unknown := set(instruments) - INSTRUMENTS.keys():
        raise ValueError(f"there is no instrument {min(unknown)!r} to sweep; there are {', '.join(INSTRUMENTS)}")
    steps = [(job, INSTRUMENTS[name](job)) for job in jobs for name in instruments]
    waiting = [(job, step, list(next(step))) for job, step in steps]
    while waiting:
        units = [unit for _, _, asked in waiting for unit in asked]
        _log.info(estimate(units, store, engine, processes))
        results = iter(run_units(units, work, store=store, engine=engine, jobs=processes))
        rest = []
        for job, step, asked in waiting:
            try:
                rest.append((job, step, list(step.send([next(results) for _ in asked]))))
            except StopIteration as ended:
                yield job, ended.value
        waiting = rest


def work(unit: Unit) -> Any:
    """Do any unit of a sweep."""
    return WORK[unit.instrument](unit)


def estimate(units: Sequence[Unit], store: Path, engine: str, processes: int) -> str:
    """What is to be done, what is done, and how long the arithmetic alone takes at the speed of one core just now.

    Texts count as long as they may get. Loading, reading files and everything that is not a large matrix product come
    on top: for models of a few million parameters they are most of the time. A GPU has its own speed.
    """
    different = {unit.key: unit for unit in units}
    todo = [unit for unit in different.values() if not place(store, unit).exists()]
    workers = 1 if engine == "serial" else max(1, min(processes, len(todo)))
    seconds, speed = sum(unit.flops for unit in todo), core_speed()
    return (
        f"{len(todo)} units to do, {len(different) - len(todo)} done before; {engine}, {workers} at a time: about "
        f"{seconds / speed / workers:.0f} s of arithmetic at {speed / 1e9:.0f} GFLOP/s a core, and what comes on top"
    )
