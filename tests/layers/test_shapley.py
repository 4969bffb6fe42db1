from collections.abc import Callable

import numpy as np

from interp.layers.axes import AXES
from interp.layers.shapley import shapley
from interp.layers.swaps import block_swaps, depth_sweep
from interp.layers.written import Store
from interp.pair import Pair
from interp.tasks.organism import organism_task


def test_values_add_up_and_a_group_that_does_nothing_gets_nothing(organism_pair: Callable[..., Pair]) -> None:
    task, store = organism_task("upper", n=6, practice=1), Store()
    pair = organism_pair("upper")
    table = shapley(pair, task, store=store).table
    swaps = block_swaps(pair, task, store=store).table
    ends = swaps[swaps.swapped == "nothing"].set_index(["direction", "axis", "problem"]).correct.astype(float)
    change = ends["base into tuned"] - ends["tuned into base"]
    total = table.groupby(["axis", "problem"]).value.sum()
    assert np.allclose(total, change[total.index])
    assert change["answers"].mean() > 0.5
    assert (table[table.group != "upper third"].value.abs() < 1e-12).all()
    assert set(table["axis"]) == set(AXES)


def test_what_acts_together_is_shared(organism_pair: Callable[..., Pair]) -> None:
    table = shapley(organism_pair("newskill"), organism_task("newskill", n=6, practice=1)).table
    means = table[table["axis"] == "answers"].groupby("group")[["value", "alone"]].mean()
    assert (means.alone[["lower third", "middle third", "upper third"]] < 0.1).all()
    assert (means.value[["lower third", "middle third", "upper third"]] > 0.03).all()


def test_switching_below_the_change_is_tuned_and_above_it_base(organism_pair: Callable[..., Pair]) -> None:
    table = depth_sweep(organism_pair("upper"), organism_task("upper", n=6, practice=1)).table
    share = table.groupby(["axis", "direction", "sweep", "layer"]).correct.mean()
    for axis in ("answers", "strategy onset"):
        base, tuned = share[axis, "tuned into base", "nothing", -1], share[axis, "base into tuned", "nothing", -1]
        assert tuned > base + 0.5
        for layer in range(5):
            assert share[axis, "tuned into base", "from here up", layer] == tuned
            assert share[axis, "base into tuned", "from here up", layer] == base
        assert share[axis, "tuned into base", "from here up", 6] == base
        assert all(share[axis, "tuned into base", "this block", layer] == base for layer in range(4))
    assert share["facts"].min() == share["facts"].max()
