"""Is the change of a matrix of low rank, and does it lie where base's own weight lies?"""

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from interp.checkpoint import Checkpoint
from interp.layers.partners import Both, Partners, compared, partners, side_by_side
from interp.layers.singular import effective_rank, overlap, singular, stable_rank
from interp.layers.ulps import step
from interp.layers.unstructured import Null, gaussian_null, permuted_null
from interp.measurement import Measurement

TOP = 8
"""Directions whose overlap with base's is measured."""
SHOWN = 32
"""Singular values kept per matrix for the figure: the first 16, then ever fewer, the last among them."""
DRAWS = 10
"""Random changes that each matrix's change is held against."""


@dataclass(frozen=True)
class _Change:
    """One matrix: the change in fp64, its singular values, base's and tuned's, and its leading directions' overlap."""

    both: Both
    change: Float64[Tensor, "row column"]
    s: Float64[np.ndarray, " short"]
    base: Float64[np.ndarray, " short"]
    tuned: Float64[np.ndarray, " short"]
    own: Float64[Tensor, "short top"]
    overlap: float
    turned_rows: float
    turned_columns: float
    noise_edge: float


def weight_spectra(
    base: Checkpoint, tuned: Checkpoint, *, top: int = TOP, draws: int = DRAWS, seed: int = 0
) -> Measurement:
    """How many directions each matrix's change D = tuned - base has, beside what an unstructured change would have.

    One row per matrix: `tensor`, `layer`, `component`, `n_rows`, `n_columns`, `norm_change`, and with s the singular
    values of D,

    - `stable_rank` = sum s^2 / max s^2; `effective_rank` = exp of the entropy of s / sum s (Roy and Vetterli 2007)
    - `overlap`: mean squared cosine of the `top` leading directions of D with those of base's matrix, on its shorter
      side; `overlap_by_chance` = top / that side
    - for each of the three and each null, `X_permuted` (its mean), `X_permuted_sd`, `X_permuted_z`, and the same for
      `gaussian`. Permuted: D's own entries in random order. Gaussian: independent entries of equal norm.
      `n_permuted` draws of the first; a matrix of over 2^23 entries gets none and has no numbers there. Gaussian ranks
      depend on the shape alone and are drawn once for it, from the Marchenko-Pastur law and without sd and z above
      2^23 entries; Gaussian overlap has a closed form
    - `noise_edge`: the largest singular value that rounding once to the coarser stored dtype would give: the root mean
      square error of the coarser-grained of the two matrices times (sqrt(rows) + sqrt(columns)); `above_noise` counts
      the s beyond it. A bf16 checkpoint turns a change of rank 8 into one of full rank: below this edge ranks are
      storage. It holds for even errors; where a few entries round far more coarsely, some s may pass it. In fp32
      nearly every s of anything trained passes it: the count then says that storage made none of them, not that
      training meant them. For that see
    - `above_permuted`: how many leading s exceed, each, the s of the same number in every permuted draw (Horn 1965,
      "A rationale and test for the number of factors"): directions that the entries' sizes and mean do not give
    - `values_moved`: ||s(tuned) - s(base)|| / ||s(base)||, 0 for a rotation; `turned_rows` and `turned_columns`:
      1 - mean squared cosine of tuned's `top` leading left (right) directions with base's

    A z against n draws is Student's t of n - 1 degrees of freedom times sqrt(1 + 1/n): of 10 draws one in twenty is
    beyond 2.4. Structure says that gradients wrote the change, not that it means anything: tuning towards nothing is as
    far from its permutation as tuning towards something; compare with such a tuning.

    A matrix that did not change is exactly 0 in all of these. Singular values are square roots of eigenvalues of the
    Gram matrix on the shorter side, in fp64: faster than `svdvals` and right to 1e-8 of the largest. ValueError as
    `weight_change`, and for fewer than 2 draws.
    """
    found = partners(base, tuned)
    rows = list(spectra_rows(base, tuned, found, top=top, draws=draws, seed=seed))
    return spectra_of(rows, compared(base, tuned, found, top=top, draws=draws, seed=seed))


def spectra_rows(
    base: Checkpoint, tuned: Checkpoint, found: Partners, *, top: int = TOP, draws: int = DRAWS, seed: int = 0
) -> Iterator[dict[str, object]]:
    """The rows of `weight_spectra` for the matrices in `found`, which may be some of all."""
    if draws < 2:
        raise ValueError(f"a null needs at least 2 draws, got {draws}")
    return (_row(one, _permuted(one, draws, seed), draws, seed) for one in _changes(base, tuned, found, top))


def spectra_of(rows: Sequence[Mapping[str, object]], made_with: Mapping[str, Any]) -> Measurement:
    """The measurement whose rows these are, in the order of depth."""
    table = pd.DataFrame(rows).astype({"layer": "Int64"})
    return Measurement("spectra", "directions of the change of each matrix", table, made_with)


def singular_values(
    base: Checkpoint, tuned: Checkpoint, *, draws: int = DRAWS, shown: int = SHOWN, seed: int = 0
) -> Measurement:
    """The spectrum of each matrix's change, one row per singular value, for a figure.

    Rows: tensor, layer, component, `k` (1 is the largest), `value`, `base_value` (base's own k-th), `noise_edge`,
    `null_mean`, `null_low`, `null_high`: mean, smallest and largest k-th value over `draws` permutations of the
    change's own entries (missing above 2^23 entries). At most `shown` values per matrix: the first 16, then ever
    fewer, the last always among them. A matrix that did not change has value 0 and null 0.
    """
    found = partners(base, tuned)
    tables = [_curve(one, _permuted(one, draws, seed), shown) for one in _changes(base, tuned, found, TOP)]
    return _curves(tables, compared(base, tuned, found, draws=draws, shown=shown, seed=seed))


