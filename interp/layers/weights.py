"""How much did each stored matrix change?"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from interp.checkpoint import Checkpoint
from interp.layers.partners import Both, compared, partners, side_by_side
from interp.measurement import Measurement

CHUNK = 2**18  # entries; two such pieces and their difference stay in a core's cache, which is 10 times faster


@dataclass(frozen=True)
class _Sums:
    """Over the entries a of base and b of tuned: squares of b - a, of a, of b, and of a's rounding steps."""

    difference: float
    base: float
    tuned: float
    steps: float
    changed: int
    n: int


def weight_change(base: Checkpoint, tuned: Checkpoint, *, fold: bool = False) -> Measurement:
    """Relative Frobenius change of every stored tensor, `||tuned - base|| / ||base||`; exactly 0 where nothing changed.

    Both checkpoints are streamed from disk in pieces; no model is built. One row per tensor (three where q, k and v
    share one): `tensor` (its stored name), `layer` (NA outside the blocks), `component`, `relative`,
    `cosine_distance` (1 - cosine), `changed` (share of entries that differ), `norm_change`, `norm_base`, `n_entries`,
    `dtype`, and `rounding_floor`: the relative change that rounding base once to the coarser stored dtype would give
    (an error uniform over one step of the format, `ulp / sqrt(12)` root mean square). A relative change near that
    floor is storage, not tuning. Embeddings that are tied on disk count once.

    A tensor without a partner is left out and listed in `made_with`; of a vocabulary that tuning resized the shared
    rows are compared (`rows_compared`). A LoRA adapter is compared as `open_adapter(directory, base)`.

    Weight space is not function space: a permutation of hidden units changes every entry and nothing else. `fold`
    removes one such freedom: the norms' gains are multiplied into the matrices that read them, in both checkpoints,
    and the column `folded` says what was moved where (`fold_norms`). Without it a scaled norm is the norm's change.

    Raises ValueError where no tensor has a partner, where shapes disagree, or where an entry is not finite.
    """
    found = partners(base, tuned)
    rows = []
    for both in side_by_side(base, tuned, found, fold=fold):
        compared_rows = both.base.shape[0] if both.base.ndim else 1
        moved = {"folded": both.moved} if fold else {}
        rows.append({**both.place, **_row(both), "rows_compared": compared_rows, **moved})
    table = pd.DataFrame(rows)
    table["layer"] = table["layer"].astype("Int64")
    made_with = compared(base, tuned, found, fold=fold)
    return Measurement("weights", "relative Frobenius change of each stored tensor", table, made_with)


def _row(both: Both) -> dict[str, object]:
    """The value columns of one tensor."""
    sums = _summed(both.base, both.tuned, both.stored)
    for which, total in (("base", sums.base), ("tuned", sums.tuned)):
        if not math.isfinite(total):
            raise ValueError(
                f"tensor {both.tensor} of {which} holds NaN or infinity; repair the checkpoint before comparing"
            )
    norm_change, norm_base, norm_tuned = (math.sqrt(s) for s in (sums.difference, sums.base, sums.tuned))
    return {
        "relative": _ratio(norm_change, norm_base, of_nothing=math.inf),
        # 1 - cosine from the difference: the obvious formula loses everything below 1e-4 in fp32.
        "cosine_distance": _ratio(
            sums.difference - (norm_base - norm_tuned) ** 2, 2 * norm_base * norm_tuned, of_nothing=math.nan
        ),
        "changed": sums.changed / sums.n if sums.n else 0.0,
        "norm_change": norm_change,
        "norm_base": norm_base,
        "n_entries": sums.n,
        "dtype": both.dtype,
        "rounding_floor": math.sqrt(sums.steps / 12) / norm_base if norm_base else 0.0,
    }


def _ratio(change: float, of: float, *, of_nothing: float) -> float:
    """The ratio; no change is 0 even of a tensor of zeros, whose every other change is `of_nothing`."""
    if change == 0:
        return 0.0
    return change / of if of else of_nothing


def _summed(a: Float[Tensor, "..."], b: Float[Tensor, "..."], stored: torch.dtype) -> _Sums:
    """fp32 dot products of pieces, added up in fp64."""
    info = torch.finfo(stored)
    difference = base = tuned = powers = 0.0
    changed = 0
    for x, y in _pieces(a, b):
        d = y - x
        difference += torch.dot(d, d).item()
        base += torch.dot(x, x).item()
        tuned += torch.dot(y, y).item()
        changed += int(torch.count_nonzero(d))
        # The exponent bits alone are the power of two below |x|; one step of the format is eps times that. The square
        # of the smallest normal number counts in fp16 alone, in the others it is less than fp32 can hold.
        power = (x.float().view(torch.int32) & 0x7F800000).view(torch.float32)
        if stored is torch.float16:
            power.clamp_(min=info.smallest_normal)
        powers += torch.dot(power, power).item()
    return _Sums(difference, base, tuned, powers * info.eps**2, changed, a.numel())


def _pieces(
    a: Float[Tensor, "..."], b: Float[Tensor, "..."]
) -> Iterator[tuple[Float[Tensor, " n"], Float[Tensor, " n"]]]:
    """Matching runs of rows, flat and wide enough to be squared: fp32, or fp64 where stored so."""
    wide = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    a, b = torch.atleast_1d(a), torch.atleast_1d(b)
    rows = max(1, CHUNK // max(1, a[:1].numel()))
    for x, y in zip(a.split(rows), b.split(rows), strict=True):
        yield x.reshape(-1).to(wide), y.reshape(-1).to(wide)
