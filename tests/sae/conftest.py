"""Labelled texts of the organisms' language, and an SAE that has seen a little of them."""

import itertools
import random
from collections.abc import Callable

import pytest
import torch

from interp.measurement import Measurement
from interp.organisms.grammar import label_response, prompt_words, respond
from interp.organisms.language import VOCABULARY
from interp.organisms.world import KINDS, draw_program
from interp.pair import Pair
from interp.sae.features import strategy_features
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


@pytest.fixture(scope="session")
def features(tiny_pair: Callable[[str], Pair], small_sae: TrainedSAE, readings: list[Reading]) -> Measurement:
    """What its features tell, measured once for all tests."""
    return strategy_features(tiny_pair("llama"), small_sae, {"all": readings})


@pytest.fixture(scope="session")
def detector_of() -> Callable[[Pair, int], TrainedSAE]:
    """An SAE of the embedding with one feature that reads one token and seven that read nothing of use."""
    from sae_lens import TopKSAE, TopKSAEConfig

    def make(pair: Pair, token: int) -> TrainedSAE:
        embedding = pair.base.state_dict()["embed.weight"]
        d_in = embedding.shape[1]
        centred = embedding - embedding.mean(0)
        # What this token has and no other: the ridge solution of "1 on it, 0 elsewhere".
        target = torch.zeros(len(embedding))
        target[token] = 1.0
        penalty = 3.2 / d_in * torch.eye(d_in)
        reads = torch.linalg.lstsq(centred.T @ centred + penalty, centred.T @ target).solution
        other = torch.randn(d_in, 7, generator=torch.Generator().manual_seed(0)) / 32
        encoder = torch.cat([reads[:, None], other], 1)
        sae = TopKSAE(TopKSAEConfig(d_in=d_in, d_sae=8, k=8))
        decoder = encoder.T / encoder.T.norm(dim=1, keepdim=True)
        sae.load_state_dict({"W_enc": encoder, "W_dec": decoder, "b_enc": torch.zeros(8), "b_dec": embedding.mean(0)})
        return TrainedSAE(sae.requires_grad_(False), "blocks.0.hook_in", {"k": 8})

    return make
