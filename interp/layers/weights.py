"""How much did each stored matrix change?"""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from interp.checkpoint import Checkpoint
from interp.layers.partners import Both, Partners, compared, partners, side_by_side
from interp.layers.ulps import step
from interp.measurement import Measurement

CHUNK = 2**16  # entries; the pieces that are worked on together stay in a core's cache
WORKERS = 2  # tensors at a time; more do not help, reading the files is then what takes the time
STRAINED = 1e-30  # a mean square below which fp32 no longer holds the squares; at infinity it does not either
SAMPLE = 2**14  # entries that the rounding step is averaged over: its root mean square is then right to about 1%


@dataclass(frozen=True)
class _Sums:
    """Over the entries a of base and b of tuned: squares of b - a, of a, of b, and of a's rounding steps."""

    difference: float
    base: float
    tuned: float
    steps: float
    changed: float
    n: int


def weight_change(base: Checkpoint, tuned: Checkpoint, *, fold: bool = False) -> Measurement:
    """Relative Frobenius change of every stored tensor, `||tuned - base|| / ||base||`; exactly 0 where nothing changed.

    Both checkpoints are streamed from disk in pieces; no model is built. One row per tensor (three where q, k and v
    share one): `tensor` (its stored name), `layer` (NA outside the blocks), `component`, `relative`,
    `cosine_distance` (1 - cosine), `changed` (share of entries that differ), `norm_change`, `norm_base`, `n_entries`,
    `dtype`, and `rounding_floor`: the relative change that rounding base once to the coarser stored dtype would give
    (an error uniform over one step of the format, `ulp / sqrt(12)` root mean square; the floor alone is
    estimated, to about 1%, from 16,384 entries spread over a larger tensor, everything else sums all entries). A
    relative change near that floor is storage, not tuning. Embeddings that are tied on disk count once.

    A tensor without a partner is left out and listed in `made_with`; of a vocabulary that tuning resized the shared
    rows are compared (`rows_compared`). A LoRA adapter is compared as `open_adapter(directory, base)`.

    Weight space is not function space: a permutation of hidden units changes every entry and nothing else. `fold`
    removes one such freedom: the norms' gains are multiplied into the matrices that read them, in both checkpoints,
    and the column `folded` says what was moved where (`fold_norms`). Without it a scaled norm is the norm's change.

    Raises ValueError where no tensor has a partner, where shapes disagree, or where an entry is not finite.
    """
    found = partners(base, tuned)
    return weights_of(weight_rows(base, tuned, found, fold=fold), compared(base, tuned, found, fold=fold))


def weight_rows(
    base: Checkpoint, tuned: Checkpoint, found: Partners, *, fold: bool = False
) -> Iterator[dict[str, object]]:
    """The rows of `weight_change` for the tensors in `found`, which may be some of all."""
    return _rows(side_by_side(base, tuned, found, fold=fold), fold=fold)


def weights_of(rows: Iterable[Mapping[str, object]], made_with: Mapping[str, Any]) -> Measurement:
    """The measurement whose rows these are, in the order of depth."""
    table = pd.DataFrame(rows)
    table["layer"] = table["layer"].astype("Int64")
    return Measurement("weights", "relative Frobenius change of each stored tensor", table, made_with)


def _rows(walk: Iterable[Both], *, fold: bool) -> Iterator[dict[str, object]]:
    """One row per tensor, in order; a few are in memory at a time, each summed by one thread: always to the same."""
    waiting: deque[tuple[Both, Future[dict[str, object]]]] = deque()

    def first() -> dict[str, object]:
        both, values = waiting.popleft()
        rows = both.base.shape[0] if both.base.ndim else 1
        return {**both.place, **values.result(), "rows_compared": rows, **({"folded": both.moved} if fold else {})}

    with ThreadPoolExecutor(WORKERS) as pool:
        for both in walk:
            waiting.append((both, pool.submit(_row, both)))
            if len(waiting) > WORKERS:
                yield first()
        while waiting:
            yield first()


def _row(both: Both) -> dict[str, object]:
    """The value columns of one tensor."""
    sums = _summed(both.base, both.tuned, both.stored)
    squares = (sums.difference, sums.changed), (sums.base, sums.n), (sums.tuned, sums.n)
    if not all(STRAINED * n <= total < math.inf for total, n in squares):
        sums = _summed(both.base, both.tuned, both.stored, wide=torch.float64)
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


def _summed(
    a: Float[Tensor, "..."], b: Float[Tensor, "..."], stored: torch.dtype, *, wide: torch.dtype = torch.float32
) -> _Sums:
    """fp32 dot products of pieces, added up in fp64."""
    difference = base = tuned = changed = 0.0
    room: Tensor | None = None
    for x, y in _pieces(a, b, wide):
        if room is None:
            room = torch.empty_like(x)  # made once: fresh memory for every piece costs more than the arithmetic
        d = torch.sub(y, x, out=room[: len(x)])
        base += torch.dot(x, x).item()
        tuned += torch.dot(y, y).item()
        difference += torch.dot(d, d).item()
        torch.sign(d, out=d)
        changed += torch.dot(d, d).item()  # a sum of ones: exact, and four times faster than count_nonzero
    # An odd stride meets the columns of a matrix in turn, where an even one might see a few of them only.
    some = step(a.reshape(-1)[:: (a.numel() // SAMPLE) | 1], stored)
    steps = some.double().square().mean().item() * a.numel() if len(some) else 0.0
    return _Sums(difference, base, tuned, steps, changed, a.numel())


def _pieces(
    a: Float[Tensor, "..."], b: Float[Tensor, "..."], least: torch.dtype
) -> Iterator[tuple[Float[Tensor, " n"], Float[Tensor, " n"]]]:
    """Matching runs of entries, flat and wide enough to be squared: fp32, or fp64 where stored so.

    What is stored so is a view; anything else is copied into the same two places in memory again and again.
    """
    wide = torch.promote_types(torch.promote_types(a.dtype, b.dtype), least)
    sides = [x.reshape(-1) if x.is_contiguous() else x for x in (a, b)]
    if sides[0].ndim != sides[1].ndim:
        sides = [a, b]
    rows = max(1, CHUNK // max(1, sides[0][:1].numel()))
    if all(x.ndim == 1 and x.dtype == wide for x in sides):
        yield from zip(*(x.split(rows) for x in sides), strict=True)
        return
    rooms = [torch.empty(min(rows, len(x)) * x[:1].numel(), dtype=wide) for x in sides]
    for pieces in zip(*(x.split(rows) for x in sides), strict=True):
        x, y = (
            room[: piece.numel()].view(piece.shape).copy_(piece).view(-1)
            for piece, room in zip(pieces, rooms, strict=True)
        )
        yield x, y
