from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from interp.checkpoint import open_checkpoint
from interp.layers.ulps import step, ulp_change

Q = "model.layers.2.self_attn.q_proj.weight"
Make = Callable[..., Path]


@pytest.fixture
def counted(tiny_checkpoint: Make, edited: Make) -> Callable[[torch.Tensor, torch.Tensor], pd.DataFrame]:
    """The rows of two matrices that stand in for one tensor of base and of tuned."""

    def count(a: torch.Tensor, b: torch.Tensor) -> pd.DataFrame:
        source = tiny_checkpoint("llama")
        folders = [edited(source, {Q: lambda _, w=w: w}) for w in (a, b)]
        table = ulp_change(*(open_checkpoint(folder) for folder in folders)).table
        others = table[table["tensor"] != Q]
        assert (others[["changed", "dense", "rounding"]] == 0).all(axis=None)
        return table[table["tensor"] == Q].set_index("tolerance")

    return count


def gaussian(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("dtype", "as_numpy"), [(torch.float32, np.float32), (torch.float16, np.float16)])
def test_a_step_is_numpys_spacing(dtype: torch.dtype, as_numpy: type) -> None:
    x = torch.tensor([1.0, 1.5, 2.0, 0.1, 3e4, 6e-5, 1e-6, 0.0]).to(dtype)
    assert step(x, dtype).double().tolist() == np.spacing(x.numpy().astype(as_numpy)).astype(float).tolist()


def test_a_planted_number_of_steps_is_counted(counted: Callable[..., pd.DataFrame]) -> None:
    base = torch.full((32, 32), 1.25, dtype=torch.bfloat16)
    steps = torch.arange(1024).view(32, 32) % 8
    rows = counted(base, (base.float() + steps * 2.0**-7).bfloat16())
    assert rows["changed"].to_dict() == {0: 7 / 8, 1: 6 / 8, 2: 5 / 8, 4: 3 / 8}


def test_an_even_change_below_a_step_looks_sparse_and_is_told(counted: Callable[..., pd.DataFrame]) -> None:
    base = gaussian(0, 300, 200).bfloat16()
    rows = counted(base, (base.float() + 1e-3 * gaussian(1, 300, 200)).bfloat16())
    assert rows["changed"][0] < 0.4  # bf16 hides most of it
    assert rows["dense"].to_numpy() == pytest.approx(rows["changed"].to_numpy(), abs=0.02)
    assert (rows["rounding"] == 0).all()


def test_a_sparse_change_is_far_below_an_even_one(counted: Callable[..., pd.DataFrame]) -> None:
    base = gaussian(0, 300, 200).bfloat16()
    here = gaussian(2, 300, 200) > 1.2816  # one in ten
    rows = counted(base, (base.float() + here * 0.5 * gaussian(1, 300, 200)).bfloat16())
    assert rows["changed"][0] == pytest.approx(0.1, abs=0.01)
    assert rows["dense"][0] > 0.9


def test_in_fp32_an_even_change_is_seen_everywhere(counted: Callable[..., pd.DataFrame]) -> None:
    base = gaussian(0, 100, 100)
    rows = counted(base, base + 1e-3 * gaussian(1, 100, 100))
    assert (rows[["changed", "dense"]] > 0.99).all(axis=None)


def test_storing_in_bf16_alone_changes_no_number_by_a_step(counted: Callable[..., pd.DataFrame]) -> None:
    base = gaussian(0, 100, 100)
    rows = counted(base, base.bfloat16())
    assert (rows[["changed", "dense"]] == 0).all(axis=None)
    assert (rows["rounding"] > 0.99).all()
    assert set(rows["dtype"]) == {"bfloat16"}


def test_a_bf16_zero_that_moved_has_changed(counted: Callable[..., pd.DataFrame]) -> None:
    base = torch.zeros(32, 32, dtype=torch.bfloat16)
    rows = counted(base, base.index_fill(0, torch.tensor([3]), 1e-3))
    assert (rows["changed"] == 1 / 32).all()
