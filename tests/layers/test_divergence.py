from collections.abc import Callable

import numpy as np
import pytest
import torch

from interp.layers.divergence import first_divergence, forks
from interp.layers.hooks import hooked
from interp.pair import Pair
from interp.tasks.organism import organism_task


def task(name: str):  # type: ignore[no-untyped-def]
    return organism_task(name, n=12, practice=1)


@torch.no_grad()
def test_cells_are_streams_patched_by_hooks(organism_pair: Callable[..., Pair]) -> None:
    pair = organism_pair("rl")
    table = first_divergence(pair, task("rl")).table.set_index(["problem", "boundary"])
    for fork in forks(pair, task("rl"))[:3]:
        tokens = torch.tensor([fork.tokens])
        for boundary in (1, 4):
            seen: list[torch.Tensor] = []
            with hooked(pair.base, {f"blocks.{boundary}.hook_in": seen.append}):
                pair.base(tokens)
            with hooked(pair.tuned, {f"blocks.{boundary}.hook_in": lambda _, seen=seen: seen[0]}):
                logits = pair.tuned(tokens)[0, -1]
            row = table.loc[fork.problem.id, boundary]
            expected = float(logits[fork.tuned_token] - logits[fork.base_token])
            assert row.base_tuned == pytest.approx(expected, abs=1e-4)
            assert row.total == pytest.approx(row.late_base + row.tuned_tuned - row.base_tuned)


def test_both_models_prefer_their_own_token(organism_pair: Callable[..., Pair]) -> None:
    table = first_divergence(organism_pair("rl"), task("rl")).table
    assert (table.base_base < 0).all() and (table.tuned_tuned > 0).all()
    assert table.groupby("problem").base_base.agg(np.ptp).max() < 1e-4


def test_a_change_above_a_boundary_is_all_direct_and_interacts_with_nothing_below(
    organism_pair: Callable[..., Pair],
) -> None:
    table = first_divergence(organism_pair("upper"), task("upper")).table
    below = table[table.boundary <= 4]
    assert (below.interaction == 0).all()
    assert np.allclose(below.late_base, below.total)
    above = table[table.boundary == 6]
    assert (above.late_base == 0).all() and (above.late_tuned == 0).all()
    assert (table[table.boundary == 5].late_base.abs() > 0).any()


def test_models_that_write_alike_part_nowhere(organism_pair: Callable[..., Pair]) -> None:
    with pytest.raises(ValueError, match="write the same to all 12 problems"):
        first_divergence(organism_pair("base"), task("rl"))
