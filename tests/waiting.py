"""For tests of what other processes do."""

import time
from collections.abc import Callable


def wait_until(happened: Callable[[], bool]) -> None:
    """Returns when it has happened; fails after two minutes."""
    end = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
