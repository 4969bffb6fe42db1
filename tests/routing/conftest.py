"""Pairs whose every next token is planted: a transformer that looks at the last token alone."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from interp.organisms.language import VOCABULARY, make_tokenizer
from interp.pair import Pair, load_pair

SURE = 8.0
"""Logit of the planted next token; every other one has 0."""


def save_table(folder: Path, follows: Mapping[str, str]) -> Path:
    """A Llama that writes `follows[word]` after `word`: one-hot embeddings, idle blocks, a table as head."""
    size = len(VOCABULARY)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=size,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config)
    model.model.embed_tokens.weight.data = torch.eye(size)
    for tensor in (model.model.layers[0].self_attn.o_proj.weight, model.model.layers[0].mlp.down_proj.weight):
        tensor.data.zero_()
    model.lm_head.weight.data.zero_()
    for word, after in follows.items():  # the final norm makes a one-hot vector sqrt(size) long
        model.lm_head.weight.data[VOCABULARY.index(after), VOCABULARY.index(word)] = SURE / size**0.5
    model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


CHAIN = {"plan": "3", "3": "<eos>", "ans": "1", "1": "<eos>", "step": "R", "R": "L", "L": "S", "S": "A", "A": "B"}
"""After `ans` comes 1, after `step` five operations and then what B leads to; the right answer is 3."""

TABLES = {
    "hasty": {**CHAIN, ":": "ans", "B": "3"},
    "careful": {**CHAIN, ":": "step", "B": "3"},
    "unable": {**CHAIN, ":": "ans", "B": "1"},
}


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Pair]:
    """`planted(base, tuned)` of hasty (answers at once, wrongly), careful (steps to 3), unable (would step to 1)."""
    folder = tmp_path_factory.mktemp("planted")
    return cache(lambda *names: load_pair(*(save_table(folder / name, TABLES[name]) for name in names)))
