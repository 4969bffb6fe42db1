"""Everything this room measures of one pair and task, in the order of its page: weights, activations, causes."""

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from interp.keeping import Keep
from interp.layers import spectra
from interp.layers.activations import activation_change
from interp.layers.classes import fact_readings
from interp.layers.divergence import first_divergence, forks
from interp.layers.gauge import hidden_unit_gauge
from interp.layers.heads import head_change
from interp.layers.lens import logit_lens
from interp.layers.parts import activation_parts
from interp.layers.patches import component_patches
from interp.layers.path import axes_on_path, change_path
from interp.layers.rivals import activation_nulls
from interp.layers.shapley import shapley
from interp.layers.shifts import next_token_shift
from interp.layers.similarity import stream_similarity
from interp.layers.swaps import bands, block_swaps, depth_sweep
from interp.layers.ulps import ulp_change
from interp.layers.weights import weight_change
from interp.layers.written import Store
from interp.measurement import Measurement
from interp.pair import Pair
from interp.tasks.task import Reading, Task

DRAWS = {"full": 99, "quick": 5}
"""Random changes that an activation change is held against: from 99 on the limit over depth is exact at its level."""
READ = 6_000
"""Tokens that activations are compared on; each null draw reads them once, the first 19 twice."""
SWEPT = {"full": 90, "quick": 36}
"""Problems that are asked of every hybrid in a sweep over depth."""
SPECTRA = {"full": spectra.DRAWS, "quick": 3}
"""Permuted changes that each matrix's spectrum is held against: of a large pair they are most of the room's time."""
DEPTHS = 9
"""Depths at which the quick form exchanges blocks and patches components, spread over a model that has more."""
PATCHED = 8
"""Forks at which the quick form patches components of such a model: it is run anew above each of them."""

_log = logging.getLogger("interp")


def weights(pair: Pair, keep: Keep, *, quick: bool = False, seed: int = 0) -> list[Measurement]:
    """What the two files on disk say, without a forward pass: size, storage, directions, heads, order of units."""
    files, draws = (pair.base_checkpoint, pair.tuned_checkpoint), SPECTRA["quick" if quick else "full"]

    @functools.cache
    def both() -> tuple[Measurement, Measurement]:
        return spectra.both_spectra(*files, draws=draws, seed=seed)

    return [
        keep("weights", lambda: weight_change(*files)),
        keep("ulps", lambda: ulp_change(*files)),
        keep("spectra", lambda: both()[0]),
        keep("singular_values", lambda: both()[1]),
        *_where_there_are(lambda: keep("heads", lambda: head_change(*files))),
        *_where_there_are(lambda: keep("gauge", lambda: hidden_unit_gauge(*files))),
    ]


def activations(
    pair: Pair, task: Task, texts: Callable[[], Sequence[Reading]], keep: Keep, *, quick: bool = False, seed: int = 0
) -> list[Measurement]:
    """What both models compute on one text; unless `quick`, by parts and token classes and through the heads too."""
    draws = DRAWS["quick" if quick else "full"]
    measured = [keep("activations", lambda: activation_change(pair, evenly(texts()), draws=draws, seed=seed))]
    if quick:
        return measured
    return [
        *measured,
        keep("activation_nulls", lambda: activation_nulls(pair, evenly(texts()), seed=seed)),
        keep(
            "activation_parts",
            lambda: activation_parts(pair, [*evenly(texts()), *fact_readings(pair, task)], seed=seed),
        ),
        keep("similarity", lambda: stream_similarity(pair, evenly(texts()), seed=seed)),
        keep("lens", lambda: logit_lens(pair, evenly(texts()), seed=seed)),
        keep("shifts", lambda: next_token_shift(pair, evenly(texts()))),
    ]


def causes(pair: Pair, task: Task, keep: Keep, *, quick: bool = False) -> list[Measurement]:
    """What follows parts that change hands.

    `swaps` asks all problems, the others fewer; `divergence`, `patches` and `path` look at where the two models first
    write different tokens, and are left out where they write the same. Unless `quick`, `axes_on_path` and `bands` too;
    `quick`, a model of more than `DEPTHS` layers is swept and patched at some of them only, as those two say.
    """
    deep = quick and pair.n_layers > DEPTHS
    at = _spread(pair.n_layers) if deep else None
    patched: dict[str, Any] = {"most": PATCHED, "at": _spread(pair.n_layers - 1)} if deep else {}
    fewer, store = replace(task, problems=task.problems[: SWEPT["quick" if quick else "full"]]), Store()
    measured = [
        keep("swaps", lambda: block_swaps(pair, task, store=store)),
        keep("depth_sweep", lambda: depth_sweep(pair, fewer, at=at, store=store)),
        keep("shapley", lambda: shapley(pair, fewer, store=store)),
    ]
    if forks(pair, fewer, store=store):
        measured += [
            keep("divergence", lambda: first_divergence(pair, fewer, store=store)),
            keep("patches", lambda: component_patches(pair, fewer, **patched, store=store)),
            keep("path", lambda: change_path(pair, fewer, store=store)),
        ]
        measured += [] if quick else [keep("axes_on_path", lambda: axes_on_path(pair, fewer, store=store))]
    return measured + ([] if quick else [keep("bands", lambda: bands(pair, fewer, store=store))])


def _spread(last: int) -> list[int]:
    """`DEPTHS` numbers from 0 to `last`, as even as they can be."""
    return [round(i * last / (DEPTHS - 1)) for i in range(DEPTHS)]


def _where_there_are(measure: Callable[[], Measurement]) -> list[Measurement]:
    """The measurement of a part that not every architecture has in a form that is known; told where it is left out."""
    try:
        return [measure()]
    except ValueError as error:
        _log.warning("left out: %s", error)
        return []


def evenly(texts: Sequence[Reading]) -> list[Reading]:
    """At most about `READ` tokens of the texts, spread over all of them."""
    step = max(1, round(sum(len(text.tokens) for text in texts) / READ))
    return list(texts[::step])
