"""What a checkpoint says about itself, and the sentence for everything that is no checkpoint."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from interp.checkpoint import CheckpointError, MissingError, component_names, open_checkpoint

Make = Callable[..., Path]


@pytest.fixture
def copied(tiny_checkpoint: Make, tmp_path: Path) -> Path:
    """A Llama's directory that a test may spoil."""
    return Path(shutil.copytree(tiny_checkpoint("llama"), tmp_path / "copy"))


@pytest.fixture
def sharded(copied: Path) -> Path:
    """The same in two shards and an index."""
    tensors = load_file(copied / "model.safetensors")
    (copied / "model.safetensors").unlink()
    shard_of = {}
    for shard, names in (("a.safetensors", sorted(tensors)[::2]), ("b.safetensors", sorted(tensors)[1::2])):
        save_file({name: tensors[name] for name in names}, copied / shard)
        shard_of |= dict.fromkeys(names, shard)
    write_index(copied, shard_of)
    return copied


def write_index(folder: Path, shard_of: dict[str, str]) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": shard_of}))


def change_config(folder: Path, **fields: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **fields}))


def test_reads_what_the_file_holds(tiny_checkpoint: Make, architecture: str) -> None:
    folder = tiny_checkpoint(architecture)
    checkpoint, oracle = open_checkpoint(folder), load_file(folder / "model.safetensors")
    assert sorted(checkpoint.names()) == sorted(oracle)
    for name, tensor in oracle.items():
        assert torch.equal(checkpoint.read(name), tensor)
        assert (checkpoint.shape(name), checkpoint.dtype(name)) == (tuple(tensor.shape), tensor.dtype)


def test_shards_read_like_one_file(tiny_checkpoint: Make, sharded: Path) -> None:
    whole, parts = open_checkpoint(tiny_checkpoint("llama")), open_checkpoint(sharded)
    assert sorted(whole.names()) == sorted(parts.names())
    assert all(torch.equal(whole.read(name), parts.read(name)) for name in whole.names())


def test_keeps_the_stored_dtype(copied: Path) -> None:
    tensors = {"half": torch.ones(3, dtype=torch.bfloat16), "count": torch.tensor(7), "none": torch.zeros(0, 4)}
    save_file(tensors, copied / "model.safetensors")
    checkpoint = open_checkpoint(copied)
    assert [checkpoint.dtype(name) for name in tensors] == [torch.bfloat16, torch.int64, torch.float32]
    assert [checkpoint.shape(name) for name in tensors] == [(3,), (), (0, 4)]


def test_unknown_tensor_names_the_nearest(tiny_checkpoint: Make) -> None:
    with pytest.raises(ValueError, match=r"has no tensor 'model.norms.weight', the nearest is 'model.norm.weight'"):
        open_checkpoint(tiny_checkpoint("llama")).read("model.norms.weight")


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json"])
def test_digest_follows_every_byte(tiny_checkpoint: Make, copied: Path, file: str) -> None:
    before = open_checkpoint(tiny_checkpoint("llama")).digest
    assert open_checkpoint(copied).digest == before
    content = bytearray((copied / file).read_bytes())
    at = content.rindex(b"silu") if file == "config.json" else len(content) - 7
    content[at] ^= 1
    (copied / file).write_bytes(content)
    assert open_checkpoint(copied).digest != before


