"""Damaged files, files that lead elsewhere, and code that comes with them."""

import hashlib
import json
import os
import pickle
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import torch

from interp.adapter import open_adapter
from interp.checkpoint import CheckpointError, MissingError, open_checkpoint, transformers_config
from interp.loading import load_tokenizer, plain_model
from interp.pair import load_pair

Change = Callable[..., None]


@pytest.mark.parametrize("left", [4000, 0])
def test_the_one_shard_that_was_cut_short_is_named(sharded: Path, left: int) -> None:
    with (sharded / "b.safetensors").open("r+b") as file:
        file.truncate(left)
    with pytest.raises(CheckpointError, match=rf"spoilt/b.safetensors is damaged or cut short \({left:,} bytes"):
        open_checkpoint(sharded)


def test_a_shard_that_is_short_by_its_last_byte_is_named(sharded: Path) -> None:
    shard = sharded / "a.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"spoilt/a.safetensors is damaged or cut short"):
        open_checkpoint(sharded)


@pytest.mark.parametrize("size", [1, 10**15, "many"])
def test_what_an_index_says_of_the_total_size_is_not_believed(sharded: Path, base: Path, size: object) -> None:
    index = sharded / "model.safetensors.index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "metadata": {"total_size": size}}))
    whole, parts = open_checkpoint(base), open_checkpoint(sharded)
    assert all(torch.equal(whole.read(name), parts.read(name)) for name in whole.names())


@pytest.mark.parametrize("shard", ["a.safetensors\0", "a\n.safetensors", "..", "a.safetensors/../b.safetensors", 7, []])
def test_an_index_that_leads_elsewhere_is_refused(sharded: Path, shard: object) -> None:
    index = {"weight_map": {"model.norm.weight": shard}}
    (sharded / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"puts 'model.norm.weight' into .*, which is no file of this directory"):
        open_checkpoint(sharded)


@pytest.fixture
def snapshot(spoilt: Path, tmp_path: Path) -> Path:
    """The checkpoint as the hub's cache keeps it: links to blobs, the large one named by its SHA-256."""
    store = tmp_path / "models--org--small"
    snapshot, blobs = store / "snapshots" / "c0ffee", store / "blobs"
    snapshot.mkdir(parents=True), blobs.mkdir()
    for file in spoilt.iterdir():
        large = file.name == "model.safetensors"
        name = hashlib.sha256(file.read_bytes()).hexdigest() if large else hashlib.sha1(file.name.encode()).hexdigest()
        shutil.move(file, blobs / name)
        (snapshot / file.name).symlink_to(f"../../blobs/{name}")
    return snapshot


def test_a_flipped_bit_in_the_hubs_cache_is_found(snapshot: Path) -> None:
    assert len(open_checkpoint(snapshot).digest) == 16
    weights = (snapshot / "model.safetensors").resolve()
    content = bytearray(weights.read_bytes())
    content[-7] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"org/small/model.safetensors is not the file that the hub has: its SHA"):
        _ = open_checkpoint(snapshot).digest


def test_what_this_user_may_not_read_is_named(spoilt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object, **__: object) -> NoReturn:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CheckpointError, match=r"^spoilt/config.json may not be read by this user; allow it$"):
        open_checkpoint(spoilt)


def test_without_a_network_a_hub_name_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def unknown(*host: object, **_: object) -> NoReturn:
        asked.append(host)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(MissingError, match=r"'no/such' at 'main' is neither .* and the hub cannot be reached; connect"):
        open_checkpoint("no/such")
    assert 1 <= len(asked) <= 3


@pytest.mark.parametrize(
    ("file", "size"),
    [
        ("generation_config.json", 2**25 + 1),
        ("tokenizer_config.json", 2**25 + 1),
        ("special_tokens_map.json", 2**25 + 1),
        ("chat_template.jinja", 2**25 + 1),
        ("tokenizer.json", 2**28 + 1),
    ],
)
def test_files_beside_the_weights_have_a_bearable_size(spoilt: Path, file: str, size: int) -> None:
    with (spoilt / file).open("ab") as opened:
        opened.truncate(size)
    with pytest.raises(
        CheckpointError, match=rf"spoilt/{file} has {size:,} bytes, more than {size - 1:,} are not read"
    ):
        open_checkpoint(spoilt)


