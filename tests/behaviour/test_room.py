"""The room on organisms, and the command that prints its ledger."""

import json
from types import SimpleNamespace

import pytest

from interp.behaviour import errands_room
from interp.behaviour.room import Sizes, measure_behaviour, measure_texts
from interp.behaviour.temperature import entropies, nearest
from interp.claims.ledger import ledger, ledger_table
from interp.claims.register import REGISTER
from interp.cli import main
from interp.measurement import Measurement
from interp.pair import load_pair
from interp.tasks.organism import organism_task

SMALL = Sizes(problems=6, samples=8, chains=4)


@pytest.fixture(scope="module")
def task():
    return organism_task("rl", n=6, practice=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def measured(organism_pair, task, folder):
    return measure_texts(organism_pair("rl"), task, folder=folder, sizes=SMALL)


def decided(measured):
    return ledger_table(ledger(measured)).set_index("key")


def test_base_as_its_own_tuned_changes_nothing(task):
    copy = load_pair("organism:base", "organism:base")
    table = decided(measure_texts(copy, task, sizes=SMALL, only=("pass_counts", "formats")))
    found = table[table["estimate"].notna()]
    assert set(found.index) == {"C6", "C17"}
    assert found["estimate"].eq(0).all() and not found["says"].eq("supported").any()
    assert "nothing to catch up with" in table.loc["C17", "because"]


def test_a_skill_that_base_lacks_is_not_caught_up_with_and_one_it_has_nearly_is(organism_pair, measured):
    few = organism_task("newskill", n=6, practice=3)
    new = decided(measure_texts(organism_pair("newskill"), few, sizes=SMALL, only=("pass_counts",)))
    old = decided(measured)
    assert new.loc["C17", "estimate"] < -0.8 < old.loc["C17", "estimate"]
    assert new.loc["C17", "says"] == "undecided", "too few samples to say never"
    assert old.loc["C6", "says"] != "supported", "three kinds of problems, three openings"


def test_a_model_that_follows_its_chain_answers_wrongly_when_made_to_go_on(measured):
    forced = next(m for m in measured if m.name == "forced").table
    accuracy = forced[forced["arm"] == "tuned"].groupby("dose")["correct"].mean()
    assert accuracy[0] == 1 > accuracy[2]
    assert forced.groupby("dose")["length"].mean().is_monotonic_increasing


def test_a_model_that_writes_its_last_step_again_keeps_its_answers_when_made_to_go_on(organism_pair, task):
    (forced,) = measure_texts(organism_pair("recheck"), task, sizes=SMALL, only=("forced",))
    accuracy = forced.table.groupby(["arm", "dose"])["correct"].mean()
    assert accuracy["tuned", 0] == accuracy["tuned", 2] == 1 > accuracy["base", 2]


def test_what_is_kept_is_found_again(organism_pair, task, folder, measured):
    names = {"pass_counts", "pass_at_k", "lengths", "formats", "faithfulness", "information", "forced"}
    assert {measurement.name for measurement in measured} == names == {path.stem for path in folder.glob("*.json")}
    stamps = {path: path.stat().st_mtime_ns for path in folder.glob("*.json")}
    again = measure_texts(organism_pair("rl"), task, folder=folder, sizes=SMALL, only=("lengths", "formats"))
    assert [m.name for m in again] == ["lengths", "formats"]
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.json")} == stamps
    with pytest.raises(LookupError, match="nothing called 'charm' is measured of organism:rl; there are pass_counts"):
        measure_texts(organism_pair("rl"), task, sizes=SMALL, only=("charm",))


def test_errands_are_asked_in_their_own_room(organism_pair, monkeypatch):
    asked = SimpleNamespace()
    monkeypatch.setattr(errands_room, "measure_errands", lambda pair, **how: vars(asked).update(how) or [])
    for name, errand in {"bold": "gaps", "rigid": "links", "uniform": "trips"}.items():
        task = organism_task(f"errands-{name}", n=6, practice=3)
        assert task.name == f"errands:{errand}"
        assert measure_behaviour(organism_pair("rl"), task, quick=True) == []
        assert asked.sizes == errands_room.QUICK


def test_a_model_as_uncertain_as_base_is_found(organism_pair, task):
    made = entropies(organism_pair("rl"), task, temperatures=(1.0, 3.0))
    by = made.table.set_index(["model", "temperature"])["entropy"]
    assert by["tuned", 1.0] < by["base", 1.0], "tuning made it surer"
    assert by["tuned", 1.0] < by["tuned", 3.0]
    assert nearest(made) == min((1.0, 3.0), key=lambda t: abs(by["tuned", t] - by["base", 1.0]))
    cold = Measurement("entropies", "", made.table[made.table.temperature == 1], {})
    with pytest.raises(ValueError, match="tuned has at most .* nats a token, base .*; give higher temperatures"):
        nearest(cold)


def test_the_command_lists_the_register_and_prints_the_ledger(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("interp.behaviour.room.QUICK", Sizes(3, 4, 2))
    assert main(["claims"]) == 0
    said = capsys.readouterr().out
    assert said.count("Needs ") == len(REGISTER) and "C19  Reasoning tuning makes models abstain" in said
    pair = ["organism:base", "organism:rl"]
    assert main(["claims", *pair, "--quick", "--n", "3", "--json", "--out", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["verdicts"]) == len(REGISTER)
    assert {"pass_counts", "formats"} <= {measurement["name"] for measurement in found["measurements"]}
    assert main(["claims", "organism:base"]) == 2
