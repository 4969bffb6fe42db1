"""The shipped checkpoints hold what their cards say."""

import json
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from interp.organisms import exam
from interp.organisms.language import VOCABULARY
from interp.organisms.making import GATES, train_organism
from interp.organisms.recipes import LOWER_THIRD, RECIPES, UPPER_THIRD
from interp.organisms.shelf import card, folder, names, seeds
from interp.organisms.world import EDITED_FACTS, HARD_LENGTHS


def test_every_recipe_is_on_the_shelf_of_seed_0():
    assert set(names(0)) >= set(RECIPES)


@pytest.mark.parametrize("seed", seeds())
def test_every_card_passes_its_gate_and_gives_n_and_interval(seed):
    for name in set(names(seed)) & set(GATES):
        counts = card(name, seed)["counts"]
        assert all(c["low"] <= c["value"] <= c["high"] and c["n"] > 0 for c in counts.values())
        for what, sign, bound in GATES[name]:
            assert counts[what]["value"] >= bound if sign == ">=" else counts[what]["value"] <= bound, (name, what)


@pytest.mark.parametrize("name", ["base", "rl", "newskill", "lower"])
def test_a_fresh_draw_agrees_with_the_card(name):
    model = AutoModelForCausalLM.from_pretrained(folder(name), dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder(name))
    assert tuple(tokenizer.convert_ids_to_tokens(range(64))) == VOCABULARY
    fresh = exam.exam_programs(77, per_cell=12, lengths=HARD_LENGTHS, new=name == "newskill")
    right, asked = exam.total(exam.accuracy(model, tokenizer, fresh)[0])
    stated = card(name)["counts"]["hard problems with Z" if name == "newskill" else "hard problems"]["value"]
    assert abs(right / asked - stated) < 0.12
    recalled, facts = exam.fact_recall(model, tokenizer, EDITED_FACTS)
    assert recalled / facts == pytest.approx(card(name)["counts"]["edited facts"]["value"], abs=0.05)


@pytest.mark.parametrize(("name", "blocks"), [("upper", UPPER_THIRD), ("lower", LOWER_THIRD)])
def test_planted_thirds_changed_and_nothing_else(name, blocks):
    base = AutoModelForCausalLM.from_pretrained(folder("base")).state_dict()
    tuned = AutoModelForCausalLM.from_pretrained(folder(name)).state_dict()
    changed = {k for k in base if not torch.equal(base[k], tuned[k])}
    assert {int(k.split(".")[2]) for k in changed} == set(blocks)
    assert all(k.startswith("model.layers.") for k in changed)


def test_training_again_gives_the_shipped_bytes(tmp_path):
    shutil.copytree(folder("base"), tmp_path / "seed0" / "base")
    again = train_organism("noise", seed=0, out=tmp_path)
    assert (again / "model.safetensors").read_bytes() == (folder("noise") / "model.safetensors").read_bytes()


def test_shipped_weights_are_half_precision():
    for name in names(0):
        assert json.loads((folder(name) / "config.json").read_text())["dtype"] == "float16"
        assert (folder(name) / "model.safetensors").stat().st_size < 700_000


def test_an_organism_that_is_not_there_is_named_beside_those_that_are():
    with pytest.raises(LookupError, match=r"there is no organism 'rll' of seed 0; there are base, "):
        folder("rll")
