"""What a worker opens for its units and keeps open for the next: checkpoints, the loaded pair, the task."""

import functools
from collections.abc import Mapping
from typing import Any

import torch

from interp.checkpoint import Checkpoint, open_checkpoint
from interp.measurement import code_digest, versions
from interp.pair import Pair, load_pair
from interp.tasks.task import Task
from interp.units.unit import Unit


def files(unit: Unit) -> tuple[Checkpoint, Checkpoint]:
    """Base and tuned of a unit, with the bytes that it was planned for; ValueError where they, or the code, are others.

    Numbers made by other code, or with other versions of packages, must not stand under the planned unit's key.
    """
    here = {"code": code_digest(unit.given["module"]), "versions": versions()}
    for what, value in here.items():
        if value != unit.depends_on[what]:
            raise ValueError(
                f"this worker's {what} ({value}) are not those that the sweep was planned with "
                f"({unit.depends_on[what]}); install the same everywhere and start the sweep again"
            )
    # On the CPU one thread per unit: sums come out the same on every machine, and units keep all cores busy.
    torch.set_num_threads(1)
    opened = []
    for role in ("base", "tuned"):
        checkpoint, planned = _checkpoint(unit.given[role]), unit.depends_on[role]
        if checkpoint.digest != planned:
            raise ValueError(
                f"{role} was {planned} when this was planned and is {checkpoint.digest} now; start the sweep again"
            )
        opened.append(checkpoint)
    return opened[0], opened[1]


def pair(unit: Unit) -> Pair:
    """The unit's pair, loaded; the last one stays, so that units of one pair in a row load it once."""
    base, tuned = files(unit)
    return _pair(base, tuned, unit.depends_on["dtype"], unit.given["device"], unit.given["tuned_device"])


def task(unit: Unit) -> Task:
    """The unit's task; ValueError where its problems are other ones by now."""
    made = open_task(unit.given["task"])
    if made.digest != unit.depends_on["task"]:
        raise ValueError(f"the problems of {made.name!r} changed since this was planned; start the sweep again")
    return made


def open_task(source: Mapping[str, Any]) -> Task:
    """The task that `organism` or `file` and further options name."""
    return _task(tuple(sorted(source.items())))


@functools.lru_cache(maxsize=4)
def _checkpoint(reference: str) -> Checkpoint:
    return open_checkpoint(reference)


@functools.lru_cache(maxsize=1)
def _pair(base: Checkpoint, tuned: Checkpoint, dtype: str, device: str, tuned_device: str | None) -> Pair:
    return load_pair(base, tuned, dtype=getattr(torch, dtype), device=device, tuned_device=tuned_device)


@functools.lru_cache(maxsize=1)
def _task(source: tuple[tuple[str, Any], ...]) -> Task:
    options = dict(source)
    if "organism" in options:
        from interp.tasks.organism import organism_task

        return organism_task(options.pop("organism"), **options)
    from interp.tasks.text import text_task

    return text_task(options.pop("file"), **options)
