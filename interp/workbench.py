"""The main job: a pair and a task in, measurements, verdicts and one page out.

Every measurement is kept in `folder` with a digest of what it was made from; a run that was interrupted and is
started again takes what is finished from there.
"""

import functools
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from interp.claims.verdict import Verdict
from interp.measurement import Measurement, remembered, source_digest
from interp.pair import Pair, load_pair
from interp.rollouts import readings, rollouts
from interp.tasks.task import Reading, Task
from interp.tasks.text import readings as worked_readings

SMALL = 5_000_000
"""Parameters below which a model computes in one thread."""

_log = logging.getLogger("interp")

GROUND = ("", "tasks")
"""Folders of source that every measurement hangs on."""
DRAWS = {"full": 10, "quick": 5}
"""Random changes that an activation change is held against."""
SAMPLES = {"full": 200_000, "quick": 100_000}
"""Activations that the SAE is trained on."""
REPERTOIRE = 3
"""Responses of base to each practice problem in which strategies are looked for."""


def measure_layers(
    pair: Pair, task: Task, *, folder: Path | None = None, quick: bool = False, seed: int = 0
) -> list[Measurement]:
    """`weights`, `activations` and `swaps`: where in the depth did tuning act?

    The activations are those of practice problems' prompts and of what both models wrote to them.
    """
    from interp.layers.activations import activation_change
    from interp.layers.swaps import block_swaps
    from interp.layers.weights import weight_change

    texts = _texts(pair, task, folder, quick, seed)
    keep = _keeper(pair, task, folder, "layers", quick=quick, seed=seed)
    draws = DRAWS["quick" if quick else "full"]
    return [
        keep("weights", lambda: weight_change(pair.base_checkpoint, pair.tuned_checkpoint)),
        keep("activations", lambda: activation_change(pair, texts(), draws=draws, seed=seed)),
        keep("swaps", lambda: block_swaps(pair, task)),
    ]


def measure_features(
    pair: Pair, task: Task, *, folder: Path | None = None, quick: bool = False, seed: int = 0
) -> list[Measurement]:
    """`sae_quality` and `features`: which strategy features did base have before tuning?

    The SAE is trained on base reading what both models wrote to the practice problems. Strategies are told apart
    where a task with a parser labels them in base's own sampled text, which holds its whole repertoire whatever is
    asked, or a task's spans label them in worked responses. ValueError where there is neither.
    """
    from interp.sae.features import strategy_features
    from interp.sae.quality import sae_quality
    from interp.sae.texts import repertoire
    from interp.sae.train import train_sae

    if not has_strategies(task):
        raise ValueError(f"task {task.name!r} labels no strategies; give its problems a 'text' with 'spans'")
    texts = _texts(pair, task, folder, quick, seed)
    keep = _keeper(pair, task, folder, "sae", quick=quick, seed=seed)
    samples = SAMPLES["quick" if quick else "full"]
    trained = functools.cache(lambda: train_sae(pair, texts(), samples=samples, seed=seed))

    def labelled() -> dict[str, list[Reading]]:
        if task.label is None:
            return {"worked": worked_readings(task, pair.tokenizer)}
        return {"base": repertoire(pair, task, per_problem=REPERTOIRE, seed=seed)}

    return [
        keep("sae_quality", lambda: sae_quality(pair, trained(), texts(), seed=seed)),
        keep("features", lambda: strategy_features(pair, trained(), labelled(), seed=seed)),
    ]


def measure_routing(
    pair: Pair, task: Task, *, folder: Path | None = None, quick: bool = False, seed: int = 0
) -> list[Measurement]:
    """`answers`: what base solves when tuned chooses some of its tokens."""
    from interp.routing.arms import route

    keep = _keeper(pair, task, folder, "routing", quick=quick, seed=seed)
    return [keep("answers", lambda: route(pair, task, seed=seed))]


