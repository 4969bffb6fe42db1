"""What the machine has, beside what the workbench needs."""

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from packaging.requirements import Requirement

from interp.measurement import Measurement, provenance

GIB = 2**30
MEMORY_NEEDED = 3 * GIB
DISK_NEEDED = GIB // 4
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")

Check = tuple[str, str, str, bool, bool]
"""What was looked for, what was found, what is needed, whether that is needed, whether it is there."""


def doctor(folder: Path) -> Measurement:
    """One row per thing looked for: found, wanted, and whether the workbench runs without it.

    `folder` is where results would be written. What is not `needed` costs only the feature that `wanted` names.
    """
    checks = [*_python(), *_packages(), *_machine(folder), *_accelerator(), *_browser(), *_organisms()]
    table = pd.DataFrame(checks, columns=["what", "found", "wanted", "needed", "fine"])
    return Measurement(
        "machine", "what was found beside what is wanted", table, provenance(platform=platform.platform())
    )


def missing(machine: Measurement) -> list[str]:
    """The needed things that the machine lacks."""
    table = machine.table
    return [f"{row.what}: {row.found}, wanted {row.wanted}" for row in table[table.needed & ~table.fine].itertuples()]


def _python() -> Iterator[Check]:
    yield "python", platform.python_version(), ">=3.11", True, sys.version_info >= (3, 11)


def _packages() -> Iterator[Check]:
    for line in importlib.metadata.requires("interp") or []:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            yield requirement.name, "absent", str(requirement.specifier), True, False
        else:
            fine = requirement.specifier.contains(found, prereleases=True)
            yield requirement.name, found, str(requirement.specifier), True, fine


def _machine(folder: Path) -> Iterator[Check]:
    yield "cores", str(os.cpu_count()), "2 for the times the README states", False, (os.cpu_count() or 1) >= 2
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    yield "memory", f"{memory / GIB:.1f} GiB", f"{MEMORY_NEEDED / GIB:.0f} GiB", True, memory >= MEMORY_NEEDED
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    yield "disk for results", f"{free / GIB:.1f} GiB free", f"{DISK_NEEDED / GIB} GiB", True, free >= DISK_NEEDED
    writable = os.access(existing, os.W_OK)
    yield "results folder", "writable" if writable else "not writable", "writable", True, writable


def _accelerator() -> Iterator[Check]:
    import torch

    found = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    if torch.backends.mps.is_available():
        found = "Apple GPU"
    yield "accelerator", found, "a GPU for models beyond about 1B parameters", False, found != "none"


def _browser() -> Iterator[Check]:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    yield (
        "browser",
        Path(found).name if found else "none",
        "Chromium, to save figures as files",
        False,
        found is not None,
    )


def _organisms() -> Iterator[Check]:
    from interp.organisms import shelf

    names = list(shelf.names())
    yield "shipped organisms", ", ".join(names) or "none", "base, rl", True, {"base", "rl"} <= set(names)
