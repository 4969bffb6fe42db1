"""The main job: a pair and a task in, measurements, verdicts and one page out.

Every measurement is kept in `folder` with a digest of what it was made from; a run that was interrupted and is
started again takes what is finished from there.
"""

import functools
import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from interp.calibration.record import in_short, missed, record
from interp.checkpoint import open_checkpoint, transformers_config
from interp.claims.verdict import Verdict
from interp.estimate import estimate
from interp.keeping import keeper
from interp.loading import load_tokenizer
from interp.measurement import Measurement
from interp.pair import Pair, load_pair
from interp.rollouts import Writer, readings, rollouts
from interp.tasks.chat import in_chat
from interp.tasks.task import Reading, Task

if TYPE_CHECKING:
    from interp.routing.features import Dictionary

SMALL = 5_000_000
"""Parameters below which a model computes in one thread."""

_log = logging.getLogger("interp")


def measure_layers(
    pair: Pair, task: Task, *, folder: Path | None = None, quick: bool = False, seed: int = 0
) -> list[Measurement]:
    """Where in the depth did tuning act? What the weights say, what activations say, and what follows from exchanges.

    Activations are those of practice problems' prompts and of what both models wrote to them.
    """
    from interp.layers import room

    texts = _texts(pair, task, folder, quick, seed)
    keep = keeper(pair, folder, code=["layers"], task=task.digest, quick=quick, seed=seed)
    return [
        *room.weights(pair, keep, quick=quick, seed=seed),
        *room.activations(pair, task, texts, keep, quick=quick, seed=seed),
        *room.causes(pair, task, keep, quick=quick),
    ]


def measure_features(
    pair: Pair, task: Task, *, folder: Path | None = None, quick: bool = False, seed: int = 0
) -> list[Measurement]:
    """`sae_quality`, `features`, `contexts`, `attacks`, `causes`, `usage`: what told strategies apart, and was it used?

    Strategies are looked for in what base writes to the practice problems, sampled several times, and read again in
    what tuned writes; where the task has no parser, in its worked responses with spans. The SAE is trained on base
    reading all of it, another one on a base whose weights were shuffled. Where there is a parser, `steered` says what
    base solves when a strategy's direction is added once. Unless `quick`, also `news` (have tuned's features a match
    in base?), `sae_quality_by_layer`, `crosscoder` and `clusters`. ValueError where the task labels no strategies:
    there is then nothing to look for.
    """
    if not has_strategies(task):
        raise ValueError(f"task {task.name!r} labels no strategies; give its problems a 'text' with 'spans'")
    from interp.sae import room

    texts = _texts(pair, task, folder, quick, seed)
    keep = keeper(pair, folder, code=["sae"], task=task.digest, quick=quick, seed=seed)
    return room.strategies(pair, task, texts, keep, quick=quick, seed=seed)


def measure_routing(
    pair: Pair,
    task: Task,
    *,
    folder: Path | None = None,
    quick: bool = False,
    thorough: bool = False,
    small: Pair | None = None,
    dictionary: "Dictionary | None" = None,
    seed: int = 0,
) -> list[Measurement]:
    """`answers`: what base solves when tuned chooses some of its tokens; `ceiling` unless `quick`.

    `thorough` asks every arm there is. With a `small` pair of the same tokenizer there is the arm of emulated
    fine-tuning, with a `dictionary` (`open_dictionary`) that of a feature which fires in base. Unless `quick`, the
    tokens of a few texts go to `folder/trace.parquet`.
    """
    from interp.routing import room

    options: dict[str, Any] = {"quick": quick, "thorough": thorough, "seed": seed}
    more: dict[str, Any] = {}
    if small is not None:
        more["small"] = [small.base_checkpoint.digest, small.tuned_checkpoint.digest]
    if dictionary is not None:
        more["sae"] = dict(dictionary.made_with)
    keep = keeper(pair, folder, code=["routing"], task=task.digest, **options, **more)
    measured = room.answers(pair, task, keep, small=small, dictionary=dictionary, **options)
    if folder is not None and not quick:
        place = measured[0].made_with.get("steered at")
        room.trace(pair, task, folder, hook=place if place in pair.base.hook_dict else None, seed=seed)
    return measured


