"""The jobs that a command line asks for: every pair with every seed, and where each one's results go."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from interp.checkpoint import open_checkpoint, transformers_config
from interp.compatible import check_configs, check_shapes
from interp.units.job import Job
from interp.units.opened import open_task


def jobs_of(
    base: str,
    tuned: Sequence[str],
    *,
    task: str | None = None,
    seeds: Iterable[int] = (0,),
    n: int,
    practice: int,
    max_new_tokens: int = 256,
    **options: Any,
) -> list[Job]:
    """One job per tuned checkpoint and seed. Organisms bring a task, drawn by the seed; others need `task`, a file.

    What is no pair is refused before anything is measured. ValueError where two results would have the same name.
    """
    jobs, names = list[Job](), [_name(reference) for reference in tuned]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"results of two tuned checkpoints would both be called {min(twice)!r}; rename a directory")
    first = open_checkpoint(base)
    for reference in tuned:
        second = open_checkpoint(reference)
        check_configs(transformers_config(first), transformers_config(second))
        check_shapes(first, second)
        for seed in seeds:
            source = _source(reference, task, n=n, practice=practice, seed=seed, max_new_tokens=max_new_tokens)
            places = {"base": _place(base), "tuned": _place(reference)}
            jobs.append(Job(first, second, places, open_task(source), source, seed, **options))
    return jobs


def folder_of(job: Job, out: Path) -> Path:
    """Where the job's results go: a folder per tuned checkpoint, and in it one per seed."""
    return out / _name(job.places["tuned"]) / f"seed{job.seed}"


def _source(
    reference: str, task: str | None, *, n: int, practice: int, seed: int, max_new_tokens: int
) -> dict[str, Any]:
    """How a worker opens the task."""
    if task is not None and not task.startswith("organism:"):
        return {"file": str(Path(task).absolute()), "n": n, "max_new_tokens": max_new_tokens}
    named = task or reference
    if not named.startswith("organism:"):
        raise ValueError(f"{reference} brings no task of its own; give --task FILE")
    name = named.removeprefix("organism:").partition("@")[0]
    return {"organism": name, "n": n, "practice": practice, "seed": seed}


def _place(reference: str) -> str:
    """How a worker in another directory names the checkpoint."""
    path = Path(reference).expanduser()
    return str(path.absolute()) if path.is_dir() else reference


def _name(reference: str) -> str:
    """A folder's name for a checkpoint: the last part of a path, or its name on the hub or the shelf."""
    path = Path(reference).expanduser()
    shown = path.absolute().name if path.is_dir() else reference
    return re.sub(r"[^\w.-]+", "-", shown)
