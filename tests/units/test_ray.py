"""A local Ray does what this process does, also when one of its workers is killed."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from interp.units.engines import run_units
from interp.units.unit import Unit

ray = pytest.importorskip("ray", reason="ray is not installed (the extra `cluster`)")


@pytest.fixture(scope="module", autouse=True)
def no_cluster() -> Iterator[None]:
    """Whatever was started here ends here; workers import what lies beside this file."""
    with pytest.MonkeyPatch.context() as patched:
        paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        patched.setenv("PYTHONPATH", os.pathsep.join(paths))
        patched.setenv("RAY_worker_niceness", "0")  # beside other tests a worker would wait its turn for minutes
        patched.delenv("RAY_ADDRESS", raising=False)
        yield
        ray.shutdown()


@pytest.mark.slow
def test_the_same_files_come_from_ray_one_of_its_workers_killed(same_with_a_kill: Callable[..., None]) -> None:
    same_with_a_kill("ray", ["weights", "activations", "answers"])


@pytest.mark.slow
def test_ray_tells_what_failed_and_gives_up_on_units_that_kill(
    tmp_path: Path, chores: Any, numbers: list[Unit]
) -> None:
    with pytest.raises(RuntimeError, match="4 of 8 units failed, first square, number 1: ValueError: 1 is odd"):
        run_units(numbers, chores.fail, store=tmp_path, engine="ray", jobs=2)
    with pytest.raises(RuntimeError, match="workers keep dying, last at square, number 1; "):
        run_units(numbers[:2], chores.die, store=tmp_path, engine="ray", jobs=2)
