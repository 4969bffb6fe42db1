"""Small units and small jobs, and the server that worker processes are forked from."""

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from interp.commands.sweep import SWEPT
from interp.measurement import Measurement
from interp.units.job import Job
from interp.units.unit import Unit


@pytest.fixture(scope="session")
def forks() -> Any:
    """A context whose processes start with everything imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["interp.units.sweep", "interp.workbench"])
    return context


@pytest.fixture
def chores(forks: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of work that workers can import too."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    import chores

    return chores


@pytest.fixture(scope="session")
def small_jobs() -> Callable[..., list[Job]]:
    """Two organisms, four problems and four practice problems."""
    from interp.units.jobs import jobs_of

    def jobs(tuned: str = "organism:rl", **options: Any) -> list[Job]:
        return jobs_of("organism:base", [tuned], n=4, practice=4, quick=True, **{"shards": 2, **options})

    return jobs


@pytest.fixture
def numbers(tmp_path: Path) -> list[Unit]:
    """Eight units of trivial work."""
    given = {"marker": str(tmp_path / "killed")}
    return [Unit("square", f"number {x}", {"x": x}, given) for x in range(8)]


@pytest.fixture(scope="session")
def sweep_of() -> Callable[..., dict[str, Measurement]]:
    """A sweep's measurements by name, kept and saved in a folder."""
    from interp.units.sweep import sweep

    def swept(jobs: list[Job], folder: Path, instruments: Sequence[str], **how: Any) -> dict[str, Measurement]:
        found = {measured.name: measured for _, measured in sweep(jobs, instruments, store=folder / "units", **how)}
        for measured in found.values():
            measured.save(folder)
        return found

    return swept


@pytest.fixture(scope="session")
def serial(
    small_jobs: Callable[..., list[Job]],
    sweep_of: Callable[..., dict[str, Measurement]],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Measurement]:
    """Every instrument, in one process."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("interp.measurement._commit", dict)  # somebody may commit while the tests run
        return sweep_of(small_jobs(), tmp_path_factory.mktemp("serial"), SWEPT)


@pytest.fixture
def same_with_a_kill(
    small_jobs: Callable[..., list[Job]],
    sweep_of: Callable[..., dict[str, Measurement]],
    serial: dict[str, Measurement],
    chores: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., None]:
    """Checks that an engine, one of whose workers dies in its first unit, leaves the files of a serial run."""

    def check(engine: str, instruments: Sequence[str]) -> None:
        monkeypatch.setattr("interp.measurement._commit", dict)
        monkeypatch.setattr("interp.units.sweep.work", chores.sweep_killed_once)
        marked = [replace(job, places={**job.places, "marker": str(tmp_path / "killed")}) for job in small_jobs()]
        found = sweep_of(marked, tmp_path, instruments, engine=engine, processes=2)
        assert (tmp_path / "killed").exists() and set(found) == set(instruments)
        for name in instruments:
            assert (tmp_path / f"{name}.json").read_text() == serial[name].text()

    return check
