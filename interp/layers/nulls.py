"""Changes of the same size as tuning's, but without its content: what any change of that size would do."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import stdtrit
from torch import Tensor

from interp.pair import Pair

Change = tuple[Float[Tensor, "..."], float]


def changed_tensors(pair: Pair) -> list[Change]:
    """The tensors of base that tuning changed, as base's forward pass uses them, each with the norm of its change.

    q, k and v are separate even where the checkpoint stores them as one: the bridge computes with the parts, and its
    state dict lists those and not the unused joint copy. Tied matrices come once. The tensors are live, not copies.
    """
    base, tuned = pair.base.state_dict(), pair.tuned.state_dict()
    changes: dict[int, Change] = {}  # by address, which tied matrices share
    for name, tensor in base.items():
        norm = torch.linalg.vector_norm(tuned[name].float() - tensor.float()).item()
        changes[tensor.data_ptr()] = (tensor, norm)
    return [change for change in changes.values() if change[1] > 0]


@contextmanager
def gaussian_change(changes: Sequence[Change], *, seed: int, draw: int = 0) -> Iterator[None]:
    """Inside the block every tensor is moved by Gaussian noise of exactly the given norm; afterwards it is as before.

    Draw `draw` of `seed` is the same change whenever and however often it is asked for. Needs the memory of one more
    copy of the tensors. They are restored bit for bit, also after an exception.
    """
    number = int(np.random.SeedSequence([seed, draw]).generate_state(1)[0])
    generators: dict[torch.device, torch.Generator] = {}
    saved = [tensor.clone() for tensor, _ in changes]
    try:
        for tensor, norm in changes:
            if tensor.device not in generators:
                generators[tensor.device] = torch.Generator(tensor.device).manual_seed(number)
            noise = torch.randn(tensor.shape, generator=generators[tensor.device], device=tensor.device)
            tensor += (noise * (norm / torch.linalg.vector_norm(noise))).to(tensor.dtype)
        yield
    finally:
        for (tensor, _), before in zip(changes, saved, strict=True):
            tensor.copy_(before)


def upper_limit(draws: Float[np.ndarray, "draws layers"], *, level: float = 0.95) -> Float[np.ndarray, " layers"]:
    """The value that one more draw from the null stays under with probability `level`, per layer.

    mean + t * sd * sqrt(1 + 1/n), with Student's t of n - 1 degrees of freedom: the one-sided prediction limit for
    normal draws. With few draws it is wider than the draws' own quantile, as it has to be.
    """
    n = len(draws)
    if n < 2:
        raise ValueError(f"a null band needs at least 2 draws, got {n}")
    spread = draws.std(0, ddof=1) * np.sqrt(1 + 1 / n)
    return draws.mean(0) + float(stdtrit(n - 1, level)) * spread
