"""One model at a time gives what both at once give, and really holds only one."""

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interp.layers import apart
from interp.layers.activations import activation_change
from interp.layers.apart import activation_change_apart
from interp.tasks.task import Label, Reading

LENGTHS = (5, 9, 14, 7, 11)


def readings() -> list[Reading]:
    return [Reading(str(n), tuple(range(3, 3 + n)), (Label("none", "text"),) * n) for n in LENGTHS]


@pytest.mark.parametrize(
    "architecture", ["qwen2", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gpt2", "neox"))]
)
def test_the_table_is_that_of_both_at_once(
    architecture: str, tiny_checkpoint: Callable[..., Path], tiny_pair: Any, tmp_path: Path
) -> None:
    files = [tiny_checkpoint(architecture, seed) for seed in (0, 1)]
    found = activation_change_apart(*files, readings(), folder=tmp_path, draws=2, seed=4, batch_size=2)
    whole = activation_change(tiny_pair(architecture), readings(), draws=2, seed=4, batch_size=2)
    assert found.table.equals(whole.table) and found.unit == whole.unit
    same = ("base", "tuned", "readings", "draws", "seed", "dtype", "differences", "fidelity")
    assert {name: found.made_with[name] for name in same} == {name: whole.made_with[name] for name in same}
    assert list(tmp_path.iterdir()) == [], "what was laid down is gone"


def test_no_model_is_loaded_while_another_is_there(
    tiny_checkpoint: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[weakref.ref[Any]] = []
    load = apart.bridged

    def watched(*given: Any) -> Any:
        assert [model for model in loaded if model() is not None] == []
        bridge, fidelity = load(*given)
        loaded.extend([weakref.ref(bridge), weakref.ref(bridge.original_model)])
        return bridge, fidelity

    monkeypatch.setattr(apart, "bridged", watched)
    same = tiny_checkpoint("qwen2")
    table = activation_change_apart(same, same, readings(), folder=tmp_path, draws=2).table
    assert len(loaded) == 6
    assert (table[["block_diff", "cumulative_diff"]] == 0).all(axis=None), "a checkpoint beside itself"


def test_what_is_no_pair_is_refused_and_nothing_is_left(tiny_checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the architecture is qwen2 in base and llama in tuned"):
        activation_change_apart(tiny_checkpoint("qwen2"), tiny_checkpoint("llama"), readings(), folder=tmp_path)
    long = [Reading("long", (3,) * 300, (Label("none", "text"),) * 300)]
    same = tiny_checkpoint("qwen2")
    with pytest.raises(ValueError, match="a reading has 300 tokens, the models' context is 256"):
        activation_change_apart(same, same, long, folder=tmp_path)
    with pytest.raises(ValueError, match="draws is 1, a null band needs at least 2"):
        activation_change_apart(same, same, readings(), folder=tmp_path, draws=1)
    assert list(tmp_path.iterdir()) == []
