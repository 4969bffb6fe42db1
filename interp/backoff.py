"""The largest batch that memory allows, found by trying.

Memory means the device's (`torch.OutOfMemoryError`). A process that takes more of the machine's own memory than there
is gets killed by the system and cannot go on by itself; see `units.engines`.
"""

import logging
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

import torch

T = TypeVar("T")
_log = logging.getLogger("interp")


@dataclass
class _Limit:
    """How many rows a batch may have, and the most that any loop had so far."""

    rows: int | None = None
    largest: int = 0


_limit: ContextVar[_Limit | None] = ContextVar("rows of a batch", default=None)


def backing_off(run: Callable[[int], T], batch_size: int) -> tuple[T, int]:
    """What `run` gives at the largest of batch_size, half of it, ... 1 for which there is memory, and that size.

    `run` is started again from nothing at each size, so it must not keep what it has begun. Numbers of another batch
    size differ by rounding: say the size beside them. RuntimeError where even a batch of one does not fit.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; it has to be at least 1")
    size = batch_size
    while True:
        try:
            return run(size), size
        except torch.OutOfMemoryError as error:
            _check_smaller(size, error)
        size = _halved(size)


def within_memory(make: Callable[[], T]) -> tuple[T, int | None]:
    """What `make` gives, and the number of rows that its batches had to be cut to; None where all had room.

    The loops that read and write texts ask `at_most` how long a batch may be. Where one runs out of memory, `make` is
    started again from nothing, with batches of half the rows of its largest. RuntimeError where one row does not fit,
    or where memory runs out before any text is read.
    """
    rows = None
    while True:
        limit = _Limit(rows)
        token = _limit.set(limit)
        try:
            return make(), rows
        except torch.OutOfMemoryError as error:
            _check_smaller(limit.largest, error)
        finally:
            _limit.reset(token)
        rows = _halved(limit.largest)


def at_most(batch_size: int) -> int:
    """The batch size, or fewer rows where `within_memory` found that there is no room for so many."""
    limit = _limit.get()
    if limit is None:
        return batch_size
    size = batch_size if limit.rows is None else min(batch_size, limit.rows)
    limit.largest = max(limit.largest, size)
    return size


def _check_smaller(size: int, error: torch.OutOfMemoryError) -> None:
    if size <= 1:
        first = str(error).partition("\n")[0]
        raise RuntimeError(
            f"there is no memory for a batch of one ({first}); use a smaller dtype, a larger device or shorter texts"
        ) from None


def _halved(size: int) -> int:
    # Called outside the except block: the error holds on to the frames, and with them to what filled the memory.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    _log.warning("out of memory; trying again with batches of %d", size // 2)
    return size // 2