def test_an_adapters_config_is_read_with_the_same_care(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "lora"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"")
    for content, sentence in (
        (" " * (2**25 + 1), r"lora/adapter_config.json has 33,554,433 bytes, more than 33,554,432 are not read"),
        ("[" * 100_000, r"lora/adapter_config.json is not JSON"),
        ("[1]", r"lora/adapter_config.json holds a list, not an object"),
        (
            '{"peft_type": "LORA", "r": 0, "lora_alpha": 8}',
            r"gives r as 0 and lora_alpha as 8; both have to be numbers",
        ),
        ('{"peft_type": "LORA", "r": 2}', r"gives r as 2 and lora_alpha as None; both have to be numbers"),
    ):
        (folder / "adapter_config.json").write_text(content)
        with pytest.raises(CheckpointError, match=sentence):
            open_adapter(folder, open_checkpoint(base))


class Code:
    """What a pickle can do: make a file when it is opened."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.trace}",)


def test_a_pickle_is_not_opened_alone_nor_beside_safetensors(spoilt: Path, tmp_path: Path) -> None:
    for name in ("pytorch_model.bin", "model.pt", "training_args.bin", "tokenizer.pkl"):
        (spoilt / name).write_bytes(pickle.dumps(Code(tmp_path / "ran")))
    checkpoint = open_checkpoint(spoilt)
    load_tokenizer(checkpoint, transformers_config(checkpoint))
    plain_model(checkpoint, torch.float32, torch.device("cpu"))
    (spoilt / "model.safetensors").unlink()
    with pytest.raises(
        MissingError, match=r"spoilt has no safetensors, only model.pt, and a pickle is not opened here"
    ):
        open_checkpoint(spoilt)
    assert not (tmp_path / "ran").exists()
    pickle.loads(pickle.dumps(Code(tmp_path / "ran")))
    assert (tmp_path / "ran").exists(), "the pickle is a working one"


def test_code_beside_a_known_model_is_not_run_and_nobody_is_asked(
    spoilt: Path, change_json: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    (spoilt / "own.py").write_text("raise SystemExit('the code was run')")
    own = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    change_json(spoilt / "config.json", auto_map=own)
    change_json(spoilt / "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.Words", None]})
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question was put to the terminal"))
    checkpoint = open_checkpoint(spoilt)
    assert type(transformers_config(checkpoint)).__name__ == "LlamaConfig"
    assert type(plain_model(checkpoint, torch.float32, torch.device("cpu"))).__name__ == "LlamaForCausalLM"
    assert len(load_tokenizer(checkpoint, transformers_config(checkpoint))) == 64
    change_json(spoilt / "tokenizer_config.json", tokenizer_class="Words")
    with pytest.raises(
        CheckpointError, match=r"spoilt's tokenizer does not load: it is code of its own, which is never"
    ):
        load_tokenizer(checkpoint, transformers_config(checkpoint))


def test_a_chat_template_is_compared_and_never_run(base: Path, spoilt: Path, change_json: Change) -> None:
    endless = "{% for i in range(10**12) %}{{ ''.__class__.__mro__ }}{% endfor %}"
    change_json(spoilt / "tokenizer_config.json", chat_template=endless)
    assert load_pair(base, spoilt).differences == ("the chat templates differ, and neither is applied",)


@pytest.mark.parametrize("tokenizer", ["Qwen2Tokenizer", "GPT2Tokenizer"])
def test_a_tokenizers_words_do_not_come_from_elsewhere(
    spoilt: Path, tmp_path: Path, change_json: Change, tokenizer: str
) -> None:
    """Transformers opens what `vocab` and `merges` name, wherever it lies."""
    (tmp_path / "vocab.json").write_text(json.dumps({"secret": 0, "a": 1}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    elsewhere = {"vocab": str(tmp_path / "vocab.json"), "merges": str(tmp_path / "merges.txt")}
    change_json(spoilt / "tokenizer_config.json", tokenizer_class=tokenizer, **elsewhere)
    (spoilt / "tokenizer.json").rename(spoilt / "vocab.json")
    checkpoint = open_checkpoint(spoilt)
    with pytest.raises(
        CheckpointError, match=r"spoilt/tokenizer_config.json sends the tokenizer to the file '/.*vocab"
    ):
        load_tokenizer(checkpoint, transformers_config(checkpoint))
