"""One piece of work: what its result hangs on, and where the things lie that it is made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from interp.measurement import digest


@dataclass(frozen=True, eq=False)
class Unit:
    """A part of an instrument's work on one pair, such as one layer, or one run of batches.

    `depends_on` is JSON and holds everything the result hangs on: digests of checkpoints, texts and code, options,
    seeds. `given` says where those things lie on this machine; the result does not hang on it. `flops` is what the
    arithmetic takes at least, for the estimate that is printed before a run.
    """

    instrument: str
    part: str
    depends_on: Mapping[str, Any]
    given: Mapping[str, Any] = field(default_factory=dict)
    flops: float = 0.0

    def __post_init__(self) -> None:
        if not self.instrument.isidentifier():
            raise ValueError(f"a unit's instrument names a folder and cannot be {self.instrument!r}; use one word")

    @cached_property
    def key(self) -> str:
        """A digest of the instrument, the part and all that the result hangs on."""
        return digest([self.instrument, self.part, self.depends_on])

    def __str__(self) -> str:
        return f"{self.instrument}, {self.part}"