def has_strategies(task: Task) -> bool:
    """Whether some text of the task says which strategy its tokens follow."""
    return task.label is not None or any(problem.spans for problem in (*task.practice, *task.problems))


def decide(measurements: Sequence[Measurement]) -> list[Verdict]:
    """The verdicts that the measurements at hand are enough for."""
    from interp.claims.features_precede import features_precede_tuning
    from interp.claims.routing_recovers import routing_recovers_gain
    from interp.claims.upper_layers import upper_layers_carry_behaviour

    have = {measurement.name: measurement for measurement in measurements}
    claims: list[tuple[Callable[..., Verdict], tuple[str, ...]]] = [
        (upper_layers_carry_behaviour, ("swaps", "weights", "activations")),
        (features_precede_tuning, ("features", "sae_quality")),
        (routing_recovers_gain, ("answers",)),
    ]
    return [claim(*(have[name] for name in names)) for claim, names in claims if set(names) <= have.keys()]


def measure(
    pair: Pair, task: Task, *, folder: Path | None = None, quick: bool = False, seed: int = 0
) -> list[Measurement]:
    """The measurements of all rooms; those of features are left out where the task labels no strategies."""
    measurements = measure_layers(pair, task, folder=folder, quick=quick, seed=seed)
    if has_strategies(task):
        measurements += measure_features(pair, task, folder=folder, quick=quick, seed=seed)
    else:
        _log.warning("task %r labels no strategies, so no features are looked for", task.name)
    return measurements + measure_routing(pair, task, folder=folder, quick=quick, seed=seed)


def report(base: str, tuned: str, *, task: Task, out: Path, quick: bool = False, seed: int = 0) -> Path:
    """Measure all rooms, decide the claims and write `out/index.html`; returns its path.

    The measurements go to `out/measurements`.
    """
    from interp.report import write_report

    pair = open_pair(base, tuned)
    measurements = measure(pair, task, folder=out / "measurements", quick=quick, seed=seed)
    return write_report(measurements, decide(measurements), out / "index.html")


def open_pair(base: str, tuned: str) -> Pair:
    """The pair, loaded and checked; what it is and how faithful the loaded models are is logged."""
    pair = load_pair(base, tuned)
    if "OMP_NUM_THREADS" not in os.environ and sum(p.numel() for p in pair.base.parameters()) < SMALL:
        torch.set_num_threads(1)
    _log.info("%r", pair)
    return pair


def _texts(pair: Pair, task: Task, folder: Path | None, quick: bool, seed: int) -> Callable[[], list[Reading]]:
    """What both models wrote to the practice problems, labelled; written when first asked for."""
    if not task.practice:
        raise ValueError(f"task {task.name!r} has no practice problems to read; give it at least three problems")
    keep = _keeper(pair, task, folder, "tasks", quick=quick, seed=seed)

    def read() -> list[Reading]:
        written = keep("rollouts", lambda: rollouts(pair, task.practice, max_new_tokens=task.max_new_tokens, seed=seed))
        return readings(pair, task, written)

    return functools.cache(read)


def _keeper(
    pair: Pair, task: Task, folder: Path | None, room: str, **options: Any
) -> Callable[[str, Callable[[], Measurement]], Measurement]:
    """`remembered` for one room: what its measurements hang on besides their name."""
    depends_on = {
        "base": pair.base_checkpoint.digest,
        "tuned": pair.tuned_checkpoint.digest,
        "names": [pair.base_checkpoint.name, pair.tuned_checkpoint.name],
        "task": task.digest,
        "code": source_digest([*GROUND, room]),
        **options,
    }

    def keep(name: str, make: Callable[[], Measurement]) -> Measurement:
        def making() -> Measurement:
            started = time.perf_counter()
            measurement = make()
            _log.info("measured %s in %.1f s", name, time.perf_counter() - started)
            return measurement

        return remembered(folder, name, depends_on, making)

    return keep
