import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from interp.behaviour.core_overlap import core_overlap
from interp.checkpoint import open_checkpoint
from interp.claims.cores_overlap import cores_overlap


@pytest.fixture(scope="module")
def moved(tmp_path_factory, tiny_checkpoint):
    """`moved(name, seed)`: the checkpoint with 2% of the entries of every tensor moved, at places of that seed."""
    folder = tiny_checkpoint("llama", 0)

    def make(name, seed):
        target = tmp_path_factory.mktemp("tuned") / name
        shutil.copytree(folder, target)
        generator = torch.Generator().manual_seed(seed)
        tensors = load_file(folder / "model.safetensors")
        for tensor in tensors.values():
            at = torch.rand(tensor.shape, generator=generator) < 0.02
            tensor += at * (1 + torch.rand(tensor.shape, generator=torch.Generator().manual_seed(7)))
        save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
        return open_checkpoint(target)

    return make


@pytest.fixture(scope="module")
def base(tiny_checkpoint):
    return open_checkpoint(tiny_checkpoint("llama", 0))


def test_cores_at_the_same_places_are_one_and_others_chance(moved, base):
    made = core_overlap(base, {"one": moved("a", 1), "same": moved("b", 1), "other": moved("c", 2)}, shares=(0.01,))
    whole = made.table[made.table.tensor == "all"].set_index(["one", "other"])
    assert whole.jaccard["one", "same"] == 1
    assert whole.jaccard["one", "other"] == pytest.approx(0.01 / 1.99, abs=0.01)
    assert whole.expected.eq(0.01 / 1.99).all()
    assert whole.shuffled.lt(0.03).all()
    assert (whole.core / whole.n).to_numpy() == pytest.approx(0.01, abs=1e-4)


@pytest.mark.parametrize(("seeds", "says"), [((1, 1), "contradicted"), ((1, 2), "supported")])
def test_the_verdict(moved, base, seeds, says):
    tunings = {f"t{i}": moved(f"v{i}{says}", seed) for i, seed in enumerate(seeds)}
    verdict = cores_overlap(core_overlap(base, tunings))
    assert verdict.says == says
    assert verdict.low == verdict.estimate == verdict.high
    assert "random masks 0.005" in verdict.because


def test_pairs_that_differ_decide_nothing(moved, base):
    made = core_overlap(base, {"one": moved("x", 1), "same": moved("y", 1), "other": moved("z", 2)})
    assert cores_overlap(made).says == "undecided"
    with pytest.raises(ValueError, match="has no overlap of whole models at a share of 0.2"):
        cores_overlap(made, share=0.2)


def test_bad_input(moved, base, tiny_checkpoint):
    with pytest.raises(ValueError, match="needs at least two tunings of one base, got 1"):
        core_overlap(base, {"one": base})
    with pytest.raises(ValueError, match="tuning 'gpt' does not have base's tensors"):
        core_overlap(base, {"one": base, "gpt": open_checkpoint(tiny_checkpoint("gpt2", 0))})
    with pytest.raises(ValueError, match="a share of the parameters between 0 and 1, got 2"):
        core_overlap(base, {"one": base, "two": base}, shares=(2.0,))
    nothing = core_overlap(base, {"one": base, "two": base})
    assert nothing.table.core.eq(0).all() and nothing.table.jaccard.isna().all()
