"""How much did each stored matrix change?"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from interp.checkpoint import Checkpoint
from interp.layers.components import component_parts
from interp.measurement import Measurement, provenance

CHUNK = 2**18  # entries; two such pieces and their difference stay in a core's cache, which is 10 times faster
_STORED = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class _Sums:
    """Over the entries a of base and b of tuned: squares of b - a, of a, of b, and of a's rounding steps."""

    difference: float
    base: float
    tuned: float
    steps: float
    changed: int
    n: int


def weight_change(base: Checkpoint, tuned: Checkpoint) -> Measurement:
    """Relative Frobenius change of every stored tensor, `||tuned - base|| / ||base||`; exactly 0 where nothing changed.

    Both checkpoints are streamed from disk in pieces; no model is built. One row per tensor (three where q, k and v
    share one): `tensor` (its stored name), `layer` (NA outside the blocks), `component`, `relative`,
    `cosine_distance` (1 - cosine), `changed` (share of entries that differ), `norm_change`, `norm_base`, `n_entries`,
    `dtype`, and `rounding_floor`: the relative change that rounding base once to the coarser stored dtype would give
    (an error uniform over one step of the format, `ulp / sqrt(12)` root mean square). A relative change near that
    floor is storage, not tuning. Embeddings that are tied on disk count once.

    Weight space is not function space: a permutation of hidden units changes every entry and nothing else.

    Raises ValueError where tensors have no partner or another shape, or are not finite.
    """
    names = _partners(base, tuned)
    parts = component_parts(base)
    rows, skipped = [], []
    for name in tqdm(names, desc="weights", unit="tensor", disable=None):
        a, b = base.read(name), tuned.read(name)
        if not (a.is_floating_point() and b.is_floating_point()):
            skipped.append(name)
            continue
        for (layer, component, x), (_, _, y) in zip(parts(name, a), parts(name, b), strict=True):
            rows.append({"tensor": name, "layer": layer, "component": component, **_row(name, x, y)})
    table = pd.DataFrame(rows)
    table["layer"] = table["layer"].astype("Int64")
    table = table.sort_values("layer", kind="stable", na_position="last", ignore_index=True)
    made_with = provenance(base=_identity(base), tuned=_identity(tuned), not_numbers=skipped)
    return Measurement("weights", "relative Frobenius change of each stored tensor", table, made_with)


def _partners(base: Checkpoint, tuned: Checkpoint) -> list[str]:
    """The tensor names of both checkpoints, which have to agree in name and shape."""
    ours, theirs = set(base.names()), set(tuned.names())
    if ours != theirs:
        raise ValueError(
            f"base and tuned do not hold the same tensors: only base has {_listed(ours - theirs)}, "
            f"only tuned has {_listed(theirs - ours)}; save both from the same architecture"
        )
    shapes = {name: (tuple(base.shape(name)), tuple(tuned.shape(name))) for name in base.names()}
    unlike = [f"{name} {a} in base and {b} in tuned" for name, (a, b) in shapes.items() if a != b]
    if unlike:
        raise ValueError(f"tensors of base and tuned differ in shape: {_listed(unlike)}; they cannot be subtracted")
    return list(shapes)


def _listed(names: set[str] | list[str], most: int = 5) -> str:
    """The first few names in order, and how many more there are."""
    shown, more = sorted(names)[:most], len(names) - most
    return (", ".join(shown) or "nothing") + (f" and {more} more" if more > 0 else "")


def _row(name: str, a: Float[Tensor, "..."], b: Float[Tensor, "..."]) -> dict[str, object]:
    """The value columns of one tensor."""
    sums = _summed(a, b)
    for which, total in (("base", sums.base), ("tuned", sums.tuned)):
        if not math.isfinite(total):
            raise ValueError(f"tensor {name} of {which} holds NaN or infinity; repair the checkpoint before comparing")
    norm_change, norm_base, norm_tuned = (math.sqrt(s) for s in (sums.difference, sums.base, sums.tuned))
    same = "" if a.dtype == b.dtype else f" -> {_short(b.dtype)}"
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
        "dtype": _short(a.dtype) + same,
        "rounding_floor": math.sqrt(sums.steps / 12) / norm_base if norm_base else 0.0,
    }


def _ratio(change: float, of: float, *, of_nothing: float) -> float:
    """The ratio; no change is 0 even of a tensor of zeros, whose every other change is `of_nothing`."""
    if change == 0:
        return 0.0
    return change / of if of else of_nothing


def _summed(a: Float[Tensor, "..."], b: Float[Tensor, "..."]) -> _Sums:
    """fp32 dot products of pieces, added up in fp64."""
    if a.dtype not in _STORED or b.dtype not in _STORED:
        raise ValueError(
            f"weights stored as {_short(a.dtype)} and {_short(b.dtype)} cannot be compared; convert to bf16"
        )
    coarse = max(torch.finfo(a.dtype), torch.finfo(b.dtype), key=lambda info: info.eps)
    difference = base = tuned = steps = 0.0
    changed = 0
    for x, y in _pieces(a, b):
        d = y - x
        difference += torch.dot(d, d).item()
        base += torch.dot(x, x).item()
        tuned += torch.dot(y, y).item()
        changed += int(torch.count_nonzero(d))
        # The exponent bits alone are the power of two below |x|; one step of the format is eps times that.
        step = (x.float().view(torch.int32) & 0x7F800000).view(torch.float32)
        step.clamp_(min=coarse.smallest_normal).mul_(coarse.eps)
        steps += torch.dot(step, step).item()
    return _Sums(difference, base, tuned, steps, changed, a.numel())


def _pieces(
    a: Float[Tensor, "..."], b: Float[Tensor, "..."]
) -> Iterator[tuple[Float[Tensor, " n"], Float[Tensor, " n"]]]:
    """Matching runs of rows, flat and wide enough to be squared: fp32, or fp64 where stored so."""
    wide = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    a, b = torch.atleast_1d(a), torch.atleast_1d(b)
    rows = max(1, CHUNK // max(1, a[:1].numel()))
    for x, y in zip(a.split(rows), b.split(rows), strict=True):
        yield x.reshape(-1).to(wide), y.reshape(-1).to(wide)


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _identity(checkpoint: Checkpoint) -> dict[str, str | None]:
    return {"name": checkpoint.name, "digest": checkpoint.digest, "revision": checkpoint.revision}
