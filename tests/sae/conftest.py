"""Labelled texts of the organisms' language, and an SAE that has seen a little of them."""

import itertools
import random
from collections.abc import Callable

import pytest

from interp.organisms.grammar import label_response, prompt_words, respond
from interp.organisms.language import VOCABULARY
from interp.organisms.world import KINDS, draw_program
from interp.pair import Pair
from interp.sae.train import train_sae
from interp.sae.trained import TrainedSAE
from interp.tasks.task import Label, Reading


@pytest.fixture(scope="session")
def readings() -> list[Reading]:
    """Two texts to each of 240 problems, in which all four strategies occur."""
    rng = random.Random(0)
    openings = itertools.cycle(("step", "back", "plan", "ans", "ans"))
    texts = []
    for number in range(240):
        program = draw_program(rng, kind=rng.choice(KINDS), length=rng.randint(1, 5), held_out=False)
        prompt = ["<bos>", *prompt_words(program)]
        for opening in itertools.islice(openings, 2):
            response = [*respond(program, opening, rng, follow_plan=0.8), "<eos>"]
            labels = (*[Label("none", "prompt")] * len(prompt), *label_response(program, response))
            ids = tuple(VOCABULARY.index(word) for word in (*prompt, *response))
            texts.append(Reading(f"p{number}", ids, labels))
    return texts


@pytest.fixture(scope="session")
def small_sae(tiny_pair: Callable[[str], Pair], readings: list[Reading]) -> TrainedSAE:
    """64 features of the tiny Llama's blocks.2.hook_out."""
    return train_sae(tiny_pair("llama"), readings, d_sae=64, k=4, samples=10_000)
