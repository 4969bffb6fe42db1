"""Which figure and which table draw which measurements: the page, the notebooks and `Measurement.figure` ask here."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from typing import Any, NamedTuple

import plotly.graph_objects as go

from interp.measurement import Measurement
from interp.plots.arms import arms
from interp.plots.attacks import attacks
from interp.plots.bands import band_map
from interp.plots.causes import causes
from interp.plots.circuit_grid import circuit_grid
from interp.plots.crosscoder import crosscoder_latents
from interp.plots.depth_profiles import depth_profiles
from interp.plots.depth_sweep import depth_curves
from interp.plots.divergence import interaction_by_boundary
from interp.plots.features import features
from interp.plots.head_grid import head_grid
from interp.plots.lens import lens
from interp.plots.path import axes_along_path, contrast_on_path
from interp.plots.routing_curve import routing_curve
from interp.plots.sae_quality import quality_by_layer
from interp.plots.shapley import shapley_text
from interp.plots.shifts import shifts
from interp.plots.spectra import spectra
from interp.plots.strategy_tables import cluster_text, fitted_text, news_text, usage_text
from interp.plots.swaps import swaps
from interp.plots.tables import (
    arm_text,
    attack_text,
    cause_text,
    depth_text,
    feature_text,
    quality_text,
    steered_text,
    swap_text,
)
from interp.plots.token_classes import token_classes
from interp.plots.weight_map import weight_map
from interp.plots.weight_tables import gauge_text, spectrum_text, ulp_text


class Maker(NamedTuple):
    """A function of measurements, the names of those it needs, and of those it also takes where they are there."""

    make: Callable[..., Any]
    needs: tuple[str, ...]
    takes: tuple[str, ...] = ()


FIGURES: Mapping[str, Maker] = {
    "weight_map": Maker(weight_map, ("weights",)),
    "spectra": Maker(spectra, ("singular_values",)),
    "circuit_grid": Maker(circuit_grid, ("heads",)),
    "depth_profiles": Maker(depth_profiles, ("weights", "activations"), ("activation_nulls",)),
    "token_classes": Maker(token_classes, ("activation_parts",)),
    "lens": Maker(lens, ("lens",)),
    "shifts": Maker(shifts, ("shifts",)),
    "swaps": Maker(swaps, ("swaps",)),
    "depth_curves": Maker(depth_curves, ("depth_sweep",)),
    "divergence": Maker(interaction_by_boundary, ("divergence",)),
    "bands": Maker(band_map, ("bands",)),
    "path": Maker(contrast_on_path, ("path",)),
    "axes_on_path": Maker(axes_along_path, ("axes_on_path",)),
    "head_grid": Maker(head_grid, ("patches",)),
    "quality_by_layer": Maker(quality_by_layer, ("sae_quality_by_layer",)),
    "attacks": Maker(attacks, ("attacks",)),
    "causes": Maker(causes, ("causes",)),
    "crosscoder_latents": Maker(crosscoder_latents, ("crosscoder",)),
    "arms": Maker(arms, ("answers",)),
    "routing_curve": Maker(routing_curve, ("answers",)),
}
TABLES: Mapping[str, Maker] = {
    "spectra": Maker(spectrum_text, ("spectra",)),
    "gauge": Maker(gauge_text, ("gauge",)),
    "ulps": Maker(ulp_text, ("ulps",)),
    "depth": Maker(depth_text, ("weights", "activations")),
    "swaps": Maker(swap_text, ("swaps",)),
    "shapley": Maker(shapley_text, ("shapley",)),
    "features": Maker(feature_text, ("features",)),
    "causes": Maker(cause_text, ("causes",)),
    "attacks": Maker(attack_text, ("attacks",)),
    "steered": Maker(steered_text, ("steered",)),
    "steered_tuned": Maker(steered_text, ("steered_tuned",)),
    "fitted": Maker(fitted_text, ("fitted",)),
    "usage": Maker(usage_text, ("usage",)),
    "news": Maker(news_text, ("news",)),
    "clusters": Maker(cluster_text, ("clusters",)),
    "quality": Maker(quality_text, ("sae_quality",)),
    "arms": Maker(arm_text, ("answers",)),
}
ALONE: Mapping[str, Callable[[Measurement], go.Figure]] = {
    "features": partial(features, at="onset"),
    **{one.needs[0]: one.make for one in reversed(list(FIGURES.values())) if len(one.needs) == 1},
}
"""The figure of a measurement that is drawn by itself; of several, the first of the page."""


def drawn(measurement: Measurement) -> go.Figure:
    """The measurement's own figure. ValueError, naming what can be drawn, where it has none."""
    if measurement.name not in ALONE:
        together = sorted({name for name, one in FIGURES.items() if measurement.name in one.needs})
        near = get_close_matches(measurement.name, ALONE, 1)
        hint = f"{', '.join(together)} draws it with others" if together else f"there is {', '.join(near or ALONE)}"
        raise ValueError(f"measurement {measurement.name!r} has no figure of its own; {hint}")
    return ALONE[measurement.name](measurement)


def possible(makers: Mapping[str, Maker], have: Mapping[str, Measurement]) -> dict[str, Any]:
    """What can be made from the measurements at hand, each under its name."""
    return {
        name: one.make(*(have[need] for need in one.needs), *(have[more] for more in one.takes if more in have))
        for name, one in makers.items()
        if set(one.needs) <= have.keys()
    }