def both_spectra(
    base: Checkpoint, tuned: Checkpoint, *, draws: int = DRAWS, seed: int = 0
) -> tuple[Measurement, Measurement]:
    """`weight_spectra` and `singular_values`, every spectrum computed once for both."""
    if draws < 2:
        raise ValueError(f"a null needs at least 2 draws, got {draws}")
    found, rows, tables = partners(base, tuned), list[dict[str, object]](), list[pd.DataFrame]()
    for one in _changes(base, tuned, found, TOP):
        permuted = _permuted(one, draws, seed)
        rows.append(_row(one, permuted, draws, seed))
        tables.append(_curve(one, permuted, SHOWN))
    return (
        spectra_of(rows, compared(base, tuned, found, top=TOP, draws=draws, seed=seed)),
        _curves(tables, compared(base, tuned, found, draws=draws, shown=SHOWN, seed=seed)),
    )


def _curve(one: _Change, null: Null, shown: int) -> pd.DataFrame:
    """The singular values of one matrix that are shown, beside base's and the null's."""
    k = _thinned(len(one.s), shown)
    spread = null.spectra[:, k] if len(null.spectra) else np.full((1, len(k)), np.nan)
    columns = {
        "k": k + 1,
        "value": one.s[k],
        "base_value": one.base[k],
        "noise_edge": one.noise_edge,
        "null_mean": spread.mean(0),
        "null_low": spread.min(0),
        "null_high": spread.max(0),
    }
    return pd.DataFrame(columns).assign(**one.both.place)


def _curves(tables: Sequence[pd.DataFrame], made_with: Mapping[str, Any]) -> Measurement:
    table = pd.concat(tables, ignore_index=True).astype({"layer": "Int64"})
    first = ["tensor", "layer", "component"]
    table = table[first + [column for column in table if column not in first]]
    return Measurement("singular_values", "singular values of the change of each matrix", table, made_with)


def _changes(base: Checkpoint, tuned: Checkpoint, found: Partners, top: int) -> Iterator[_Change]:
    """Every matrix in turn."""
    for both in side_by_side(base, tuned, found):
        a, b = (x.flatten(0, -2) if x.dim() > 2 else x for x in (both.base, both.tuned))
        if a.dim() == 2 and a.numel():
            yield _change(both, a, b, min(top, *a.shape))


def _change(both: Both, a: Float[Tensor, "row column"], b: Float[Tensor, "row column"], top: int) -> _Change:
    """The three spectra of one matrix; of one that did not change only base's is computed."""
    change = b.double() - a.double()
    own, own_short, own_long = singular(a.double(), top)
    steps = max(float(torch.linalg.vector_norm(step(x, both.stored), dtype=torch.float64)) for x in (a, b))
    edge = steps / math.sqrt(12 * a.numel()) * (math.sqrt(a.shape[0]) + math.sqrt(a.shape[1]))
    if not change.any():
        zero = np.zeros_like(own)
        return _Change(both, change, zero, own, own, own_short, 0.0, 0.0, 0.0, edge)
    s, short, _ = singular(change, top)
    after, after_short, after_long = singular(b.double(), top)
    on_short, on_long = 1 - overlap(own_short, after_short), 1 - overlap(own_long, after_long)
    rows, columns = (on_short, on_long) if a.shape[0] <= a.shape[1] else (on_long, on_short)
    return _Change(both, change, s, own, after, own_short, overlap(own_short, short), rows, columns, edge)


def _row(one: _Change, permuted: Null, draws: int, seed: int) -> dict[str, object]:
    """The columns of one matrix."""
    rows, columns = one.change.shape
    k = one.own.shape[1]
    values = {
        "stable_rank": stable_rank(one.s),
        "effective_rank": effective_rank(one.s, of=min(rows, columns)),
        "overlap": one.overlap,
    }
    # Of no change every null is no change too.
    gaussian = gaussian_null(rows, columns, k, draws=draws, seed=seed) if one.s[0] > 0 else permuted
    beyond = one.s > permuted.spectra.max(0) if len(permuted.spectra) else None
    return {
        **one.both.place,
        "n_rows": rows,
        "n_columns": columns,
        "norm_change": float(np.linalg.norm(one.s)),
        **values,
        "overlap_by_chance": k / min(rows, columns),
        **permuted.columns("permuted", values),
        **gaussian.columns("gaussian", values),
        "n_permuted": len(permuted.spectra),
        "noise_edge": one.noise_edge,
        "above_noise": int((one.s > one.noise_edge).sum()),
        "above_permuted": None if beyond is None else int(np.logical_and.accumulate(beyond).sum()),
        "values_moved": _ratio(float(np.linalg.norm(one.tuned - one.base)), float(np.linalg.norm(one.base))),
        "turned_rows": one.turned_rows,
        "turned_columns": one.turned_columns,
    }


def _permuted(one: _Change, draws: int, seed: int) -> Null:
    """The permuted null, of an order of its own for every matrix."""
    name = zlib.crc32(f"{one.both.tensor} {one.both.component}".encode())
    return permuted_null(one.change, one.own, draws=draws, seed=(seed, name))


def _ratio(change: float, of: float) -> float:
    if change == 0:
        return 0.0
    return change / of if of else math.inf


def _thinned(n: int, most: int) -> Int64[np.ndarray, " shown"]:
    """At most `most` places among n: the first half of them one by one, then at even ratios to the last."""
    if n <= most:
        return np.arange(n)
    first = most // 2
    return np.unique(np.concatenate([np.arange(first), np.geomspace(first, n - 1, most - first).round().astype(int)]))
