"""Where finished measurements of a pair are kept: one that was made from other things is made again."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from interp.backoff import within_memory
from interp.measurement import Measurement, remembered, source_digest
from interp.pair import Pair

Keep = Callable[[str, Callable[[], Measurement]], Measurement]
"""Given a name and how to make it, the measurement: from where finished ones are kept, or made now."""

GROUND = ("", "tasks")
"""Folders of source that every measurement hangs on."""

_log = logging.getLogger("interp")


def keeper(pair: Pair, folder: Path | None, *, code: Sequence[str], **hangs_on: object) -> Keep:
    """`remembered` for measurements of this pair: they hang on both models, the source below `code`, and what is named.

    One for which there is no memory is made again in smaller batches, and says how small. How long each took is logged.
    """
    depends_on = {
        "base": pair.base_checkpoint.digest,
        "tuned": pair.tuned_checkpoint.digest,
        "names": [pair.base_checkpoint.name, pair.tuned_checkpoint.name],
        "models": [str(pair.dtype), pair.places],
        "code": source_digest([*GROUND, *code]),
        **hangs_on,
    }

    def keep(name: str, make: Callable[[], Measurement]) -> Measurement:
        def making() -> Measurement:
            started = time.perf_counter()
            measurement, rows = within_memory(make)
            _log.info("measured %s in %.1f s", name, time.perf_counter() - started)
            return (
                replace(measurement, made_with={**measurement.made_with, "batch_size": rows}) if rows else measurement
            )

        return remembered(folder, name, depends_on, making)

    return keep