def measure_claims(
    pair: Pair,
    task: Task,
    *,
    folder: Path | None = None,
    quick: bool = False,
    tunings: Sequence[str] = (),
    series: Sequence[str] = (),
    seed: int = 0,
) -> list[Measurement]:
    """What claims about texts are decided on (`claims.ledger`): texts of both models, and, unless `quick`, routed ones.

    `tunings` are other checkpoints of the same base, of which organisms bring theirs; `series` are checkpoints along
    the tuning, whose `formats` stand in for those of the pair alone.
    """
    from interp.behaviour import beside
    from interp.behaviour.room import measure_behaviour

    measured = measure_behaviour(pair, task, folder=folder, quick=quick, seed=seed)
    if not quick and not task.name.startswith("errands:"):  # what is routed there, no claim about errands asks for
        measured += measure_routing(pair, task, folder=folder, seed=seed)
    if others := tunings or beside.organisms_beside(pair.tuned_checkpoint.name):
        measured.append(beside.cores_beside(pair.base_checkpoint, pair.tuned_checkpoint, others, folder=folder))
    if series:
        kept = folder / "series" if folder else None
        along = beside.formats_along(pair, task, series, folder=kept, quick=quick, seed=seed)
        measured = [*(one for one in measured if one.name != "formats"), along]
    return measured


def has_strategies(task: Task) -> bool:
    """Whether some text of the task says which strategy its tokens follow."""
    return task.label is not None or any(problem.spans for problem in (*task.practice, *task.problems))


def decide(measurements: Sequence[Measurement]) -> list[Verdict]:
    """The verdicts that the measurements at hand are enough for."""
    from interp.claims.features_precede import features_precede_tuning
    from interp.claims.routing_recovers import routing_recovers_gain
    from interp.claims.upper_layers import upper_layers_carry_behaviour
    from interp.claims.upper_third import upper_third_carries_change

    have = {measurement.name: measurement for measurement in measurements}
    claims: list[tuple[Callable[..., Verdict], tuple[str, ...]]] = [
        (upper_third_carries_change, ("swaps", "weights", "activations")),
        (upper_layers_carry_behaviour, ("swaps",)),
        (features_precede_tuning, ("features", "sae_quality")),
        (routing_recovers_gain, ("answers",)),
    ]
    more = {
        features_precede_tuning: {name: have.get(name) for name in ("causes", "attacks", "news", "usage", "steered")},
        routing_recovers_gain: {"ceiling": have.get("ceiling")},
    }
    return [
        claim(*(have[name] for name in names), **more.get(claim, {}))
        for claim, names in claims
        if set(names) <= have.keys()
    ]


def measure(
    pair: Pair,
    task: Task,
    *,
    folder: Path | None = None,
    quick: bool = False,
    thorough: bool = False,
    seed: int = 0,
) -> list[Measurement]:
    """The measurements of all rooms: those of features where the task labels strategies, of texts unless `quick`.

    How long it may take is logged first. A measurement for which there is no memory is made again in smaller batches.
    """
    _log.info(estimate(pair, task, quick=quick))
    measurements = measure_layers(pair, task, folder=folder, quick=quick, seed=seed)
    if has_strategies(task):
        measurements += measure_features(pair, task, folder=folder, quick=quick, seed=seed)
    else:
        _log.warning("task %r labels no strategies, so no features are looked for", task.name)
    measurements += measure_routing(pair, task, folder=folder, quick=quick, thorough=thorough, seed=seed)
    if quick:
        return measurements
    from interp.behaviour.room import measure_behaviour

    # On few problems unless asked to be thorough: `interp claims` asks the claims about texts on all.
    return measurements + measure_behaviour(pair, task, folder=folder, quick=not thorough, seed=seed)


