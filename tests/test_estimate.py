"""What a report tells of its length before it starts."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from interp.estimate import core_speed, estimate, spectrum_flops
from interp.pair import Pair
from interp.tasks.organism import organism_task


def test_one_line_names_every_room_and_grows_with_the_task(
    tiny_pair: Callable[[str], Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interp.estimate.core_speed", lambda: 1e6)
    task = organism_task("rl", n=6, practice=6)
    quick = estimate(tiny_pair("llama"), task, quick=True)
    assert "\n" not in quick
    assert quick.startswith("at most about ") and "GFLOP/s a core" in quick and "on top" in quick
    assert all(room in quick for room in ("layers", "features", "routing"))
    assert minutes(quick) < minutes(estimate(tiny_pair("llama"), task))
    longer = replace(task, max_new_tokens=4 * task.max_new_tokens)
    assert minutes(quick) < minutes(estimate(tiny_pair("llama"), longer, quick=True))


def minutes(line: str) -> float:
    """The whole, whatever it is given in."""
    number, unit = line.split()[3:5]
    return float(number) * {"s": 1 / 60, "min": 1.0, "h": 60.0}[unit]


def test_a_spectrum_hangs_on_its_shorter_side_most_and_a_vector_has_none() -> None:
    assert spectrum_flops((10, 40), 3) == spectrum_flops((40, 10), 3) == (4 * 40 * 10**2 + 32 * 10**3) * 6
    assert spectrum_flops((20, 40), 3) > 4 * spectrum_flops((10, 40), 3)
    assert spectrum_flops((40,), 3) == 0


def test_speed_is_a_number_of_this_machine() -> None:
    assert 1e7 < core_speed() < 1e13
