"""The same units in this process, in a pool of processes, or on a Ray cluster: the same results to the last bit.

A unit is done and kept by whoever takes it; here only its outcome comes back. So a worker that is killed costs the
units it was at, and a driver that is killed costs nothing that was finished.
"""

import functools
import logging
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from interp.units.store import Work, finished, read
from interp.units.unit import Unit

DEATHS = 3
"""How often in a row a worker may die with nothing finished in between: one death is an accident, three are no room."""

_log = logging.getLogger("interp")
_Outcome = tuple[Unit, str | None]
_Do = functools.partial[str | None]


def run_units(units: Sequence[Unit], work: Work, *, store: Path, engine: str = "serial", jobs: int = 1) -> list[Any]:
    """Every unit's result, in the units' order; those that are in the store are not done again.

    `engine`: "serial" (here), "processes" (a pool of `jobs`) or "ray" (the cluster that `RAY_ADDRESS` names, else a
    local one of `jobs` workers). `work` has to be importable where a unit is done, and `store` a folder that all
    workers share.

    A worker that dies takes no result with it: its units are done again, by another. A unit whose work raises is not
    tried again; the others are finished first, then RuntimeError names the first that failed. RuntimeError too where
    workers keep dying.
    """
    if engine not in ENGINES:
        raise ValueError(f"there is no engine {engine!r}; there are {', '.join(ENGINES)}")
    if jobs < 1:
        raise ValueError(f"jobs is {jobs}; at least 1 process has to work")
    different = {unit.key: unit for unit in units}
    todo = [unit for unit in different.values() if read(store, unit) is None]
    do = functools.partial(_do, store.absolute(), work)
    bar = tqdm(total=len(different), initial=len(different) - len(todo), desc="units", unit="unit", disable=None)
    failed = list[_Outcome]()
    with bar:
        for unit, error in ENGINES[engine](todo, do, jobs) if todo else ():
            bar.update()
            failed += [(unit, error)] if error else []
    if failed:
        unit, error = min(failed, key=lambda one: list(different).index(one[0].key))
        raise RuntimeError(f"{len(failed)} of {len(different)} units failed, first {unit}: {error}; the rest is kept")
    entries = [read(store, unit) for unit in units]
    for unit, entry in zip(units, entries, strict=True):
        if entry is None:
            raise RuntimeError(f"{unit} was done, but is not in {store.name}; all workers have to share that folder")
    return [entry["result"] for entry in entries if entry is not None]


def _do(store: Path, work: Work, unit: Unit) -> str | None:
    """Finish a unit; what went wrong, in words, as not every exception can travel between processes."""
    try:
        finished(store, unit, work)
    except Exception as error:
        _log.debug("%s failed", unit, exc_info=True)
        return f"{type(error).__name__}: {error}"
    return None


def _serial(todo: Sequence[Unit], do: _Do, jobs: int) -> Iterator[_Outcome]:
    return ((unit, do(unit)) for unit in todo)


def _processes(todo: Sequence[Unit], do: _Do, jobs: int) -> Iterator[_Outcome]:
    """A pool is broken by the death of one of its processes; a new one takes what is left."""
    # Workers are forked from a server that has imported the code and done nothing else, so that one which stands in for
    # a dead one starts at once. A child of this process would inherit torch's threads in whatever state they are in.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([do.args[1].__module__])
    waiting, deaths = dict.fromkeys(todo), 0
    while waiting:
        before = len(waiting)
        pool = workers(min(jobs, len(waiting)), context, end_with_driver)
        try:
            futures = {pool.submit(do, unit): unit for unit in waiting}
            for future in as_completed(futures):
                unit = futures[future]
                outcome = unit, future.result()
                del waiting[unit]
                yield outcome
        except BrokenProcessPool:
            deaths = deaths + 1 if len(waiting) == before else 1
            if deaths >= DEATHS:
                raise RuntimeError(_dying(next(iter(waiting)))) from None
            _log.warning("a worker died; %d units are left and go to new ones", len(waiting))
        finally:
            pool.shutdown(cancel_futures=True)


def workers(jobs: int, context: BaseContext, begin: Callable[[], None]) -> ProcessPoolExecutor:
    """A pool whose workers all start with its first task, each by `begin`.

    Otherwise they start one by one as tasks come, and one that starts while another dies is never told to end: the pool
    then waits for it for ever, or raises what it does not document (CPython 3.11, `_ExecutorManagerThread`).
    """
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=begin)
    pool._safe_to_dynamically_spawn_children = False  # type: ignore[attr-defined]
    return pool


def end_with_driver() -> None:
    """Have this worker end when its driver is gone, which a pool's workers by themselves would wait for for ever."""
    driver = multiprocessing.parent_process()
    assert driver is not None, "only a worker follows a driver"

    def follow() -> None:
        multiprocessing.connection.wait([driver.sentinel])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _ray(todo: Sequence[Unit], do: _Do, jobs: int) -> Iterator[_Outcome]:
    """Tasks of one core and the GPUs that models go to; Ray gives them to another worker when theirs dies."""
    try:
        import ray
    except ImportError as error:
        raise RuntimeError("ray is not installed; install the extra: pip install 'interp[cluster]'") from error

    if not ray.is_initialized():  # it stays up for the next wave, and goes when this process ends
        for name, value in {"RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "180"}.items():
            os.environ.setdefault(name, value)  # no reports to Ray's makers; patience on a busy machine
        here = {"num_cpus": jobs, "include_dashboard": False}
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **({} if "RAY_ADDRESS" in os.environ else here))
    remote = ray.remote(num_cpus=1, max_retries=DEATHS)(lambda unit: do(unit))
    waiting = {remote.options(num_gpus=_gpus(unit)).remote(unit): unit for unit in todo}
    while waiting:
        (ready,), _ = ray.wait(list(waiting), num_returns=1)
        unit = waiting.pop(ready)
        try:
            yield unit, ray.get(ready)
        except ray.exceptions.WorkerCrashedError:
            raise RuntimeError(_dying(unit)) from None


def _gpus(unit: Unit) -> int:
    """How many a worker needs for it: one for both models, or one each."""
    return len({place for key in ("device", "tuned_device") if str(place := unit.given.get(key)).startswith("cuda")})


def _dying(unit: Unit) -> str:
    return (
        f"workers keep dying, last at {unit}; most likely there is no memory for so many at once: "
        "use fewer --jobs, or more --shards"
    )


ENGINES: dict[str, Callable[[Sequence[Unit], _Do, int], Iterator[_Outcome]]] = {
    "serial": _serial,
    "processes": _processes,
    "ray": _ray,
}
