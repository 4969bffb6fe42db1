"""Changes of the same size as tuning's, but without its content: what any change of that size would do."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.special import stdtrit
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from interp.pair import Pair

FORMATS = (torch.bfloat16, torch.float16, torch.float32)
"""Formats of weights, the coarsest first."""
LEVEL = 0.99
"""Of pairs in which nothing but chance moved the blocks, the share in which no block leaves its limit over depth."""
SAME = 1e-5
"""One change measured twice gives sums that differ by less than this: no draw differs from the others by more."""


class Change(NamedTuple):
    """A tensor of base, the norm of what tuning did to it, and what storage alone would do where formats differ.

    `rounded_to` is tuned's format where that is coarser than base's. Where base's is the coarser, tuned may be what was
    rounded to it: `rounded_from` is then base's format.
    """

    tensor: Float[Tensor, "..."]
    norm: float
    rounded_to: torch.dtype | None = None
    rounded_from: torch.dtype | None = None


def changed_tensors(pair: Pair) -> list[Change]:
    """The tensors of base that tuning changed, as base's forward pass uses them, each with the norm of its change.

    q, k and v are separate even where the checkpoint stores them as one: the bridge computes with the parts, and its
    state dict lists those and not the unused joint copy. Tied matrices come once. The tensors are live, not copies.
    """
    return changed(pair.base.state_dict(), pair.tuned.state_dict().__getitem__)


def changed(base: Mapping[str, Float[Tensor, "..."]], tuned: Callable[[str], Float[Tensor, "..."]]) -> list[Change]:
    """The tensors of base's state that differ from tuned's of the same name, each with the norm of its change."""
    changes: dict[int, Change] = {}  # by address, which tied matrices share
    for name, tensor in base.items():
        other = tuned(name).to(tensor.device)
        norm = torch.linalg.vector_norm(other.float() - tensor.float()).item()
        if norm > 0:
            changes[tensor.data_ptr()] = Change(tensor, norm, *_storage(tensor, other))
    return list(changes.values())


def _storage(base: Float[Tensor, "..."], tuned: Float[Tensor, "..."]) -> tuple[torch.dtype | None, torch.dtype | None]:
    """The formats of a `Change`, by the numbers themselves: a file may hold them in a finer one than they were in."""
    of_base, of_tuned = (
        next(dtype for dtype in FORMATS if dtype == FORMATS[-1] or torch.equal(x.to(dtype).float(), x.float()))
        for x in (base, tuned)
    )
    coarser = FORMATS.index(of_tuned) - FORMATS.index(of_base)
    return (of_tuned if coarser < 0 else None), (of_base if coarser > 0 else None)


@contextmanager
def gaussian_change(changes: Sequence[Change], *, seed: int, draw: int = 0) -> Iterator[None]:
    """Inside the block every tensor is moved by Gaussian noise of exactly the given norm; afterwards it is as before.

    Where the numbers of base and of tuned are of different formats, a part of the change is what storage alone does:
    rounding base to tuned's format, which is the same in every draw, or, where base's is the coarser, a random one of
    the numbers that would be rounded to base's. Noise makes up the rest of the norm, and there is none of it in a pair
    that differs by its format alone; a larger part of storage is scaled down to the norm.

    Draw `draw` of `seed` is the same change whenever and however often it is asked for. Needs the memory of one more
    copy of the tensors. They are restored bit for bit, also after an exception.
    """
    generators = _Generators(seed, draw)
    with restored([change.tensor for change in changes]):
        for change in changes:
            tensor, norm = change.tensor, change.norm
            noise = torch.randn(tensor.shape, generator=generators[tensor.device], device=tensor.device)
            if (stored := _stored(change, generators[tensor.device])) is not None:
                by_storage = torch.linalg.vector_norm(stored).item()
                rest = max(0.0, norm**2 - by_storage**2) ** 0.5
                stored *= min(1.0, norm / by_storage) if by_storage else 0.0
                tensor += (stored + noise * (rest / torch.linalg.vector_norm(noise))).to(tensor.dtype)
            else:
                tensor += (noise * (norm / torch.linalg.vector_norm(noise))).to(tensor.dtype)
        yield


def _stored(change: Change, generator: torch.Generator) -> Float[Tensor, "..."] | None:
    """What storage alone does to a tensor of base; None where both are of one format."""
    tensor = change.tensor.float()
    if change.rounded_to is not None:
        return tensor.to(change.rounded_to).float() - tensor
    if change.rounded_from is None:
        return None
    half = torch.finfo(change.rounded_from).eps / 4 * torch.exp2(torch.frexp(tensor).exponent.float())
    return (2 * torch.rand(tensor.shape, generator=generator, device=tensor.device) - 1) * half * (tensor != 0)


@contextmanager
def permuted_change(pair: Pair, *, seed: int, draw: int = 0) -> Iterator[None]:
    """Inside the block base is moved by tuning's own change with the entries of every tensor in random order.

    The same norm and the same entries as the change, at other places: what is left of the change is its size and how
    unequal its entries are. Base is restored as by `gaussian_change`.
    """
    generators = _Generators(seed, draw)
    moved = {change.tensor.data_ptr() for change in changed_tensors(pair)}
    base, tuned = pair.base.state_dict(), pair.tuned.state_dict()
    names = {base[name].data_ptr(): name for name in base if base[name].data_ptr() in moved}
    with restored([base[name] for name in names.values()]):
        for name in names.values():
            change = (tuned[name].to(base[name].device).float() - base[name].float()).flatten()
            order = torch.randperm(len(change), generator=generators[change.device], device=change.device)
            base[name] += change[order].view(base[name].shape).to(base[name].dtype)
        yield


@contextmanager
def rounded(model: TransformerBridge, dtype: torch.dtype = torch.bfloat16) -> Iterator[None]:
    """Inside the block every weight of the model is rounded to `dtype`, as storing it so would; then it is as before.

    A model whose weights are numbers of that dtype already is not moved at all.
    """
    tensors = list({tensor.data_ptr(): tensor for tensor in model.state_dict().values()}.values())
    with restored(tensors):
        for tensor in tensors:
            tensor.copy_(tensor.to(dtype))
        yield


@contextmanager
def planted(model: TransformerBridge, layer: int, *, size: float, seed: int = 0) -> Iterator[None]:
    """Inside the block every matrix of one block is moved by Gaussian noise of `size` times its norm; then as before.

    A change whose place is known, to see which profiles find it.
    """
    own = {name: tensor for name, tensor in model.state_dict().items() if name.startswith(f"blocks.{layer}.")}
    matrices = {tensor.data_ptr(): tensor for tensor in own.values() if tensor.dim() > 1}
    if not matrices:
        raise ValueError(f"there is no block {layer}, the model has {len(model.blocks)}; count from 0")
    changes = [Change(tensor, size * torch.linalg.vector_norm(tensor.float()).item()) for tensor in matrices.values()]
    with gaussian_change(changes, seed=seed):
        yield


@contextmanager
def restored(tensors: Sequence[Float[Tensor, "..."]]) -> Iterator[None]:
    """Whatever is done to the tensors inside the block is undone when it ends, bit for bit."""
    saved = [tensor.clone() for tensor in tensors]
    try:
        yield
    finally:
        for tensor, before in zip(tensors, saved, strict=True):
            tensor.copy_(before)


class _Generators(dict[torch.device, torch.Generator]):
    """One generator per device, all seeded with what `seed` and `draw` give."""

    def __init__(self, seed: int, draw: int) -> None:
        self.number = int(np.random.SeedSequence([seed, draw]).generate_state(1)[0])

    def __missing__(self, device: torch.device) -> torch.Generator:
        return self.setdefault(device, torch.Generator(device).manual_seed(self.number))


def z_scores(
    values: Float[np.ndarray, "*shape"], draws: Float[np.ndarray, "draws *shape"]
) -> Float[np.ndarray, "*shape"]:
    """How many standard deviations of the null's draws each value lies above their mean; NaN where they do not vary."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(_still(draws), np.nan, (values - draws.mean(0)) / draws.std(0, ddof=1))


