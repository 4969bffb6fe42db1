"""Making and gates, and a series of checkpoints, on a model too young to know anything."""

import json
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from interp.organisms.errands import making
from interp.organisms.errands.language import VOCABULARY, make_model, make_tokenizer
from interp.organisms.errands.lessons import LESSONS
from interp.organisms.errands.recipes import ERRANDS, GATES, PARENT
from interp.organisms.errands.series import write_series


@pytest.fixture(scope="module")
def young(tmp_path_factory):
    folder = tmp_path_factory.mktemp("young")
    torch.manual_seed(0)
    make_model().half().save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def state(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).state_dict()


def test_every_organism_has_a_lesson_or_is_base_and_a_gate():
    assert set(ERRANDS) == {PARENT, *(f"errands-{name}" for name in LESSONS)} == set(GATES)
    assert all(recipe.parent == (None if name == PARENT else PARENT) for name, recipe in ERRANDS.items())


def test_the_saved_tokenizer_knows_every_word(young):
    tokenizer = AutoTokenizer.from_pretrained(young)
    assert tuple(tokenizer.convert_ids_to_tokens(range(64))) == VOCABULARY
    assert tokenizer("one A : 3 1").input_ids == [1, *tokenizer.convert_tokens_to_ids(["one", "A", ":", "3", "1"])]


def test_a_series_starts_at_its_parent_and_moves(young, tmp_path, monkeypatch):
    monkeypatch.setitem(LESSONS, "uniform", replace(LESSONS["uniform"], steps=3))
    paths = write_series("uniform", tmp_path, at=(0, 1, 3), parent=young)
    assert list(paths) == [0, 1, 3]
    first, second, last = (state(path) for path in paths.values())
    assert all(torch.equal(first[key], value) for key, value in state(young).items())
    moved = [(other["lm_head.weight"] - first["lm_head.weight"]).norm() for other in (second, last)]
    assert 0 < moved[0] < moved[1]


@pytest.mark.parametrize("at", [(4, 2), (), (-1, 3), (0, 10_000)])
def test_a_series_out_of_order_is_refused(at, tmp_path):
    with pytest.raises(ValueError, match=r"give rising steps from 0 to 64"):
        write_series("uniform", tmp_path, at=at)


@pytest.fixture
def untaught(monkeypatch):
    """A base that is not trained at all, and an exam that counts nothing right."""
    lazy = replace(ERRANDS[PARENT], train=lambda model, tokenizer, seed: None, again=None)
    monkeypatch.setitem(ERRANDS, PARENT, lazy)
    zeros = {what: (0, 2) for what, _, _ in GATES[PARENT]}
    monkeypatch.setattr(making.exam, "counts", lambda model, tokenizer, *, per_cell: zeros)


def test_a_model_that_falls_short_is_not_written(untaught, tmp_path):
    with pytest.raises(
        RuntimeError, match=r"errands-base of seed 0 did not pass its gate: one, 4 operations is 0 of 2"
    ):
        making.train_errand(PARENT, seed=0, out=tmp_path)
    assert not any(tmp_path.rglob("*.safetensors"))


def test_a_model_that_passes_is_written_with_its_counts(untaught, tmp_path, monkeypatch):
    monkeypatch.setitem(GATES, PARENT, [("one, 4 operations", "<=", 0.5)])
    folder = making.train_errand(PARENT, seed=0, out=tmp_path)
    card = json.loads((folder / "card.json").read_text())
    assert card["counts"]["one, 4 operations"] == {"value": 0.0, "n": 2, "low": 0.0, "high": 0.6576}
    assert card["gate"] == ["one, 4 operations <= 0.5"]
    assert making.train_errand(PARENT, seed=0, out=tmp_path) == folder


def test_what_is_unknown_is_named_beside_the_known(tmp_path):
    with pytest.raises(LookupError, match=r"no organism 'errands-base2' to train; there are errands-base, "):
        making.train_errand("errands-base2", seed=0, out=tmp_path)
    with pytest.raises(LookupError, match=r"no lesson 'errands-uniform'; there are careful, "):
        write_series("errands-uniform", tmp_path)
