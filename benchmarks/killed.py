"""Does a report that is killed again and again end with the numbers of one that was left alone?

    python benchmarks/killed.py [KILLS] [RUNS]

Each run is `interp report --quick` on the shipped pair, killed (SIGKILL) after a random stretch of its own processor
time, started again on the same folder, and so on, `KILLS` times over all runs; then it is left to finish. Every file
that it leaves is compared with that of the report that was never killed. Processes are forked from one that has
imported everything, so that kills meet work and not imports. Linux only: processor time is read from /proc.
"""

import multiprocessing
import os
import random
import sys
import tempfile
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

from page import write_block

N = 4
"""Problems to judge by: enough for every measurement, few enough for fifty kills in a quarter of an hour."""
LONGEST = 8.0
"""Seconds of processor time that a run is given at most before it is killed; some measurement ends within them."""
POLL = 0.03
TICKS = os.sysconf("SC_CLK_TCK")


def report(folder: Path) -> None:
    """The command, quietly."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    from interp.cli import main

    sys.exit(main(["report", "--quick", "--n", str(N), "--out", str(folder)]))


def seconds(process: BaseProcess) -> float:
    """Processor time that a process has had."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def killed(process: BaseProcess, after: float) -> bool:
    """Whether the process was still at work after that much processor time, and was killed."""
    while process.is_alive():
        if seconds(process) >= after:
            process.kill()
            process.join()
            return True
        time.sleep(POLL)
    return False


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a report by name; the page names the folder nowhere."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def main(kills: int = 50, runs: int = 5) -> None:
    """Kill, go on, compare, write the block."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["interp.workbench", "interp.layers.room", "interp.routing.room", "interp.sae.room"])
    rng, done, spent, identical, left, tried = random.Random(0), 0, 0.0, 0, 0, 0

    def start(folder: Path) -> BaseProcess:
        process = context.Process(target=report, args=(folder,))
        process.start()
        return process

    with tempfile.TemporaryDirectory() as made:
        whole = Path(made) / "whole"
        process, used = start(whole), 0.0
        while process.is_alive():
            used, _ = seconds(process), time.sleep(POLL)
        assert process.exitcode == 0, f"the report ended with {process.exitcode}"
        expected = content(whole)
        print(f"a report of {len(expected)} files takes {used:.0f} s of one core", flush=True)
        for run in range(runs):
            folder, mine = Path(made) / f"run{run}", 0
            while mine < kills // runs + (run < kills % runs):
                process = start(folder)
                after = rng.uniform(0, LONGEST)
                if not killed(process, after):
                    break
                mine, spent = mine + 1, spent + after
            process = start(folder)
            process.join()
            found = content(folder)
            same = found == expected
            done, identical, tried = done + mine, identical + same, tried + 1
            left += sum(path.name.startswith(".") for path in folder.rglob("*"))
            differ = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
            print(f"run {run}: killed {mine} times, {'identical' if same else f'differs in {differ}'}", flush=True)
    write_block(
        "killed",
        "killed.py",
        f"""## Killed and started again (`python benchmarks/killed.py`)

`interp report --quick --n {N}` on the shipped pair takes {used:.0f} s of one core and leaves {len(expected)} files
(measurements, their stamps, the page). {tried} such runs were killed with SIGKILL {done} times in all, each time after
0 to {LONGEST:.0f} s of processor time, drawn at random, and started again on the same folder. {identical} of {tried}
ended with every file identical, byte for byte, to that of a run that was never killed. {left} unfinished temporary
files were left beside them, which nothing reads.""",
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
