"""Fifty processes that measure and are killed at any moment, then one that goes on; no torch. Prints what it saw.

Run as `python killed.py FOLDER SEED`: the last line is JSON.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import pandas as pd

from interp.measurement import Measurement, digest, remembered

NAMES = [f"part{i}" for i in range(6)]
MADE_FROM = {"base": "1f0c", "tuned": "9753"}


def make(name: str) -> Measurement:
    time.sleep(0.005)
    rows = [{"name": name, "n": n, "value": n / 7 if n % 5 else float("nan")} for n in range(200)]
    return Measurement(name, "parts", pd.DataFrame(rows), {"base": {"name": "a", "digest": "1f0c"}})


def run(folder: Path) -> None:
    for name in NAMES:
        remembered(folder, name, MADE_FROM, lambda name=name: make(name))


def started(folder: Path) -> int:
    child = os.fork()
    if not child:
        run(folder)
        os._exit(0)
    return child


def main(folder: Path, seed: int) -> None:
    draw, torn, killed = random.Random(seed), [], 0
    os.fsync = lambda _: None  # a killed process loses nothing that it has handed to the system: only time is saved
    before = time.monotonic()
    run(folder / "whole")
    took = time.monotonic() - before
    runs = [folder / f"run{n}" for n in range(25)]
    for here in runs * 2:  # two processes in turn go on with one folder
        child = started(here)
        time.sleep(draw.uniform(0, 0.7 * took))
        os.kill(child, signal.SIGKILL)
        killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
        for path in here.glob("*.json"):
            try:
                Measurement.load(path)
            except ValueError:
                torn.append(path.name)
    together = folder / "together"
    for child in [started(together) for _ in range(4)]:
        os.waitpid(child, 0)
    found = {}
    for here in (folder / "whole", together, *runs):
        run(here)
        found[here.name] = {p.name: digest(p.read_text()) for p in sorted(here.iterdir()) if p.name[0] != "."}
    print(json.dumps({"killed": killed, "torn": torn, "found": found}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