def test_digest_leaves_other_files_out(copied: Path) -> None:
    before = open_checkpoint(copied).digest
    (copied / "README.md").write_text("notes")
    assert open_checkpoint(copied).digest == before


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("runs/grpo/checkpoint-100", "grpo/checkpoint-100"),
        ("model", "model"),
        ("{here}/model", "model"),
        ("{here}/runs/grpo/checkpoint-100", "grpo/checkpoint-100"),
        ("./model/../model/.", "model"),
    ],
)
def test_name_shows_no_machine_path(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, shown: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for place in ("model", "runs/grpo/checkpoint-100"):
        shutil.copytree(copied, tmp_path / place)
    assert open_checkpoint(typed.format(here=tmp_path)).name == shown


def test_snapshot_of_the_hub_cache_has_its_commit(copied: Path, tmp_path: Path) -> None:
    store = tmp_path / "models--org--small"
    snapshot, blobs = store / "snapshots" / "c0ffee", store / "blobs"
    snapshot.mkdir(parents=True), blobs.mkdir()
    for number, file in enumerate(copied.iterdir()):
        shutil.move(file, blobs / f"hash{number}")
        (snapshot / file.name).symlink_to(f"../../blobs/hash{number}")
    checkpoint = open_checkpoint(snapshot)
    assert (checkpoint.name, checkpoint.revision) == ("org/small", "c0ffee")
    assert checkpoint.read("model.norm.weight").shape == (32,)
    (snapshot / "model.safetensors").unlink()
    (blobs / "hash9.incomplete").write_bytes(b"")
    with pytest.raises(MissingError, match=r"org/small has no safetensors \(its download was interrupted\)"):
        open_checkpoint(snapshot)


def test_hub_id_is_resolved_to_a_commit(copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = tmp_path / "models--org--small" / "snapshots" / "c0ffee"
    asked = []

    def download(hub_id: str, *, revision: str, **patterns: object) -> str:
        asked.append((hub_id, revision))
        return str(shutil.copytree(copied, snapshot, dirs_exist_ok=True))

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    checkpoint = open_checkpoint("org/small@v2")
    assert (checkpoint.name, checkpoint.revision) == ("org/small@v2", "c0ffee")
    assert open_checkpoint("org/small").revision == "c0ffee"
    assert asked == [("org/small", "v2"), ("org/small", "main")]


def test_hub_out_of_reach() -> None:
    with pytest.raises(MissingError, match=r"'no/such-model' at 'v1' is neither .* and the hub cannot be reached"):
        open_checkpoint("no/such-model@v1")


def test_missing_directory_names_the_nearest(copied: Path) -> None:
    with pytest.raises(MissingError, match=r"there is no directory '.*/coqy', the nearest is 'copy'"):
        open_checkpoint(copied.parent / "coqy")


def test_refuses_an_empty_name() -> None:
    with pytest.raises(MissingError, match=r"the checkpoint's name is empty; give a directory, org/name@revision or"):
        open_checkpoint("")


def test_unknown_organism() -> None:
    with pytest.raises(MissingError, match=r"there is no organism 'rll' of seed 0"):
        open_checkpoint("organism:rll")
    with pytest.raises(ValueError, match=r"the seed in 'organism:rl@x' is 'x'"):
        open_checkpoint("organism:rl@x")


def spoil(file: str, content: bytes | str) -> Callable[[Path], object]:
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / file).write_bytes(data)


def remove(file: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).unlink()


def only(file: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "model.safetensors").rename(folder / file)


def adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")


def cut(folder: Path) -> None:
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(4000)


def lengthen(folder: Path) -> None:
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"more")


def link_out(folder: Path) -> None:
    shutil.move(folder / "model.safetensors", folder.parent / "elsewhere")
    (folder / "model.safetensors").symlink_to(folder.parent / "elsewhere")


def dangle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("gone")