def _still(draws: Float[np.ndarray, "draws *shape"]) -> Bool[np.ndarray, "*shape"]:
    return np.asarray(np.ptp(draws, axis=0) <= SAME * np.abs(draws).max(0))


def upper_limit(draws: Float[np.ndarray, "draws *shape"], *, level: float = 0.95) -> Float[np.ndarray, "*shape"]:
    """The value that one more draw from the null stays under with probability `level`, entry by entry.

    From 19 draws on (at 0.95) it is the k-th largest draw, k = floor((n + 1) (1 - level)): exact whatever the draws'
    distribution, as each of n + 1 draws is as likely as any other to be among the k largest. With fewer it is mean +
    t * sd * sqrt(1 + 1/n), with Student's t of n - 1 degrees of freedom: the prediction limit for normal draws. Norms
    of random changes are a little skewed: on the organisms 6.2% of further draws are over that limit, not 5%.
    """
    n = len(draws)
    if n < 2:
        raise ValueError(f"a null band needs at least 2 draws, got {n}")
    if over := _over(n, level):
        return np.sort(draws, axis=0)[-over]
    spread = draws.std(0, ddof=1) * np.sqrt(1 + 1 / n)
    return draws.mean(0) + float(stdtrit(n - 1, level)) * spread


def limit_over_depth(draws: Float[np.ndarray, "draws layer"], *, level: float = LEVEL) -> Float[np.ndarray, " layer"]:
    """The profile that one more draw stays under in every layer at once with probability `level`.

    mean + c sd sqrt(1 + 1/n) per layer (Westfall and Young 1993). From 1 / (1 - level) - 1 draws on, 99 at the default,
    c is the `upper_limit` of the draws' largest standardised value over depth, each draw standardised by the mean and
    sd of the others, as one more draw is by theirs: c holds whatever the draws' distribution. (Standardised by their
    own mean and sd they are too small: of 19 normal draws at 0.95, one more leaves 6 layers in 10% and 24 in 21%.) With
    fewer draws c is Student's t at level^(1 / layers), for normal draws. A layer's null has a longer tail to the right,
    so that at 0.99 one more leaves the 6 layers of an organism in 2% after 5 draws and in 3% after 19.

    Of a layer in which no draw differs, since nothing changed or only the format, the limit is what they all are.
    """
    n = len(draws)
    still = _still(draws)
    mean, spread = draws.mean(0), draws.std(0, ddof=1) * math.sqrt(1 + 1 / n)
    limit = draws.max(0) * (1 + SAME)
    moving = draws[:, ~still]
    if not moving.size:
        return limit
    if _over(n, level):
        others = (moving.sum(0) - moving) / (n - 1)
        squares = ((moving - moving.mean(0)) ** 2).sum(0) - n / (n - 1) * (moving - moving.mean(0)) ** 2
        standard = (moving - others) / np.sqrt(squares / (n - 2) * n / (n - 1))
        c = float(upper_limit(standard.max(1, keepdims=True), level=level)[0])
    else:
        c = float(stdtrit(n - 1, level ** (1 / moving.shape[1])))
    limit[~still] = (mean + c * spread)[~still]
    return limit


def _over(n: int, level: float) -> int:
    """The number of places among n + 1, from the top, that one more draw takes with probability 1 - level."""
    return int((n + 1) * (1 - level) + 1e-9)  # the product of two decimals may fall short of a whole number
