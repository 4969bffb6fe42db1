"""Finished units on disk, each under the digest of what it hangs on: one JSON file, whole or not there at all.

    STORE/instrument/key.json    {"made_from": ..., "result": ..., "seconds": ..., "digest": ...}

Two processes that finish the same unit write the same result to the same name, and the last rename wins. A reader
takes a file only where its own digest and its key are right: anything else is told in one sentence and done again.
"""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interp.measurement import digest, plain, write_whole
from interp.units.unit import Unit

Work = Callable[[Unit], Any]
"""Does a unit: its result as JSON (numbers that are not finite become null)."""

_log = logging.getLogger("interp")


def finished(store: Path, unit: Unit, work: Work) -> Any:
    """The unit's result, from the store, or made now and kept there; either way as it comes back from JSON."""
    if (entry := read(store, unit)) is not None:
        return entry["result"]
    started = time.perf_counter()
    entry = {"made_from": _made_from(unit), "result": plain(work(unit))}
    entry |= {"seconds": round(time.perf_counter() - started, 3)}
    write_whole(place(store, unit), json.dumps(entry | {"digest": digest(entry)}, allow_nan=False) + "\n")
    return json.loads(json.dumps(entry["result"]))


def read(store: Path, unit: Unit) -> dict[str, Any] | None:
    """What is kept of a unit: `result`, `seconds`; None where nothing is, or what is there is not what was kept."""
    path = place(store, unit)
    try:
        entry = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:  # cut short, or no text any more
        entry = None
    if isinstance(entry, dict) and entry.pop("digest", None) == digest(entry) and "result" in entry:
        if entry.get("made_from") == json.loads(json.dumps(_made_from(unit))):
            return entry
        _log.warning("%s of %s holds another unit; it is done again", path.name, unit)
        return None
    _log.warning("%s of %s is damaged: it is not what was kept there; it is done again", path.name, unit)
    return None


def place(store: Path, unit: Unit) -> Path:
    """The unit's file."""
    return store / unit.instrument / f"{unit.key}.json"


def _made_from(unit: Unit) -> dict[str, Any]:
    return {"instrument": unit.instrument, "part": unit.part, "depends_on": plain(unit.depends_on)}
