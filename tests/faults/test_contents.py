"""What the files hold: tensors of odd kinds, names from a wrapper, and two checkpoints that are one."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from interp.checkpoint import CheckpointError, open_checkpoint
from interp.layers.weights import weight_change
from interp.loading import plain_model
from interp.pair import Pair, load_pair

ChangeTensors = Callable[[Path, Callable[[dict[str, Tensor]], dict[str, Tensor]]], None]
CPU = torch.device("cpu")


def test_a_number_an_empty_tensor_and_what_is_no_real_number(
    spoilt: Path, tmp_path: Path, change_tensors: ChangeTensors
) -> None:
    odd = {
        "of.empty": torch.zeros(0, 4),
        "of.scalar": torch.tensor(2.0),
        "of.bool": torch.ones(3, dtype=torch.bool),
        "of.complex": torch.ones(3, dtype=torch.complex64),
        "of.int": torch.tensor(3),
    }
    change_tensors(spoilt, lambda tensors: tensors | odd)
    other = Path(shutil.copytree(spoilt, tmp_path / "other"))
    change_tensors(other, lambda tensors: tensors | {"of.scalar": torch.tensor(3.0)})
    found = weight_change(open_checkpoint(spoilt), open_checkpoint(other))
    relative = found.table.set_index("tensor").relative
    assert relative["of.scalar"] == 0.5
    assert (relative.drop("of.scalar") == 0).all() and "of.empty" in relative
    assert sorted(found.made_with["not_numbers"]) == ["of.bool", "of.complex", "of.int"]


@pytest.mark.parametrize("wrapper", ["_orig_mod.", "module."])
def test_a_model_saved_inside_its_wrapper_is_refused(
    spoilt: Path, base: Path, change_tensors: ChangeTensors, wrapper: str
) -> None:
    change_tensors(spoilt, lambda tensors: {wrapper + name: tensor for name, tensor in tensors.items()})
    with pytest.raises(CheckpointError, match=rf"was saved from inside a wrapper: its tensors are called {wrapper}"):
        plain_model(open_checkpoint(spoilt), torch.float32, CPU)
    with pytest.raises(
        ValueError, match=rf"share no tensor: only base has lm_head.weight, .* only tuned has {wrapper}"
    ):
        weight_change(open_checkpoint(base), open_checkpoint(spoilt))


def test_a_tied_head_that_is_stored_too_is_no_difference(
    tiny_checkpoint: Callable[..., Path], tmp_path: Path, change_tensors: ChangeTensors
) -> None:
    base = tiny_checkpoint("qwen2")
    twice = Path(shutil.copytree(base, tmp_path / "twice"))
    change_tensors(twice, lambda t: t | {"lm_head.weight": t["model.embed_tokens.weight"].clone()})
    assert load_pair(base, twice).differences == ()


def test_one_checkpoint_as_base_and_tuned_is_allowed_and_told(
    pair_of_same: Callable[[str], Pair], tiny_pair: Callable[[str], Pair]
) -> None:
    pair = pair_of_same("llama")
    assert pair.differences == ("base and tuned are the same checkpoint, so that whatever is measured differs by 0",)
    assert "Base and tuned are the same checkpoint" in repr(pair)
    assert tiny_pair("llama").differences == ()


def test_every_result_says_which_checkpoint_was_base(tiny_checkpoint: Callable[..., Path]) -> None:
    one, other = (open_checkpoint(tiny_checkpoint("llama", seed)) for seed in (0, 1))
    there, back = (weight_change(*order).made_with for order in ((one, other), (other, one)))
    assert (there["base"], there["tuned"]) == (back["tuned"], back["base"])
    assert there["base"]["digest"] == one.digest != other.digest == there["tuned"]["digest"]
