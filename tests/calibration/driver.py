"""A calibration run whose workers say where they are and wait; for a test that kills it."""

import os
import sys
import time
from pathlib import Path
from typing import Any

from interp.calibration.matrix import _each


def wait(here: Path) -> list[dict[str, object]]:
    (here / str(os.getpid())).touch()
    time.sleep(600)
    return []


if __name__ == "__main__":
    units: list[Any] = [Path(sys.argv[1])] * 2
    list(_each(wait, units, jobs=2))