@pytest.mark.parametrize(
    ("harm", "kind", "sentence"),
    [
        (remove("config.json"), MissingError, "copy has no config.json; name the directory of a saved model"),
        (spoil("config.json", "<html>"), CheckpointError, "copy/config.json is not JSON"),
        (spoil("config.json", b"\xff\xfe"), CheckpointError, "copy/config.json is not JSON"),
        (spoil("config.json", "[" * 100_000), CheckpointError, "copy/config.json is not JSON"),
        (spoil("config.json", "[1]"), CheckpointError, "copy/config.json holds a list, not an object"),
        (spoil("config.json", "{}"), CheckpointError, "copy/config.json names no model_type"),
        (spoil("config.json", b" " * (2**25 + 1)), CheckpointError, r"copy/config.json has 33,554,433 bytes"),
        (adapter, CheckpointError, "copy is a LoRA adapter, not a whole model; merge it"),
        (remove("model.safetensors"), MissingError, "copy has no safetensors; name the directory"),
        (dangle, MissingError, "copy has no safetensors"),
        (only("pytorch_model.bin"), MissingError, r"only pytorch_model.bin, .* convert it once with"),
        (only("weights.safetensors"), MissingError, "copy has weights.safetensors but neither model.safetensors nor"),
        (cut, CheckpointError, r"copy/model.safetensors is damaged or cut short \(4,000 bytes: "),
        (lengthen, CheckpointError, r"copy/model.safetensors is damaged or cut short"),
        (spoil("model.safetensors", b""), CheckpointError, r"is damaged or cut short \(0 bytes"),
        (spoil("model.safetensors", b"\0" * 5 + b"\1\0\0"), CheckpointError, r"is damaged or cut short \(8 bytes"),
        (spoil("model.safetensors", b"\5\0\0\0\0\0\0\0hello"), CheckpointError, r"damaged or cut short \(13 bytes"),
        (spoil("model.safetensors", "version https://git-lfs.github.com/"), CheckpointError, "is a Git LFS pointer"),
        (spoil("model.safetensors", "\n<!doctype html>"), CheckpointError, "is a web page, not weights"),
        (spoil("model.safetensors", b"PK\x03\x04.."), CheckpointError, "is a zip or PyTorch file"),
        (spoil("model.safetensors", b"GGUF...."), CheckpointError, "is a GGUF file"),
        (spoil("x.incomplete", ""), CheckpointError, r"copy is half downloaded \(x.incomplete is left\)"),
        (link_out, CheckpointError, "copy/model.safetensors is a link out of its directory"),
    ],
)
def test_refuses(copied: Path, harm: Callable[[Path], object], kind: type[Exception], sentence: str) -> None:
    harm(copied)
    with pytest.raises(kind, match=sentence):
        open_checkpoint(copied)


def test_refuses_a_download_into_a_directory_that_has_not_ended(copied: Path) -> None:
    (copied / ".cache/huggingface/download").mkdir(parents=True)
    (copied / ".cache/huggingface/download/ab.cd.incomplete").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"copy is half downloaded \(ab.cd.incomplete is left\)"):
        open_checkpoint(copied)


def test_refuses_a_file(copied: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config.json' is a file; name the directory"):
        open_checkpoint(copied / "config.json")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"quantization_config": {"quant_method": "gptq"}}, r"copy is quantised \(gptq\)"),
        ({"transformers_weights": "../x"}, r"copy/config.json sends the loader to '../x'"),
    ],
)
def test_refuses_configs(copied: Path, fields: dict[str, object], sentence: str) -> None:
    change_config(copied, **fields)
    with pytest.raises(CheckpointError, match=sentence):
        open_checkpoint(copied)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_refuses_what_may_not_be_read(copied: Path) -> None:
    (copied / "model.safetensors").chmod(0)
    with pytest.raises(CheckpointError, match=r"copy/model.safetensors may not be read by this user"):
        open_checkpoint(copied)


def test_lists_all_missing_shards(sharded: Path) -> None:
    for shard in ("a.safetensors", "b.safetensors"):
        (sharded / shard).unlink()
    with pytest.raises(MissingError, match=r"copy lacks 2 of 2 weight files: a.safetensors, b.safetensors"):
        open_checkpoint(sharded)


@pytest.mark.parametrize(
    "shard", ["../a.safetensors", "/etc/passwd", "sub/a.safetensors", "a\\b.safetensors", "", None]
)
def test_index_stays_in_the_directory(sharded: Path, shard: str) -> None:
    write_index(sharded, {"model.norm.weight": shard})
    with pytest.raises(CheckpointError, match=r"puts 'model.norm.weight' into .*, which is no file of this directory"):
        open_checkpoint(sharded)


