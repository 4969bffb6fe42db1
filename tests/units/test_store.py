"""What is kept is whole, is what was kept, and was made from the same things; anything else is told and done again."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interp.units.store import finished, place, read
from interp.units.unit import Unit

UNIT = Unit("square", "number 3", {"x": 3, "texts": "a1"}, {"where": "/here"})


def counted(result: Any = 9.0) -> tuple[Callable[[Unit], Any], list[Unit]]:
    done: list[Unit] = []

    def work(unit: Unit) -> Any:
        done.append(unit)
        return result

    return work, done


def test_a_finished_unit_is_not_done_again_wherever_its_things_lie(tmp_path: Path) -> None:
    work, done = counted({"sums": np.float64(0.1), "rate": float("nan"), "n": np.int64(3)})
    moved = Unit(UNIT.instrument, UNIT.part, UNIT.depends_on, {"where": "/there"}, flops=7.0)
    found = [finished(tmp_path, unit, work) for unit in (UNIT, UNIT, moved)]
    assert found == [{"sums": 0.1, "rate": None, "n": 3}] * 3
    assert len(done) == 1


@pytest.mark.parametrize(
    "other",
    [
        Unit("square", "number 4", UNIT.depends_on),
        Unit("square", UNIT.part, {**UNIT.depends_on, "texts": "a2"}),
        Unit("cube", UNIT.part, UNIT.depends_on),
    ],
    ids=["part", "texts", "instrument"],
)
def test_another_unit_has_another_entry(tmp_path: Path, other: Unit) -> None:
    finished(tmp_path, UNIT, counted()[0])
    assert read(tmp_path, other) is None


def test_every_flipped_bit_and_every_cut_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    work, done = counted({"a": 1.5, "b": [None, "x"]})
    finished(tmp_path, UNIT, work)
    path = place(tmp_path, UNIT)
    good = path.read_bytes()
    flipped = [bytes([*good[:i], good[i] ^ 1 << i % 8, *good[i + 1 :]]) for i in range(len(good) - 1)]
    cut = [good[:n] for n in range(0, len(good) - 1, 7)]
    for bad in flipped + cut:
        path.write_bytes(bad)
        kept = read(tmp_path, UNIT)
        # Of 'seconds' and spaces alone nothing hangs, but they are covered as well.
        assert kept is None, bad
    assert (
        caplog.messages[-1]
        == f"{path.name} of square, number 3 is damaged: it is not what was kept there; it is done again"
    )
    finished(tmp_path, UNIT, work)
    assert len(done) == 2 and json.loads(path.read_bytes())["result"] == json.loads(good)["result"]


def test_a_file_of_another_unit_under_this_name_is_not_believed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = Unit("square", "number 4", {"x": 4})
    finished(tmp_path, other, counted(16.0)[0])
    place(tmp_path, other).rename(place(tmp_path, UNIT))
    assert finished(tmp_path, UNIT, counted(9.0)[0]) == 9.0
    assert "of square, number 3 holds another unit; it is done again" in caplog.text


@pytest.mark.parametrize("call", ["fsync", "replace", "write"])
def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    class Full:
        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        write = staticmethod(full)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdopen" if call == "write" else call, (lambda *_: Full()) if call == "write" else full)
        with pytest.raises(OSError, match="No space left"):
            finished(tmp_path, UNIT, counted()[0])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert finished(tmp_path, UNIT, counted()[0]) == 9.0


def test_two_processes_at_one_unit_leave_one_good_entry(tmp_path: Path, chores: Any, forks: Any) -> None:
    unit = Unit("square", "number 5", {"x": 5})
    racers = [forks.Process(target=chores.race, args=(tmp_path, unit, 30)) for _ in range(2)]
    for racer in racers:
        racer.start()
    seen = [entry["result"] for _ in range(200) if (entry := read(tmp_path, unit))]
    for racer in racers:
        racer.join(60)
        assert racer.exitcode == 0
    entry = read(tmp_path, unit)
    assert entry and {*seen, entry["result"]} == {25.0}
    assert list((tmp_path / "square").iterdir()) == [place(tmp_path, unit)]


def test_an_instrument_cannot_name_another_folder() -> None:
    with pytest.raises(ValueError, match=r"cannot be '\.\./up'; use one word"):
        Unit("../up", "all", {})
