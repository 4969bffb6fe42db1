"""Small real checkpoints of eight architectures, made offline, and the pairs that they make."""

import os
import time

os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:  # what needs no model is tested without waiting for torch
    from interp.pair import Pair

settings.register_profile("house", deadline=None)  # no test is a test of time
settings.load_profile("house")

ARCHITECTURES = ("qwen2", "qwen3", "llama", "gemma2", "gpt2", "neox")
MORE = ("mistral", "mixtral")
"""Llama with a window, and a mixture of experts: not in every test of all architectures, but in `test_families`."""
_IDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
_SHARED = {"vocab_size": 64, "initializer_range": 0.2, **_IDS}  # at the usual 0.02 every logit is nearly the same
_SMALL = {
    **_SHARED,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
}


def _config(architecture: str) -> Any:
    """4 blocks of width 32 with 4 heads; 2 key-value heads where the family groups them."""
    from transformers import (
        Gemma2Config,
        GPT2Config,
        GPTNeoXConfig,
        LlamaConfig,
        MistralConfig,
        MixtralConfig,
        Qwen2Config,
        Qwen3Config,
    )

    grouped = {**_SMALL, "num_key_value_heads": 2}
    match architecture:
        case "qwen2":
            return Qwen2Config(**grouped, tie_word_embeddings=True)
        case "qwen3":
            return Qwen3Config(**grouped, head_dim=16, tie_word_embeddings=True)
        case "llama":
            return LlamaConfig(**grouped, tie_word_embeddings=False)
        case "gemma2":
            return Gemma2Config(**grouped, head_dim=16, query_pre_attn_scalar=16, sliding_window=16)
        case "gpt2":
            return GPT2Config(**_SHARED, n_embd=32, n_layer=4, n_head=4, n_positions=256)
        case "neox":
            return GPTNeoXConfig(**_SMALL, rotary_pct=0.25, tie_word_embeddings=False)
        case "mistral":
            return MistralConfig(**grouped, sliding_window=16, tie_word_embeddings=False)
        case "mixtral":
            return MixtralConfig(**grouped, num_local_experts=4, num_experts_per_tok=2, tie_word_embeddings=False)
    raise ValueError(f"no architecture {architecture!r}; there are {', '.join((*ARCHITECTURES, *MORE))}")


@pytest.fixture(params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> str:
    """Each of the six architectures in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`tiny_checkpoint(architecture, seed=0)`: a directory with random weights; copy it, never change it."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    from interp.organisms.language import make_tokenizer

    @cache
    def make(architecture: str, seed: int = 0) -> Path:
        folder = tmp_path_factory.mktemp("checkpoints") / f"{architecture}-{seed}"
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            AutoModelForCausalLM.from_config(_config(architecture)).save_pretrained(folder)
        make_tokenizer().save_pretrained(folder)
        return folder

    logging.disable_progress_bar()
    torch.set_num_threads(1)
    return make


@pytest.fixture(scope="session")
def tiny_pair(tiny_checkpoint: Callable[..., Path]) -> Callable[[str], "Pair"]:
    """`tiny_pair(architecture)`: seeds 0 and 1 as base and tuned; all tests share it, so leave its weights alone."""
    from interp.pair import load_pair

    return cache(lambda architecture: load_pair(tiny_checkpoint(architecture, 0), tiny_checkpoint(architecture, 1)))


@pytest.fixture(scope="session")
def pair_of_same(tiny_checkpoint: Callable[..., Path]) -> Callable[[str], "Pair"]:
    """`pair_of_same(architecture)`: one checkpoint as base and as tuned, loaded twice."""
    from interp.pair import load_pair

    return cache(lambda architecture: load_pair(tiny_checkpoint(architecture, 0), tiny_checkpoint(architecture, 0)))


@pytest.fixture(scope="session")
def organism_pair() -> Callable[..., "Pair"]:
    """`organism_pair(name, base="base")`: two shipped organisms."""
    from interp.pair import load_pair

    return cache(lambda name, base="base": load_pair(f"organism:{base}", f"organism:{name}"))


@pytest.fixture(scope="session")
def wait_until() -> Callable[[Callable[[], bool]], None]:
    """`wait_until(happened)` returns when another process has made it happen, and fails after two minutes."""

    def wait(happened: Callable[[], bool]) -> None:
        end = time.monotonic() + 120
        while not happened():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.05)

    return wait
