"""Instruments that read the two files layer by layer: a unit is one layer, or all that lies outside the blocks."""

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

from interp.estimate import spectrum_flops
from interp.layers.partners import compared, partners
from interp.layers.room import SPECTRA
from interp.layers.spectra import TOP, spectra_of, spectra_rows
from interp.layers.weights import weight_rows, weights_of
from interp.units import opened
from interp.units.job import Job, Steps
from interp.units.unit import Unit


def weights(job: Job) -> Steps:
    """`weight_change`, row for row."""
    results = yield _units(job, "weights", {})
    made_with = compared(job.base, job.tuned, partners(job.base, job.tuned), fold=False)
    return weights_of([row for rows in results for row in rows], made_with)


def spectra(job: Job) -> Steps:
    """`weight_spectra`, row for row."""
    options = {"top": TOP, "draws": SPECTRA["quick" if job.quick else "full"], "seed": job.seed}
    results = yield _units(job, "spectra", options)
    made_with = compared(job.base, job.tuned, partners(job.base, job.tuned), **options)
    return spectra_of([row for rows in results for row in rows], made_with)


def rows(unit: Unit) -> list[dict[str, Any]]:
    """The rows of the unit's tensors."""
    base, tuned = opened.files(unit)
    on = unit.depends_on
    found = replace(partners(base, tuned), names=tuple(on["tensors"]))
    if unit.instrument == "weights":
        return list(weight_rows(base, tuned, found))
    return list(spectra_rows(base, tuned, found, top=on["top"], draws=on["draws"], seed=on["seed"]))


def _units(job: Job, instrument: str, options: Mapping[str, Any]) -> list[Unit]:
    """One per layer, in order of depth."""
    found = partners(job.base, job.tuned)
    return [
        job.unit(
            instrument,
            "outside the blocks" if layer is None else f"layer {layer}",
            code=__name__,
            flops=sum(_flops(instrument, job.base.shape(name), options.get("draws", 0)) for name in names),
            tensors=names,
            **options,
        )
        for layer, names in (
            (layer, list(group)) for layer, group in groupby(found.names, lambda n: found.places[n][0])
        )
    ]


def _flops(instrument: str, shape: tuple[int, ...], draws: int) -> float:
    """Ten an entry for sums, and for a spectrum what its matrix products take."""
    return spectrum_flops(shape, draws) if instrument == "spectra" and len(shape) > 1 else 10.0 * math.prod(shape)
