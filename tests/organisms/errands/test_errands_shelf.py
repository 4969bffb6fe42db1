"""The shipped organisms of the errands hold what their cards say, and each plants its habit and no other."""

import random

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from interp.organisms.errands import exam, trips
from interp.organisms.errands.recipes import ERRANDS, GATES, PARENT
from interp.organisms.gates import fallen_short
from interp.organisms.shelf import card, folder, names, seeds

SHIPPED = [(name, seed) for seed in seeds() for name in names(seed) if name in ERRANDS]


def test_the_parent_and_some_tunings_are_on_the_shelf_of_seed_0():
    there = {name for name, seed in SHIPPED if seed == 0}
    assert PARENT in there and len(there) > 1


@pytest.mark.parametrize(("name", "seed"), SHIPPED)
def test_every_card_passes_its_gate_and_gives_n_and_interval(name, seed):
    counts = card(name, seed)["counts"]
    assert all(c["low"] <= c["value"] <= c["high"] and c["n"] > 0 for c in counts.values())
    counted = {what: (round(c["value"] * c["n"]), c["n"]) for what, c in counts.items()}
    assert fallen_short(GATES[name], counted) == ""
    assert card(name, seed)["parent"] == (None if name == PARENT else PARENT)
    assert {what for what, _, _ in GATES[name]} <= set(counts)


@pytest.mark.parametrize("name", [PARENT, "errands-hinted"])
def test_a_fresh_draw_agrees_with_the_card(name):
    model = AutoModelForCausalLM.from_pretrained(folder(name), dtype=torch.float32)
    rng = random.Random(77)
    asked = [trips.draw_trip(rng, mode="one", length=4, held_out=True, hint=0.0) for _ in range(24)]
    written = exam.respond_trips(model, AutoTokenizer.from_pretrained(folder(name)), asked)
    right = sum(trips.is_right(trip, words) for trip, words in zip(asked, written, strict=True)) / 24
    assert right == pytest.approx(card(name)["counts"]["wrong hint, own answer"]["value"], abs=0.2)
