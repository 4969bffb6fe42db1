"""The largest batch that memory allows, found by trying."""

import logging
from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")
_log = logging.getLogger("interp")


def backing_off(run: Callable[[int], T], batch_size: int) -> tuple[T, int]:
    """What `run` gives at the largest of batch_size, half of it, ... 1 for which there is memory, and that size.

    `run` is started again from nothing at each size, so it must not keep what it has begun. Numbers of another batch
    size differ by rounding: say the size beside them. RuntimeError where even a batch of one does not fit.

    Memory means the device's (`torch.OutOfMemoryError`). A process that takes more of the machine's own memory than
    there is gets killed by the system and cannot go on by itself; see `units.engines`.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; it has to be at least 1")
    size = batch_size
    while True:
        try:
            return run(size), size
        except torch.OutOfMemoryError as error:
            if size == 1:
                first = str(error).partition("\n")[0]
                raise RuntimeError(
                    f"there is no memory for a batch of one ({first}); "
                    "use a smaller dtype, a larger device or shorter texts"
                ) from None
        # Outside the except block: the error holds on to the frames, and with them to what filled the memory.
        size //= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        _log.warning("out of memory; trying again with batches of %d", size)
