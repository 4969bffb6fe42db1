"""What is killed at any moment goes on where it was, to the same files."""

import random
import time
from pathlib import Path
from typing import Any

import pytest

KILLS = 5


def kept(folder: Path) -> dict[str, bytes]:
    """All finished files, less how long each unit took."""
    files = {path for path in folder.rglob("*.json") if path.is_file() and "units" not in path.parts}
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.slow
def test_a_chain_of_measurements_killed_again_and_again_ends_in_the_same_files(
    chores: Any, forks: Any, tmp_path: Path
) -> None:
    started = time.monotonic()
    whole = forks.Process(target=chores.layers_of_weights, args=(tmp_path / "whole",))
    whole.start()
    whole.join(300)
    assert whole.exitcode == 0
    longest, rng, killed = time.monotonic() - started, random.Random(3), 0
    while True:
        process = forks.Process(target=chores.layers_of_weights, args=(tmp_path / "killed",))
        process.start()
        process.join(rng.uniform(0, longest / 2) if killed < KILLS else 300)
        if not process.is_alive():
            break
        process.kill()
        process.join()
        killed += 1
    assert killed and process.exitcode == 0
    assert kept(tmp_path / "killed") == kept(tmp_path / "whole")
    assert {path.split("/")[0] for path in kept(tmp_path / "whole")} == {"organism-rl", "room"}
