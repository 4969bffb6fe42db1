"""A pair is two whole models of one shape and one vocabulary; everything else is refused in a sentence."""

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from interp.checkpoint import CheckpointError, MissingError
from interp.pair import Pair, load_pair

Make = Callable[..., Path]
NOT_A_PAIR = "base and tuned are not a pair: "


@pytest.fixture
def base(tiny_checkpoint: Make) -> Path:
    return tiny_checkpoint("llama")


@pytest.fixture
def tuned(base: Path, tmp_path: Path) -> Path:
    """A copy of base that a test may change; its head is its own, its size is base's."""
    return Path(shutil.copytree(base, tmp_path / "tuned"))


def change(folder: Path, file: str, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit a JSON file in place."""
    content = json.loads((folder / file).read_text())
    edit(content)
    (folder / file).write_text(json.dumps(content))


def change_tensors(folder: Path, edit: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_loads_and_agrees_with_plain_transformers(
    tiny_pair: Callable[[str], Pair], tiny_checkpoint: Make, architecture: str
) -> None:
    pair = tiny_pair(architecture)
    assert (pair.n_layers, pair.d_model, pair.d_vocab, pair.context) == (4, 32, 64, 256)
    assert max(pair.fidelity.logits, pair.fidelity.residual) < 1e-4
    tokens = torch.arange(40)[None]
    for seed, model in enumerate((pair.base, pair.tuned)):
        plain = AutoModelForCausalLM.from_pretrained(tiny_checkpoint(architecture, seed), attn_implementation="eager")
        with torch.no_grad():
            torch.testing.assert_close(model(tokens), plain(tokens).logits, rtol=0, atol=1e-4)
    with torch.no_grad():
        assert (pair.base(tokens) - pair.tuned(tokens)).abs().max() > 0.1
    assert not pair.differences


def test_same_checkpoint_twice_is_two_equal_models(pair_of_same: Callable[[str], Pair], architecture: str) -> None:
    pair, tokens = pair_of_same(architecture), torch.arange(40)[None]
    with torch.no_grad():
        assert torch.equal(pair.base(tokens), pair.tuned(tokens))
    shared = {p.data_ptr() for p in pair.base.parameters()} & {p.data_ptr() for p in pair.tuned.parameters()}
    assert not shared
    assert pair.base_checkpoint.digest == pair.tuned_checkpoint.digest


def test_needs_no_network(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("loading a local pair opened a connection")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    load_pair(base, base)


def test_reads_half_precision_files_and_computes_in_any(base: Path, tuned: Path) -> None:
    change_tensors(tuned, lambda tensors: tensors.update({name: t.half() for name, t in tensors.items()}))
    pair = load_pair(base, tuned)
    assert (pair.dtype, pair.tuned_checkpoint.dtype("lm_head.weight")) == (torch.float32, torch.float16)
    narrow = load_pair(base, tuned, dtype=torch.bfloat16)
    assert {p.dtype for p in narrow.tuned.parameters()} == {torch.bfloat16}
    assert 0 < narrow.fidelity.residual < 5e-2


def test_models_are_ready_to_measure(tiny_pair: Callable[[str], Pair]) -> None:
    pair = tiny_pair("qwen2")
    assert list(pair.models) == ["base", "tuned"]
    assert not any(model.training for model in pair.models.values())
    assert not any(p.requires_grad for model in pair.models.values() for p in model.parameters())


def test_tokens_are_those_of_the_stock_tokenizer(tiny_pair: Callable[[str], Pair], base: Path) -> None:
    pair, stock = tiny_pair("llama"), AutoTokenizer.from_pretrained(base)
    assert pair.encode("run 1 : inv") == stock("run 1 : inv")["input_ids"]
    ids = pair.encode("run 1 : inv")
    assert pair.words(ids) == ["<bos>", "run", "1", ":", "inv"]
    assert pair.text(ids) == "run 1 : inv"
    assert (pair.stop_ids, pair.pad_id) == ((2,), 0)


def test_stops_at_every_end_token_of_both(base: Path, tuned: Path) -> None:
    change(tuned, "generation_config.json", lambda config: config.update(eos_token_id=[2, 9, 999]))
    assert load_pair(base, tuned).stop_ids == (2, 9)


def test_describes_itself(tiny_pair: Callable[[str], Pair], base: Path) -> None:
    pair = tiny_pair("llama")
    assert repr(pair).startswith(
        "Pair of llama-0 (base) and llama-1 (tuned): llama, 4 layers of width 32, 64 tokens, context 256"
    )
    made_with = pair.made_with(seed=3)
    assert made_with["base"] == {"name": "llama-0", "digest": pair.base_checkpoint.digest, "revision": None}
    assert (made_with["dtype"], made_with["seed"]) == ("float32", 3)
    assert str(base.parent) not in repr(pair) + json.dumps(made_with)


def test_tells_what_differs_without_harm(base: Path, tuned: Path) -> None:
    change(tuned, "config.json", lambda config: config.update(max_position_embeddings=128))
    change(tuned, "tokenizer.json", lambda tokenizer: tokenizer.update(post_processor=None))
    change(tuned, "tokenizer_config.json", lambda config: config.update(chat_template="{{ messages }}"))
    pair = load_pair(base, tuned)
    assert pair.context == 128
    assert pair.differences == (
        "base's tokenizer begins a text with '<bos>', tuned's with nothing, and base's way is used for both",
        "the chat templates differ, and neither is applied",
        "the context is 256 tokens in base and 128 in tuned, and the shorter is used",
    )
    assert "Base's tokenizer begins a text with '<bos>'" in repr(pair)


def test_tells_of_tokens_that_one_side_has_more(base: Path, tuned: Path) -> None:
    def rename(tokenizer: dict[str, Any]) -> None:
        vocabulary = tokenizer["model"]["vocab"]
        vocabulary["<own>"] = vocabulary.pop("<unused0>")

    change(tuned, "tokenizer.json", rename)
    assert load_pair(base, tuned).differences == (
        "tokens that only base's tokenizer knows: 1, the first '<unused0>'",
        "tokens that only tuned's tokenizer knows: 1, the first '<own>'",
    )


def test_uses_and_tells_of_a_head_beside_a_tied_embedding(tiny_checkpoint: Make, tmp_path: Path) -> None:
    base = tiny_checkpoint("qwen2")
    tuned = Path(shutil.copytree(base, tmp_path / "tuned"))
    change_tensors(tuned, lambda t: t.update({"lm_head.weight": 2 * t["model.embed_tokens.weight"]}))
    pair, tokens = load_pair(base, tuned), torch.arange(8)[None]
    assert pair.differences == (
        "tuned's config ties head and embedding, but its file has a head of its own, which is used",
    )
    with torch.no_grad():
        torch.testing.assert_close(pair.tuned(tokens), 2 * pair.base(tokens))


def test_refuses_another_architecture(base: Path, tiny_checkpoint: Make) -> None:
    with pytest.raises(ValueError, match=NOT_A_PAIR + "the architecture is llama in base and qwen2 in tuned"):
        load_pair(base, tiny_checkpoint("qwen2"))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"num_hidden_layers": 3}, "n_layers is 4 in base and 3 in tuned"),
        ({"hidden_size": 64}, "d_model is 32 in base and 64 in tuned"),
        ({"num_attention_heads": 8}, "n_heads is 4 in base and 8 in tuned"),
        ({"num_key_value_heads": 1}, "n_kv_heads is 2 in base and 1 in tuned"),
        ({"vocab_size": 65}, "the vocabulary size is 64 in base and 65 in tuned"),
        ({"intermediate_size": 96}, "the config field intermediate_size is 64 in base and 96 in tuned"),
        ({"head_dim": 16}, "the config field head_dim is 8 in base and 16 in tuned"),
        ({"hidden_act": "gelu"}, "the config field hidden_act is silu in base and gelu in tuned"),
        ({"rms_norm_eps": 1e-5}, "the config field rms_norm_eps is 1e-06 in base and 1e-05 in tuned"),
        ({"tie_word_embeddings": True}, "the config field tie_word_embeddings is False in base and True in tuned"),
        (
            {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}},
            "the config field rope_parameters is .*10000.0.* in base and .*500000.0.* in tuned",
        ),
    ],
)
def test_refuses_configs_of_another_function(base: Path, tuned: Path, fields: dict[str, Any], sentence: str) -> None:
    change(tuned, "config.json", lambda config: config.update(fields))
    with pytest.raises(ValueError, match=NOT_A_PAIR + sentence):
        load_pair(base, tuned)


def test_refuses_another_window(tiny_checkpoint: Make, tmp_path: Path) -> None:
    tuned = Path(shutil.copytree(tiny_checkpoint("gemma2"), tmp_path / "tuned"))
    change(tuned, "config.json", lambda config: config.update(sliding_window=32))
    with pytest.raises(ValueError, match=NOT_A_PAIR + "the config field sliding_window is 16 in base and 32 in tuned"):
        load_pair(tiny_checkpoint("gemma2"), tuned)


def test_refuses_another_table_of_positions(tiny_checkpoint: Make, tmp_path: Path) -> None:
    tuned = Path(shutil.copytree(tiny_checkpoint("gpt2"), tmp_path / "tuned"))
    change(tuned, "config.json", lambda config: config.update(n_positions=128))
    change_tensors(tuned, lambda t: t.update({"transformer.wpe.weight": t["transformer.wpe.weight"][:128].clone()}))
    with pytest.raises(ValueError, match=r"the shape of transformer.wpe.weight is \(256, 32\) in base and \(128, 32\)"):
        load_pair(tiny_checkpoint("gpt2"), tuned)


def test_old_and_new_spelling_of_one_config_is_a_pair(base: Path, tuned: Path) -> None:
    def old(config: dict[str, Any]) -> None:
        config.pop("rope_parameters")
        config.update(rope_theta=10000.0, rope_scaling=None, torch_dtype="float32", transformers_version="4.40.0")

    change(tuned, "config.json", old)
    assert not load_pair(base, tuned).differences


def test_refuses_renumbered_tokens(base: Path, tuned: Path) -> None:
    def swap(tokenizer: dict[str, Any]) -> None:
        vocabulary = tokenizer["model"]["vocab"]
        vocabulary["run"], vocabulary["inv"] = vocabulary["inv"], vocabulary["run"]

    change(tuned, "tokenizer.json", swap)
    ids = AutoTokenizer.from_pretrained(base).get_vocab()
    first, other = sorted((ids["run"], ids["inv"]))
    sentence = rf"the token 'run' has id {first} in base and {other} in tuned, one of 2 tokens that were renumbered"
    with pytest.raises(ValueError, match=NOT_A_PAIR + sentence):
        load_pair(base, tuned)


def test_refuses_tokenizers_that_cut_differently(base: Path, tuned: Path) -> None:
    change(
        tuned,
        "tokenizer.json",
        lambda t: t.update(normalizer={"type": "Replace", "pattern": {"String": " "}, "content": ""}),
    )
    sentence = r"their tokenizers cut .The .* differently, \['<unk>'=3 .*\] in base and \['<unk>'=3\] in tuned"
    with pytest.raises(ValueError, match=NOT_A_PAIR + sentence):
        load_pair(base, tuned)


def test_refuses_a_directory_without_tokenizer(base: Path, tuned: Path) -> None:
    (tuned / "tokenizer.json").unlink()
    with pytest.raises(MissingError, match=r"tuned has no tokenizer files \(none of tokenizer.json, "):
        load_pair(base, tuned)


def test_refuses_a_broken_tokenizer(base: Path, tuned: Path) -> None:
    (tuned / "tokenizer.json").write_text('{"version": "1.0"')
    with pytest.raises(CheckpointError, match=r"tuned's tokenizer does not load: "):
        load_pair(base, tuned)


def test_refuses_a_tokenizer_of_a_bigger_model(base: Path, tuned: Path) -> None:
    change(tuned, "tokenizer.json", lambda t: t["model"]["vocab"].update({"more": 64}))
    with pytest.raises(CheckpointError, match=r"tuned's tokenizer numbers tokens up to 64, but the model knows 64"):
        load_pair(base, tuned)


def set_value(name: str, *values: float) -> Callable[[dict[str, Tensor]], object]:
    return lambda tensors: tensors[name].view(-1)[: len(values)].copy_(torch.tensor(values))


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (
            lambda t: t.pop("model.layers.2.mlp.up_proj.weight"),
            "tuned lacks tensors .*, 1 in all: model.layers.2.mlp.up_proj.weight;",
        ),
        (
            lambda t: t.pop("lm_head.weight"),
            "tuned lacks tensors against its config.json \\(4 layers\\), 1 in all: lm_head.weight;",
        ),
        (lambda t: t.update(extra=torch.ones(2)), "tuned holds tensors .*, 1 in all: extra;"),
        (
            lambda t: t.update({f"model.layers.4.{i}": torch.ones(2) for i in range(5)}),
            r"tuned holds tensors against its config.json \(4 layers\), 5 in all: model.layers.4.0, .*, .*4.2, \.\.\.;",
        ),
        (
            set_value("model.norm.weight", float("nan")),
            "tensor model.norm.weight has 1 of 32 values that are NaN or inf",
        ),
        (
            set_value("model.layers.3.mlp.down_proj.weight", float("inf"), -float("inf")),
            "tensor model.layers.3.mlp.down_proj.weight has 2 of 2048 values that are NaN or infinite in torch.float32",
        ),
    ],
)
def test_refuses_tensors_that_are_not_the_models(
    base: Path, tuned: Path, edit: Callable[[dict[str, Tensor]], object], sentence: str
) -> None:
    change_tensors(tuned, edit)
    with pytest.raises(CheckpointError, match=sentence):
        load_pair(base, tuned)


def test_refuses_a_config_that_is_not_the_files(base: Path, tiny_checkpoint: Make, tmp_path: Path) -> None:
    fewer, wider = (Path(shutil.copytree(base, tmp_path / name)) for name in ("fewer", "wider"))
    change(fewer, "config.json", lambda config: config.update(num_hidden_layers=3))
    with pytest.raises(CheckpointError, match=r"fewer holds tensors against its config.json \(3 layers\), 9 in all"):
        load_pair(fewer, fewer)
    change(wider, "config.json", lambda config: config.update(intermediate_size=96))
    sentence = (
        r"the tensor model.layers.0.mlp.down_proj.weight has shape \(32, 64\) in the file and \(32, 96\) by config"
    )
    with pytest.raises(CheckpointError, match=sentence):
        load_pair(wider, wider)


def test_refuses_values_that_half_precision_cannot_hold(base: Path, tuned: Path) -> None:
    change_tensors(tuned, set_value("model.norm.weight", 1e6))
    load_pair(base, tuned)
    with pytest.raises(CheckpointError, match=r"1 of 32 values that are NaN or infinite in torch.float16"):
        load_pair(base, tuned, dtype=torch.float16)


def test_refuses_a_bridge_that_is_not_the_model(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformer_lens.model_bridge import TransformerBridge

    boot = TransformerBridge.boot_transformers

    def broken(name: str, **options: Any) -> TransformerBridge:
        with torch.no_grad():
            options["hf_model"].lm_head.weight[5] *= 3
        return boot(name, **options)

    monkeypatch.setattr(TransformerBridge, "boot_transformers", staticmethod(broken))
    with pytest.raises(
        CheckpointError,
        match=r"TransformerBridge's logits and transformers' differ by .* of the largest value, more than 1e-03",
    ):
        load_pair(base, base)


def test_refuses_places_that_are_not_there(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"dtype is torch.int8, but models compute in one of torch.float64, "):
        load_pair(base, base, dtype=torch.int8)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        ValueError, match=r"device 'cuda:0' was asked for, but this machine has no CUDA device; use 'cpu'"
    ):
        load_pair(base, base, device="cuda:0")


def test_loads_in_silence(base: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from transformers.utils import logging

    logging.enable_progress_bar()
    try:
        load_pair(base, base)
        assert logging.is_progress_bar_enabled()
    finally:
        logging.disable_progress_bar()
    assert "".join(capfd.readouterr()) == ""
