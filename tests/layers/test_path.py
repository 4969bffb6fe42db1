from collections.abc import Callable

import numpy as np
import pytest
import torch

from interp.layers.divergence import first_divergence
from interp.layers.path import along, change_path
from interp.pair import Pair
from interp.tasks.organism import organism_task

TOKENS = torch.arange(1, 22).reshape(3, 7)


@torch.no_grad()
def test_the_whole_way_is_tuned_and_afterwards_base_is_base(
    architecture: str, tiny_pair: Callable[[str], Pair]
) -> None:
    pair = tiny_pair(architecture)
    base, tuned = pair.base(TOKENS), pair.tuned(TOKENS)
    with along(pair, 1.0, range(4), embedding=True, head=True):
        assert torch.equal(pair.base(TOKENS), tuned)
    with along(pair, 0.5, range(4)):
        assert not torch.equal(pair.base(TOKENS), base)
    with along(pair, 0.0, range(4), embedding=True, head=True):
        assert torch.equal(pair.base(TOKENS), base)
    with pytest.raises(KeyError), along(pair, 0.5, [0, 1], embedding=True):
        raise KeyError
    assert torch.equal(pair.base(TOKENS), base)


def test_ends_are_the_models_and_only_the_group_that_changed_moves(organism_pair: Callable[..., Pair]) -> None:
    pair, task = organism_pair("upper"), organism_task("upper", n=12, practice=1)
    path = (
        change_path(pair, task, lambdas=(0.0, 0.5, 1.0))
        .table.set_index(["group", "share", "problem"])
        .sort_index()
        .contrast
    )
    ends = first_divergence(pair, task).table.query("boundary == 0").set_index("problem")
    for group, moves in (("everything", True), ("upper third", True), ("lower third", False)):
        assert np.allclose(path[group, 0], ends.base_base[path[group, 0].index], atol=1e-4)
        end = ends.tuned_tuned if moves else ends.base_base
        assert np.allclose(path[group, 1], end[path[group, 1].index], atol=1e-4)
    assert np.array_equal(path["outside the blocks", 0.5], path["outside the blocks", 0])
