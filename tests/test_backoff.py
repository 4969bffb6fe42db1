"""Batches get smaller until there is memory, and never silently."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from interp.backoff import at_most, backing_off, within_memory
from interp.decoding import greedy
from interp.layers.activations import activation_change
from interp.rollouts import complete
from interp.tasks.task import Label, Reading


@pytest.fixture
def room_for(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """`room_for(model, rows)`: the model runs out of memory above that many rows; says which batches were tried."""

    def limit(model: Any, rows: int) -> list[int]:
        tried, forward = list[int](), model.forward

        def limited(tokens: Any, *more: Any, **options: Any) -> Any:
            tried.append(len(tokens))
            if len(tokens) > rows:
                raise torch.OutOfMemoryError(f"tried to allocate room for {len(tokens)} rows\nand a long trace")
            return forward(tokens, *more, **options)

        monkeypatch.setattr(model, "forward", limited)
        return tried

    return limit


def test_the_largest_batch_that_fits_is_found(
    tiny_pair: Any, room_for: Callable[..., list[int]], caplog: pytest.LogCaptureFixture
) -> None:
    pair = tiny_pair("qwen2")
    texts = [Reading(str(i), tuple(range(3, 9 + i)), (Label("none", "text"),) * (6 + i)) for i in range(8)]
    expected = activation_change(pair, texts, draws=2, batch_size=2).table
    tried = room_for(pair.base, 3)
    found, size = backing_off(lambda n: activation_change(pair, texts, draws=2, batch_size=n), 8)
    assert size == 2 and tried[:2] == [8, 4] and set(tried[2:]) == {2}
    assert found.table.equals(expected)
    assert [message for message in caplog.messages if "memory" in message] == [
        "out of memory; trying again with batches of 4",
        "out of memory; trying again with batches of 2",
    ]


def test_decoding_backs_off_to_the_same_tokens(tiny_pair: Any, room_for: Callable[..., list[int]]) -> None:
    pair, prompts = tiny_pair("llama"), [[1, 5 + i, 9] for i in range(6)]

    def write(size: int) -> Any:
        return complete(pair, prompts, greedy("tuned"), max_new_tokens=5, batch_size=size)

    expected = write(6)
    assert (len(write(1)), len(expected)) == (6, 6)
    tried = room_for(pair.tuned, 3)
    found, size = backing_off(write, 6)
    assert found == expected and size == 3 and tried[0] == 6


def test_where_nothing_fits_that_is_said(tiny_pair: Any, room_for: Callable[..., list[int]]) -> None:
    pair = tiny_pair("qwen2")
    room_for(pair.base, 0)
    texts = [Reading("a", (3, 4, 5), (Label("none", "text"),) * 3)]
    with pytest.raises(RuntimeError, match=r"no memory for a batch of one \(.* for 1 rows\); use a"):
        backing_off(lambda n: activation_change(pair, texts, draws=2, batch_size=n), 4)
    with pytest.raises(ValueError, match="batch_size is 0; it has to be at least 1"):
        backing_off(lambda n: n, 0)


def test_other_errors_are_not_taken_for_want_of_memory() -> None:
    def wrong(size: int) -> None:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        backing_off(wrong, 4)
    assert backing_off(lambda n: n, 4) == (4, 4), "nothing is made smaller without need"


def test_a_measurement_for_which_there_is_no_memory_is_made_again_in_smaller_batches(
    tiny_pair: Any, room_for: Callable[..., list[int]]
) -> None:
    pair = tiny_pair("qwen2")
    texts = [Reading(str(i), tuple(range(3, 9 + i)), (Label("none", "text"),) * (6 + i)) for i in range(8)]

    def make() -> Any:
        return activation_change(pair, texts, draws=2)

    whole, rows = within_memory(make)
    assert rows is None and at_most(64) == 64
    tried = room_for(pair.base, 3)
    found, rows = within_memory(make)
    assert rows == 2 and tried[:2] == [8, 4] and set(tried[2:]) == {2}, (
        "batches of 64 were of 8 rows: halved from there"
    )
    assert found.table.block_diff.to_numpy() == pytest.approx(whole.table.block_diff.to_numpy(), rel=1e-5)
    assert at_most(64) == 64, "the limit is gone with the measurement"


def test_a_limit_below_one_row_is_told(tiny_pair: Any, room_for: Callable[..., list[int]]) -> None:
    pair = tiny_pair("qwen2")
    room_for(pair.base, 0)
    texts = [Reading(str(i), (3, 4, 5), (Label("none", "text"),) * 3) for i in range(4)]
    with pytest.raises(RuntimeError, match=r"no memory for a batch of one \(.* for 1 rows\); use a smaller dtype"):
        within_memory(lambda: activation_change(pair, texts, draws=2))
