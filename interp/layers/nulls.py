"""Changes of the same size as tuning's, but without its content: what any change of that size would do."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import stdtrit
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from interp.pair import Pair

Change = tuple[Float[Tensor, "..."], float]


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
        norm = torch.linalg.vector_norm(tuned(name).to(tensor.device).float() - tensor.float()).item()
        changes[tensor.data_ptr()] = (tensor, norm)
    return [change for change in changes.values() if change[1] > 0]


@contextmanager
def gaussian_change(changes: Sequence[Change], *, seed: int, draw: int = 0) -> Iterator[None]:
    """Inside the block every tensor is moved by Gaussian noise of exactly the given norm; afterwards it is as before.

    Draw `draw` of `seed` is the same change whenever and however often it is asked for. Needs the memory of one more
    copy of the tensors. They are restored bit for bit, also after an exception.
    """
    generators = _Generators(seed, draw)
    with restored([tensor for tensor, _ in changes]):
        for tensor, norm in changes:
            noise = torch.randn(tensor.shape, generator=generators[tensor.device], device=tensor.device)
            tensor += (noise * (norm / torch.linalg.vector_norm(noise))).to(tensor.dtype)
        yield


@contextmanager
def permuted_change(pair: Pair, *, seed: int, draw: int = 0) -> Iterator[None]:
    """Inside the block base is moved by tuning's own change with the entries of every tensor in random order.

    The same norm and the same entries as the change, at other places: what is left of the change is its size and how
    unequal its entries are. Base is restored as by `gaussian_change`.
    """
    generators = _Generators(seed, draw)
    moved = {tensor.data_ptr() for tensor, _ in changed_tensors(pair)}
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
    changes = [(tensor, size * torch.linalg.vector_norm(tensor.float()).item()) for tensor in matrices.values()]
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
    spread = draws.std(0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 0, (values - draws.mean(0)) / spread, np.nan)


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
    over = int((n + 1) * (1 - level) + 1e-9)  # the product of two decimals may fall short of a whole number
    if over:
        return np.sort(draws, axis=0)[-over]
    spread = draws.std(0, ddof=1) * np.sqrt(1 + 1 / n)
    return draws.mean(0) + float(stdtrit(n - 1, level)) * spread


def limit_over_depth(draws: Float[np.ndarray, "draws layer"], *, level: float = 0.95) -> Float[np.ndarray, " layer"]:
    """The profile that one more draw stays under in every layer at once with probability `level`.

    mean + c sd per layer, with c the `upper_limit` of the draws' largest standardised value over depth (Westfall and
    Young 1993). With `upper_limit` alone one of six layers is beyond its limit by chance in a quarter of all pairs.
    A layer that no draw changes has the limit 0.
    """
    spread = draws.std(0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        standard = np.where(spread > 0, (draws - draws.mean(0)) / spread, -np.inf).max(1, keepdims=True)
    return draws.mean(0) + (upper_limit(standard, level=level) * spread if np.isfinite(standard).all() else 0.0)
