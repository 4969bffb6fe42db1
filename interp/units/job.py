"""What a sweep asks of one pair and seed, and how an instrument says which units it needs for it."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from interp.checkpoint import Checkpoint
from interp.measurement import Measurement, code_digest, versions
from interp.tasks.task import Task
from interp.units.unit import Unit

Steps = Generator[Sequence[Unit], list[Any], Measurement]
"""An instrument in steps: it names units, gets their results in that order, may name more, and ends with the table."""


@dataclass(frozen=True, eq=False)
class Job:
    """One pair, its task, and one seed of every random choice.

    `source` names the task so that another process can open it (`opened.open_task`), `places` the checkpoints.
    `shards`: into how many parts prompts are cut. `quick` asks for fewer random draws and arms. Tuned goes to `device`
    like base, unless `tuned_device` names another.
    """

    base: Checkpoint
    tuned: Checkpoint
    places: Mapping[str, str]
    task: Task
    source: Mapping[str, Any]
    seed: int = 0
    shards: int = 1
    dtype: str = "float32"
    device: str = "cpu"
    tuned_device: str | None = None
    quick: bool = False

    def __post_init__(self) -> None:
        if self.shards < 1:
            raise ValueError(f"shards is {self.shards}; prompts are cut into at least 1 part")

    @cached_property
    def parameters(self) -> int:
        """Entries of all of base's tensors."""
        return sum(self.base.read(name).numel() for name in self.base.names())

    @property
    def loaded(self) -> dict[str, Any]:
        """What a unit hangs on that runs the models, besides their files."""
        kinds = [place.partition(":")[0] for place in (self.device, self.tuned_device) if place is not None]
        return {"dtype": self.dtype, "device": " and ".join(dict.fromkeys(kinds))}

    def unit(
        self,
        instrument: str,
        part: str,
        *,
        code: str,
        flops: float = 0.0,
        given: Mapping[str, Any] | None = None,
        **on: Any,
    ) -> Unit:
        """A unit that hangs on both files, on the module `code` with all that it imports, on packages, and on `on`."""
        source = {"code": code_digest(code), "versions": versions()}
        hangs = {"base": self.base.digest, "tuned": self.tuned.digest, **source, **on}
        devices = {"device": self.device, "tuned_device": self.tuned_device}
        places = {**self.places, **devices, "task": dict(self.source), "module": code, **(given or {})}
        return Unit(instrument, part, hangs, places, flops)


def shards_of(n: int, shards: int) -> list[tuple[int, int]]:
    """`n` things cut into at most `shards` runs of nearly the same length: (first, one after the last)."""
    ends = [n * i // shards for i in range(shards + 1)]
    return [(a, b) for a, b in pairwise(ends) if a < b]
