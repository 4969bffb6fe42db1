"""Units come out alike from this process and from a pool, whose workers may be killed."""

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from interp.units.engines import ENGINES, run_units
from interp.units.store import place, read
from interp.units.unit import Unit

SQUARES = [float(x * x) for x in range(8)]


@pytest.mark.parametrize(("engine", "jobs"), [("serial", 1), ("processes", 2)])
def test_results_come_in_the_order_of_the_units_and_each_is_done_once(
    tmp_path: Path, chores: Any, numbers: list[Unit], engine: str, jobs: int
) -> None:
    asked = [*reversed(numbers), numbers[3]]
    assert run_units(asked, chores.square, store=tmp_path, engine=engine, jobs=jobs) == [*reversed(SQUARES), 9.0]
    assert run_units(numbers, chores.fail, store=tmp_path, engine=engine, jobs=jobs) == SQUARES, "all are kept"


def test_a_killed_worker_costs_nothing_but_time(
    tmp_path: Path, chores: Any, numbers: list[Unit], caplog: pytest.LogCaptureFixture
) -> None:
    found = run_units(numbers, chores.killed_once, store=tmp_path, engine="processes", jobs=2)
    assert found == SQUARES
    assert (tmp_path / "killed").exists() and "a worker died; " in caplog.text
    assert all(read(tmp_path, unit) for unit in numbers)


def test_a_worker_that_starts_as_another_dies_is_not_waited_for_for_ever(
    tmp_path: Path, chores: Any, numbers: list[Unit], monkeypatch: pytest.MonkeyPatch
) -> None:
    spawn = ProcessPoolExecutor._spawn_process

    def late(pool: ProcessPoolExecutor) -> None:
        time.sleep(1.0 if pool._processes else 0.0)  # by then the first worker is dead, and known to be
        spawn(pool)

    monkeypatch.setattr(ProcessPoolExecutor, "_spawn_process", late)
    assert run_units(numbers, chores.killed_once, store=tmp_path, engine="processes", jobs=2) == SQUARES


def test_workers_that_keep_dying_are_given_up(tmp_path: Path, chores: Any, numbers: list[Unit]) -> None:
    with pytest.raises(RuntimeError, match="workers keep dying, last at square, number 0; .* use fewer --jobs"):
        run_units(numbers, chores.die, store=tmp_path, engine="processes", jobs=2)


@pytest.mark.parametrize("engine", ["serial", "processes"])
def test_work_that_fails_is_told_once_the_rest_is_kept(
    tmp_path: Path, chores: Any, numbers: list[Unit], engine: str
) -> None:
    with pytest.raises(
        RuntimeError, match="4 of 8 units failed, first square, number 1: ValueError: 1 is odd; the rest is kept"
    ):
        run_units(numbers, chores.fail, store=tmp_path, engine=engine, jobs=2)
    assert [read(tmp_path, unit) is not None for unit in numbers] == [True, False] * 4


def test_a_damaged_entry_alone_is_done_again(tmp_path: Path, chores: Any, numbers: list[Unit]) -> None:
    run_units(numbers, chores.square, store=tmp_path)
    before = {unit.key: place(tmp_path, unit).read_bytes() for unit in numbers}
    path = place(tmp_path, numbers[2])
    path.write_bytes(path.read_bytes().replace(b"4.0", b"5.0"))
    assert run_units(numbers, chores.square, store=tmp_path) == SQUARES
    rest = numbers[:2] + numbers[3:]
    assert [place(tmp_path, unit).read_bytes() for unit in rest] == [before[unit.key] for unit in rest]


def test_what_cannot_be_run_is_refused(tmp_path: Path, chores: Any, numbers: list[Unit]) -> None:
    with pytest.raises(ValueError, match=f"there is no engine 'slurm'; there are {', '.join(ENGINES)}"):
        run_units(numbers, chores.square, store=tmp_path, engine="slurm")
    with pytest.raises(ValueError, match="jobs is 0; at least 1 process has to work"):
        run_units(numbers, chores.square, store=tmp_path, jobs=0)


@pytest.mark.slow
def test_the_same_files_come_from_processes_one_of_them_killed(
    same_with_a_kill: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    same_with_a_kill("processes", ["weights", "activations"])
    assert "a worker died; " in caplog.text


def test_workers_end_with_a_driver_that_is_killed(
    tmp_path: Path, chores: Any, forks: Any, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    driver = forks.Process(
        target=chores.drive, args=([Unit("wait", str(i), {}, {"here": str(here)}) for i in "ab"], tmp_path)
    )
    driver.start()
    wait_until(lambda: len(list(here.iterdir())) == 2)
    driver.kill()
    driver.join()
    wait_until(lambda: not any(Path("/proc", path.name).exists() for path in here.iterdir()))
