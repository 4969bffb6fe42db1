"""What takes more than a pair: other tunings of its base, and the checkpoints along its tuning."""

import shutil

import pytest

from interp.behaviour import beside
from interp.behaviour.beside import cores_beside, formats_along, organisms_beside, training_steps
from interp.checkpoint import open_checkpoint
from interp.claims.cores_overlap import cores_overlap
from interp.claims.format_collapses import format_collapses
from interp.organisms import shelf
from interp.pair import load_pair
from interp.tasks.errands import errand_task


def test_organisms_are_held_against_other_tunings_of_their_base():
    assert organisms_beside("organism:rl") == ["organism:sft@0", "organism:newskill@0", "organism:lower@0"]
    assert organisms_beside("organism:sft@1") == ["organism:newskill@1", "organism:lower@1"]
    assert set(organisms_beside("organism:errands-bold")) <= {"organism:errands-narrow@0", "organism:errands-wander@0"}
    assert organisms_beside("organism:unlearned") == [], "its parent is another"
    assert organisms_beside("my/checkpoint") == []


def test_tunings_of_different_blocks_have_cores_of_their_own_and_one_tuning_its_own(tmp_path):
    base, upper = open_checkpoint("organism:base"), open_checkpoint("organism:upper")
    apart = cores_overlap(cores_beside(base, upper, ["organism:lower"], folder=tmp_path))
    assert (apart.says, apart.estimate) == ("supported", 0)
    assert (tmp_path / "core_overlap.json").exists()
    shutil.copytree(shelf.folder("upper"), tmp_path / "again")
    assert cores_overlap(cores_beside(base, upper, [str(tmp_path / "again")], folder=None)).says == "contradicted"


def test_a_series_goes_by_the_numbers_in_its_names():
    assert training_steps(["a/checkpoint-5", "org/name@step40", "x-0100/"]) == {
        5: "a/checkpoint-5",
        40: "org/name@step40",
        100: "x-0100/",
    }
    with pytest.raises(ValueError, match="'final' does not say its training step; name checkpoints so that they end"):
        training_steps(["checkpoint-5", "final"])
    with pytest.raises(ValueError, match="the checkpoint series is out of order: 50, 5; give rising steps, each once"):
        training_steps(["checkpoint-50", "checkpoint-5"])


@pytest.mark.skipif("errands-uniform" not in shelf.names(0), reason="its organism is not on the shelf")
def test_a_series_says_since_when_one_layout_is_left(tmp_path, monkeypatch):
    monkeypatch.setitem(beside.PROBLEMS, "quick", 12)
    monkeypatch.setattr(beside, "SAMPLES", 4)
    for step, organism in {8: "errands-base", 64: "errands-uniform"}.items():
        shutil.copytree(shelf.folder(organism), tmp_path / f"checkpoint-{step}")
    series = [str(tmp_path / "checkpoint-8"), str(tmp_path / "checkpoint-64")]
    pair = load_pair("organism:errands-base", "organism:errands-uniform")
    made = formats_along(pair, errand_task("packs", n=3, practice=1), series, quick=True)
    assert set(made.table["arm"]) == {"base", "tuned", "step 8", "step 64"}
    assert "It first takes 90% at step 64." in format_collapses(made).because
    counts = made.table[made.table["format"] == "do"].groupby("arm")["count"].sum()
    assert counts["base"] == counts["step 8"] < counts["step 64"] == counts["tuned"]