def write_page(measurements: Sequence[Measurement], out: Path, *, quick: bool = False) -> tuple[list[Verdict], Path]:
    """Decide what can be decided and write `out/index.html`, with the tokens that lie in `out/measurements`, if any."""
    from interp.claims.ledger import ledger, ledger_table
    from interp.report import write_report
    from interp.routing.room import TRACE
    from interp.streamed import load_streamed

    verdicts, traced = decide(measurements), out / "measurements" / TRACE
    trace = load_streamed(traced) if traced.exists() and not quick else None
    records = {verdict.claim: _record(verdict.claim, measurements) for verdict in verdicts}
    told = any(measurement.name == "pass_counts" for measurement in measurements)
    claims = ledger_table(ledger(measurements)) if told else None
    if claims is not None:
        claims["record"] = in_short(claims["claim"])
    return verdicts, write_report(
        measurements, verdicts, out / "index.html", claims=claims, trace=trace, records=records
    )


def _record(claim: str, measurements: Sequence[Measurement]) -> str:
    """How often the verdict was right where the answer was planted, and missed in as small a pair; or nobody knows."""
    has = {measurement.name: measurement for measurement in measurements}
    try:
        return f"{record(claim)} {missed(claim, has)}".rstrip()
    except LookupError:
        return "How often this verdict is right where the answer was planted has not been counted in one table yet."


def open_pair(
    base: str, tuned: str, *, dtype: str = "float32", device: str = "cpu", tuned_device: str | None = None
) -> Pair:
    """The pair, loaded and checked; what it is and how faithful the loaded models are is logged."""
    pair = load_pair(base, tuned, dtype=getattr(torch, dtype), device=device, tuned_device=tuned_device)
    if "OMP_NUM_THREADS" not in os.environ and sum(p.numel() for p in pair.base.parameters()) < SMALL:
        torch.set_num_threads(1)
    _log.info("%r", pair)
    return pair


def asked_in_chat(task: Task, name: str) -> Task:
    """The task with its prompts in the chat template of the checkpoint of this name; both models then read it."""
    checkpoint = open_checkpoint(name)
    return in_chat(task, load_tokenizer(checkpoint, transformers_config(checkpoint)))


def open_dictionary(pair: Pair, folder: Path) -> "Dictionary":
    """A sparse autoencoder of base for the routing room: one that `TrainedSAE.save` or sae-lens wrote to `folder`.

    ValueError where it was trained on another model than this pair's base.
    """
    from interp.routing.features import Dictionary
    from interp.sae.trained import load_sae, released_sae

    ours = (folder / "trained_on.json").exists()
    sae = load_sae(folder) if ours else released_sae(pair, folder)
    digest, wanted = sae.trained_on.get("digest"), pair.base_checkpoint.digest
    if ours and (digest != wanted or sae.trained_on.get("shuffled") is not None):
        raise ValueError(
            f"the SAE in {folder} was trained on {sae.trained_on.get('checkpoint')} ({digest}), base is "
            f"{pair.base_checkpoint.name} ({wanted}); give an SAE of base, with its weights as they are"
        )
    weights = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(folder.glob("*.safetensors"))))
    return Dictionary(
        sae.encode, sae.hook, f"the SAE in {folder.name}", {**sae.trained_on, "weights": weights.hexdigest()[:16]}
    )


def _texts(pair: Pair, task: Task, folder: Path | None, quick: bool, seed: int) -> Callable[..., list[Reading]]:
    """What both models wrote to the practice problems, or one of them, labelled; written when first asked for."""
    if not task.practice:
        raise ValueError(f"task {task.name!r} has no practice problems to read; give it at least three problems")
    keep = keeper(pair, folder, code=[], task=task.digest, quick=quick, seed=seed)

    def read(writer: Writer | None = None) -> list[Reading]:
        written = keep("rollouts", lambda: rollouts(pair, task.practice, max_new_tokens=task.max_new_tokens, seed=seed))
        return readings(pair, task, written, writer=writer)

    return functools.cache(read)
