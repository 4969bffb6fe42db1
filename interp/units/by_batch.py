"""The activation diff in units: a unit is a run of batches of the texts that both models wrote."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from interp.backoff import backing_off
from interp.layers.activations import RUN_FREELY, Sums, activation_sums, activations_of
from interp.layers.room import DRAWS, evenly
from interp.measurement import digest, provenance
from interp.tasks.task import Label, Reading
from interp.units import opened
from interp.units.job import Job, Steps, shards_of
from interp.units.texts import text_units
from interp.units.unit import Unit

BATCH = 64
"""Texts of one batch. Sums are kept batch by batch, so that they add up to the same however batches are dealt out."""


def activations(job: Job) -> Steps:
    """`activation_change` on what both models write to the practice problems, as `interp layers` measures it."""
    if not job.task.practice:
        raise ValueError(f"task {job.task.name!r} has no practice problems to read; give it at least three problems")
    written = yield text_units(job)
    texts = evenly([_reading(i, text) for i, text in enumerate(text for shard in written for text in shard)])
    draws, by_length = DRAWS["quick" if job.quick else "full"], sorted(texts, key=lambda text: len(text.tokens))
    runs = shards_of(-(-len(texts) // BATCH), job.shards)
    results = yield [_batch_unit(job, by_length[a * BATCH : b * BATCH], (a, b), draws) for a, b in runs]
    of_batches = [_sums(one) for result in results for one in result["sums"]]
    facts = {
        "readings": digest([list(text.tokens) for text in texts]),
        "batch_size": min(result["batch_size"] for result in results),
    }
    return activations_of(of_batches, made_with(job, results[0]["loaded"], **facts, draws=draws, seed=job.seed))


def sums(unit: Unit) -> dict[str, Any]:
    """What the unit's batches add to the activation diff, and how the pair was loaded."""
    pair, on = opened.pair(unit), unit.depends_on
    readings = [_reading(i, tokens) for i, tokens in enumerate(unit.given["texts"])]
    found, size = backing_off(
        lambda size: activation_sums(pair, readings, draws=on["draws"], seed=on["seed"], batch_size=size), BATCH
    )
    batches = [
        {"base": one.base.tolist(), "tuned": one.tuned.tolist(), "null": one.null.tolist(), "n_tokens": one.n_tokens}
        for one in found
    ]
    return {"sums": batches, "batch_size": size, "loaded": loaded(pair.made_with())}


def loaded(made: dict[str, Any]) -> dict[str, Any]:
    """How a pair was loaded, from its provenance."""
    return {fact: made[fact] for fact in ("dtype", "differences", "fidelity")}


def made_with(job: Job, how: dict[str, Any], **facts: Any) -> dict[str, Any]:
    """Provenance as the pair itself would give it."""
    of = {
        role: {"name": one.name, "digest": one.digest, "revision": one.revision}
        for role, one in (("base", job.base), ("tuned", job.tuned))
    }
    return provenance(**of, **how, **facts)


def _batch_unit(job: Job, texts: Sequence[Reading], run: tuple[int, int], draws: int) -> Unit:
    tokens = [list(text.tokens) for text in texts]
    return job.unit(
        "activations",
        f"batches {run[0]} to {run[1]}",
        code=__name__,
        flops=2.0 * job.parameters * sum(map(len, tokens)) * (3 + draws + min(draws, RUN_FREELY)),
        given={"texts": tokens},
        texts=digest(tokens),
        **job.loaded,
        draws=draws,
        seed=job.seed,
    )


def _reading(number: int, tokens: Sequence[int]) -> Reading:
    return Reading(str(number), tuple(tokens), (Label("none", "text"),) * len(tokens))


def _sums(one: dict[str, Any]) -> Sums:
    base, tuned, null = (np.array(one[name], dtype=float) for name in ("base", "tuned", "null"))
    return Sums(base, tuned, null, one["n_tokens"])
