"""What a pair alone cannot show: other tunings of its base, and checkpoints along its tuning."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from interp.behaviour.core_overlap import core_overlap
from interp.behaviour.formats import formats, opening_format, opening_word
from interp.behaviour.in_errands import layout_formats
from interp.checkpoint import Checkpoint, open_checkpoint
from interp.measurement import Measurement, remembered, source_digest
from interp.organisms import shelf
from interp.pair import Pair, load_pair
from interp.rollouts import write
from interp.tasks.errands import errand_task
from interp.tasks.task import Task
from interp.written import together

BESIDE = ("sft", "newskill", "lower", "errands-bold", "errands-narrow", "errands-wander")
"""Organisms that an organism is held against, where they have its parent: each was taught another thing."""
PROBLEMS, SAMPLES = {"full": 100, "quick": 40}, 8
"""Problems of a series, and samples of each by every checkpoint: formats need far fewer than pass@k."""


def organisms_beside(tuned: str) -> list[str]:
    """Other tunings of an organism's base on the shelf, as `organism:NAME@SEED`; none where it is no organism."""
    if not tuned.startswith("organism:"):
        return []
    name, _, said = tuned.removeprefix("organism:").partition("@")
    seed = int(said or 0)
    parent = shelf.card(name, seed)["parent"]
    there = [other for other in BESIDE if other != name and other in shelf.names(seed)]
    return [f"organism:{other}@{seed}" for other in there if shelf.card(other, seed)["parent"] == parent]


def cores_beside(base: Checkpoint, tuned: Checkpoint, others: Sequence[str], *, folder: Path | None) -> Measurement:
    """`core_overlap` of tuned and of `others`, checkpoints tuned from the same base; no model is built."""
    tunings = {one.name: one for one in (tuned, *map(open_checkpoint, others))}
    depends_on = {"base": base.digest, "tunings": {name: one.digest for name, one in tunings.items()}}
    code = source_digest(["", "behaviour"])
    return remembered(folder, "core_overlap", depends_on | {"code": code}, lambda: core_overlap(base, tunings))


def training_steps(series: Sequence[str]) -> dict[int, str]:
    """Checkpoints by the number that their name ends in (`checkpoint-400`, `org/name@step400`), in the order given.

    ValueError for a name that ends in no number, and for steps that do not rise.
    """
    found: dict[int, str] = {}
    for name in series:
        number = re.search(r"(\d+)/?$", name)
        if number is None:
            raise ValueError(f"{name!r} does not say its training step; name checkpoints so that they end in a number")
        found[int(number[1])] = name
    if len(found) != len(series) or list(found) != sorted(found):
        steps = ", ".join(map(str, found))
        raise ValueError(f"the checkpoint series is out of order: {steps}; give rising steps, each once")
    return found


def formats_along(
    pair: Pair,
    task: Task,
    series: Sequence[str],
    *,
    folder: Path | None = None,
    quick: bool = False,
    seed: int = 0,
) -> Measurement:
    """`formats` of base, of tuned and of every checkpoint of `series` between them, by training step.

    Errands are asked trips, whose layouts are their formats; other texts are told apart by the strategy that opens
    them, or, where nobody parses them, by their first word.
    """
    errands, n = task.name.startswith("errands:"), PROBLEMS["quick" if quick else "full"]
    asked = errand_task("trips", n=n, seed=seed, practice=1) if errands else replace(task, problems=task.problems[:n])
    checkpoints = {step: open_checkpoint(name) for step, name in training_steps(series).items()}
    depends_on = {
        "base": pair.base_checkpoint.digest,
        "tuned": pair.tuned_checkpoint.digest,
        "series": {step: one.digest for step, one in checkpoints.items()},
        "asked": [asked.digest, seed],
        "code": source_digest(["", "tasks", "behaviour"]),
    }

    def made() -> Measurement:
        parts = [write(pair, asked, samples=SAMPLES, seed=seed)]
        parts[0].table["step"] = parts[0].table["arm"].map({"base": 0.0})
        for step, checkpoint in checkpoints.items():
            arm = {f"step {step}": "tuned"}
            between = load_pair(pair.base_checkpoint, checkpoint, dtype=pair.dtype, device=str(pair.device))
            parts.append(write(between, asked, arms=arm, samples=SAMPLES, seed=seed, about={"step": step}))
        written, arms = together(*parts), ["base", *(f"step {step}" for step in checkpoints)]
        if errands:
            found = layout_formats(written, series=arms)
        else:
            found = formats(written, opening_format if task.label else opening_word, series=arms)
        return replace(found, made_with={**pair.made_with(), **found.made_with})

    return remembered(folder, "formats", depends_on, made)
