"""How many stored numbers changed by more than their format's step, and how many an even change would have."""

import math
from collections.abc import Sequence

import pandas as pd
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from interp.checkpoint import Checkpoint
from interp.layers.partners import Both, compared, partners, short, side_by_side
from interp.measurement import Measurement

PIECE = 2**18
_MANTISSA_OFF = 0x7F800000
_LARGE = 16.0  # standard deviation, in steps, from which rounding adds 1/12 of a squared step and nothing else


def step(x: Float[Tensor, "..."], stored: torch.dtype) -> Float[Tensor, "..."]:
    """The distance from |x| to the next larger number of a format, its unit in the last place; shapes as x, float32.

    The exponent bits alone are the power of two below |x|; one step is `eps` times that, and never less than the
    step of the smallest normal number.
    """
    info = torch.finfo(stored)
    power = (x.float().view(torch.int32) & _MANTISSA_OFF).view(torch.float32)
    return power.clamp(min=info.smallest_normal) * info.eps


def ulp_change(base: Checkpoint, tuned: Checkpoint, *, tolerances: Sequence[int] = (0, 1, 2, 4)) -> Measurement:
    """Share of each tensor's numbers that changed by more than 0, 1, 2 and 4 steps of the stored format.

    A number that reads the same after tuning has not stayed the same: bf16 keeps 8 bits, and a change below half a
    step is lost. So beside `changed` stands `dense`: the share that a change of the same norm in **every** number,
    Gaussian and of one size in the whole tensor, would leave to be seen after rounding to this format. `changed` near
    `dense` is what storage does to an even change; far below it the change is sparse.

    Rows: tensor, layer, component, `tolerance` (steps, taken at base's number), changed, dense, `rounding` (share
    that bringing the finer of the two to the coarser format changed by itself; it is done before anything is counted,
    0 where both are stored alike), n_entries, dtype.

    With u the step, a change z ~ N(0, s^2) of a number on the grid is seen as round(z / u) u, so the share beyond t
    steps is the mean of P(|z| > (t + 1/2) u); s is solved for so that the expected squared norm is the measured one.
    """
    found = partners(base, tuned)
    rows = []
    for both in side_by_side(base, tuned, found):
        beyond, steps, squared, rounded = _counted(both, tolerances)
        n = both.base.numel()
        spread = _spread(steps, squared)
        for tolerance, count in zip(tolerances, beyond, strict=True):
            values = {"tolerance": tolerance, "changed": count / n, "dense": _dense(steps, spread, tolerance)}
            rows.append({**both.place, **values, "rounding": rounded / n, "n_entries": n, "dtype": short(both.stored)})
    table = pd.DataFrame(rows)
    table["layer"] = table["layer"].astype("Int64")
    made_with = compared(base, tuned, found, tolerances=list(tolerances))
    return Measurement("ulps", "share of numbers that changed by more than so many steps", table, made_with)


Steps = tuple[Float64[Tensor, " n_steps"], Float64[Tensor, " n_steps"]]


def _counted(both: Both, tolerances: Sequence[int]) -> tuple[list[int], Steps, float, int]:
    """Numbers beyond each tolerance, the steps with their counts, the squared norm, and how many rounding moved."""
    beyond, rounded, squared = [0] * len(tolerances), 0, 0.0
    counts: dict[float, int] = {}
    for x, y in zip(_pieces(both.base), _pieces(both.tuned), strict=True):
        a, b = x.to(both.stored).float(), y.to(both.stored).float()
        rounded += int(((a != x) | (b != y)).sum())
        size, d = step(a, both.stored), (b - a).abs()
        squared += d.double().square().sum().item()
        for which, tolerance in enumerate(tolerances):
            beyond[which] += int((d > tolerance * size).sum())
        values, numbers = size.unique(return_counts=True)
        for value, number in zip(values.tolist(), numbers.tolist(), strict=True):
            counts[value] = counts.get(value, 0) + number
    steps = torch.tensor(list(counts), dtype=torch.float64), torch.tensor(list(counts.values()), dtype=torch.float64)
    return beyond, steps, squared, rounded


def _pieces(tensor: Float[Tensor, "..."]) -> tuple[Float[Tensor, " n"], ...]:
    return tensor.reshape(-1).split(PIECE)


def _dense(steps: Steps, spread: float, tolerance: int) -> float:
    """Share of numbers that an even change of this spread moves by more than the tolerance after rounding."""
    sizes, counts = steps
    if spread == 0:
        return 0.0
    return float(
        (counts * torch.special.erfc((tolerance + 0.5) * sizes / (spread * math.sqrt(2)))).sum() / counts.sum()
    )


def _spread(steps: Steps, squared: float) -> float:
    """The standard deviation of the even change whose squared norm, after rounding, is the measured one."""
    sizes, counts = steps
    if squared == 0:
        return 0.0
    low, high = -200.0, 2 + math.log2(math.sqrt(squared) + 4 * float(sizes.max()))
    for _ in range(64):  # halving the bracket of the logarithm until it is as narrow as a double
        middle = (low + high) / 2
        seen = float((counts * sizes.square() * _rounded_square(2.0**middle / sizes)).sum())
        low, high = (middle, high) if seen < squared else (low, middle)
    return 2.0**high


def _rounded_square(spread: Float64[Tensor, " n_steps"]) -> Float64[Tensor, " n_steps"]:
    """E[round(z)^2] of z ~ N(0, spread^2): the sum over k of (2k + 1) P(|z| > k + 1/2)."""
    k = torch.arange(8 * int(_LARGE), dtype=torch.float64)
    small = spread.clamp(max=_LARGE)[:, None]
    summed = ((2 * k + 1) * torch.special.erfc((k + 0.5) / (small * math.sqrt(2)))).sum(-1)
    return torch.where(spread > _LARGE, spread.square() + 1 / 12, summed)
