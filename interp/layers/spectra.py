"""Is the change of a matrix of low rank, and does it lie where base's own weight lies?"""

import math

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from interp.checkpoint import Checkpoint
from interp.layers.partners import compared, partners, side_by_side
from interp.layers.ulps import step
from interp.measurement import Measurement

TOP = 8
"""Directions whose overlap with base's is measured."""
KEPT = 64
"""Singular values kept per matrix, for the figure."""
_COLUMNS = 2**14


def weight_spectra(base: Checkpoint, tuned: Checkpoint, *, top: int = TOP) -> Measurement:
    """The spectrum of every matrix's change D = tuned - base; exactly nothing where nothing changed.

    One row per matrix that changed: `tensor`, `layer`, `component`, `n_rows`, `n_columns`, and with s the singular
    values of D,

    - `stable_rank` = sum s^2 / max s^2, `effective_rank` = exp of the entropy of s / sum s (Roy and Vetterli 2007)
    - `noise_edge`: the largest singular value that rounding once to the coarser stored dtype would give, the root mean
      square error of the coarser-grained of the two matrices times (sqrt(rows) + sqrt(columns)); `above_noise` counts
      the s beyond it. A bf16 checkpoint turns a change of rank 8 into one of full rank: below this edge ranks are
      storage. It holds for even errors; where a few entries round far more coarsely, some s may pass it
    - `overlap`: mean squared cosine of the `top` leading directions of D with those of base's matrix, on its shorter
      side; `overlap_by_chance` = top / that side
    - `spectrum`: the 64 largest s, in order

    Singular values are square roots of eigenvalues of the Gram matrix on the shorter side, in fp64: faster than
    `svdvals` and right to 1e-8 of the largest. Raises ValueError as `weight_change`, and where no matrix changed.
    """
    found = partners(base, tuned)
    rows = []
    for both in side_by_side(base, tuned, found):
        a, b = (x.flatten(0, -2) if x.dim() > 2 else x for x in (both.base, both.tuned))
        if a.dim() == 2 and not torch.equal(a.double(), b.double()):
            rows.append({**both.place, **_row(a, b, both.stored, top)})
    if not rows:
        raise ValueError("no matrix differs between base and tuned, so there is no spectrum of a change")
    table = pd.DataFrame(rows).astype({"layer": "Int64"})
    made_with = compared(base, tuned, found, top=top)
    return Measurement("spectra", "singular values of the change of each matrix", table, made_with)


def _row(
    a: Float[Tensor, "row column"], b: Float[Tensor, "row column"], stored: torch.dtype, top: int
) -> dict[str, object]:
    change, vectors = torch.linalg.eigh(gram(b.double() - a.double()))
    _, own = torch.linalg.eigh(gram(a.double()))
    s = change.clamp(min=0).sqrt().flip(0).numpy()
    share = s[s > 0] / s.sum()
    short, k = len(s), min(top, len(s))
    rounding = math.sqrt(max(float(step(x, stored).double().square().mean()) for x in (a, b)) / 12)
    edge = rounding * (math.sqrt(a.shape[0]) + math.sqrt(a.shape[1]))
    return {
        "n_rows": a.shape[0],
        "n_columns": a.shape[1],
        "stable_rank": float((s**2).sum() / s[0] ** 2),
        "effective_rank": float(np.exp(-(share * np.log(share)).sum())),
        "noise_edge": edge,
        "above_noise": int((s > edge).sum()),
        "overlap": float((vectors[:, -k:].T @ own[:, -k:]).square().sum() / k),
        "overlap_by_chance": k / short,
        "spectrum": s[:KEPT].tolist(),
    }


def gram(x: Float64[Tensor, "row column"]) -> Float64[Tensor, "short short"]:
    """X x^T on the shorter side, in pieces of the longer."""
    wide = x if x.shape[0] <= x.shape[1] else x.T
    total = wide.new_zeros(wide.shape[0], wide.shape[0])
    for piece in wide.split(_COLUMNS, 1):
        total.addmm_(piece, piece.T)
    return total