def test_index_has_to_tell_the_truth(sharded: Path) -> None:
    write_index(sharded, {"lm_head.weight": "b.safetensors", "model.norm.weight": "a.safetensors"})
    with pytest.raises(CheckpointError, match=r"puts 'lm_head.weight' into b.safetensors, which does not hold it"):
        open_checkpoint(sharded)
    write_index(sharded, {})
    with pytest.raises(CheckpointError, match=r"index.json has no weight_map"):
        open_checkpoint(sharded)


def test_refuses_a_tensor_in_two_shards(sharded: Path) -> None:
    shutil.copy(sharded / "a.safetensors", sharded / "b.safetensors")
    write_index(sharded, {"lm_head.weight": "a.safetensors", "model.norm.weight": "b.safetensors"})
    with pytest.raises(CheckpointError, match=r"has the tensor '.*' twice, in a.safetensors and b.safetensors"):
        open_checkpoint(sharded)


ATTENTION = {
    "qwen2": {"attn.q", "attn.k", "attn.v", "attn.o", "ln1", "ln2"},
    "qwen3": {"attn.q", "attn.k", "attn.v", "attn.o", "attn.q_norm", "attn.k_norm", "ln1", "ln2"},
    "llama": {"attn.q", "attn.k", "attn.v", "attn.o", "ln1", "ln2"},
    "gemma2": {"attn.q", "attn.k", "attn.v", "attn.o", "ln1", "ln2", "ln1_post", "ln2_post"},
    "gpt2": {"attn.qkv", "attn.o", "ln1", "ln2"},
    "neox": {"attn.qkv", "attn.o", "ln1", "ln2"},
}
OUTSIDE = {"embed", "ln_final"}


def test_components_have_transformer_lens_names(tiny_checkpoint: Make, architecture: str) -> None:
    places = component_names(open_checkpoint(tiny_checkpoint(architecture)))
    mlp = {"mlp.in", "mlp.out"} | ({"mlp.gate"} if architecture not in ("gpt2", "neox") else set())
    outside = OUTSIDE | {"gpt2": {"pos_embed"}, "llama": {"unembed"}, "neox": {"unembed"}}.get(architecture, set())
    inside = {(layer, part) for layer in range(4) for part in ATTENTION[architecture] | mlp}
    assert set(places.values()) == inside | {(None, name) for name in outside}


def test_component_names_of_a_few_tensors(tiny_checkpoint: Make) -> None:
    places = component_names(open_checkpoint(tiny_checkpoint("gpt2")))
    assert places["transformer.h.3.attn.c_attn.bias"] == places["transformer.h.3.attn.c_attn.weight"] == (3, "attn.qkv")
    places = component_names(open_checkpoint(tiny_checkpoint("neox")))
    assert places["embed_out.weight"] == (None, "unembed")


def test_component_names_without_prefix_and_with_a_saved_mask(tiny_checkpoint: Make, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_checkpoint("gpt2"), tmp_path / "gpt2"))
    tensors = {
        name.removeprefix("transformer."): tensor for name, tensor in load_file(folder / "model.safetensors").items()
    }
    save_file({**tensors, "h.0.attn.bias": torch.ones(1, 1, 4, 4)}, folder / "model.safetensors")
    places = component_names(open_checkpoint(folder))
    assert places["h.2.mlp.c_fc.weight"] == (2, "mlp.in")
    assert places["wpe.weight"] == (None, "pos_embed")
    assert places["h.0.attn.bias"] == (None, "h.0.attn.bias")


def test_refuses_a_model_that_the_bridge_lacks(copied: Path) -> None:
    change_config(copied, model_type="ctrl", architectures=["CTRLLMHeadModel"])
    with pytest.raises(CheckpointError, match=r"copy is of model_type 'ctrl', which TransformerBridge lacks"):
        component_names(open_checkpoint(copied))


def test_code_of_its_own_is_never_run(copied: Path) -> None:
    change_config(copied, model_type="own", auto_map={"AutoConfig": "code.Config"})
    (copied / "code.py").write_text("raise SystemExit('run')")
    with pytest.raises(CheckpointError, match=r"copy brings code of its own, which is never run, and"):
        component_names(open_checkpoint(copied))
