"""One checkpoint on disk: its config, and its tensors streamed from safetensors. No model is built.

A checkpoint is named by a directory, a hub id `org/name@revision`, or `organism:NAME@SEED`. What is named is checked
before anything is read from it: nothing outside its directory is opened, and no code that it brings is run.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
ADAPTER_CONFIG = "adapter_config.json"
CONFIGS = ("config.json", "generation_config.json")
VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")
_TOKENIZER_FILES = (
    *VOCABULARIES,
    *("merges.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"),
)
_JSON_LIMIT = 32 * 2**20  # an index of 70B parameters has 100 kB
_VOCABULARY_LIMIT = 256 * 2**20  # the largest tokenizer.json in use has about 35 MB
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
_EXPERT = re.compile(
    r"(?:.+\.)?layers\.(\d+)\.(?:mlp|block_sparse_moe)\.(?:(experts(?:\.\d+)?|shared_experts?)\.(\w+?)|gate)(?:\.weight)?"
)
_EXPERT_PARTS = {"w1": "gate", "w3": "in", "w2": "out", "gate_proj": "gate", "up_proj": "in", "down_proj": "out"}
_SHARD = re.compile(r"[\w.+-]+\.safetensors")
_RUN_STEP = re.compile(r"(checkpoint|step|epoch).*|final|best|last|\d+")
_OTHER_FORMATS = {
    b"version https://git-lfs": "a Git LFS pointer, not the file itself; fetch it with `git lfs pull`",
    b"PK\x03\x04": "a zip or PyTorch file; save it again as safetensors",
    b"GGUF": "a GGUF file; name the original checkpoint",
    b"<": "a web page, not weights; download it again",
}


class CheckpointError(ValueError):
    """A checkpoint is damaged, unsafe to read, or of a kind that cannot be compared."""


class MissingError(CheckpointError):
    """A checkpoint, or a file that it needs, is not there."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checked directory of safetensors: `config`, and tensors that are read one at a time.

    `name` is what the user typed, shortened so that it shows no path of this machine; `revision` is the hub commit;
    `files` says which file holds which tensor. Made by `open_checkpoint`.
    """

    name: str
    folder: Path
    revision: str | None
    config: Mapping[str, Any] = field(repr=False)
    files: Mapping[str, Path] = field(repr=False)

    def names(self) -> list[str]:
        """Names of all tensors, as the files give them; a tied head is not in them twice."""
        return list(self.files)

    def read(self, name: str) -> Tensor:
        """One tensor, in its stored dtype, mapped from disk: nothing else is loaded."""
        if name not in self.files:
            raise ValueError(f"{self.name} has no tensor {name!r}{_nearest(name, self.files)}")
        try:
            with safe_open(self.files[name], framework="pt", device="cpu") as file:
                return file.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise _damaged(f"{self.name}/{self.files[name].name}", self.files[name], error) from error

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of one tensor."""
        return tuple(self.read(name).shape)

    def dtype(self, name: str) -> torch.dtype:
        """Stored dtype of one tensor."""
        return self.read(name).dtype

    @cached_property
    def digest(self) -> str:
        """The first 16 hex digits of a SHA-256 over weights, config and tokenizer files: names, sizes and bytes.

        CheckpointError for a file in the hub's cache whose bytes are not those that the hub has under its name.
        """
        total = hashlib.sha256()
        beside = (self.folder / name for name in (*CONFIGS, *_TOKENIZER_FILES))
        for path in sorted({*self.files.values(), *(path for path in beside if path.is_file())}):
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            promised = path.resolve().name  # the hub's cache names a large file by its SHA-256
            if path.is_symlink() and _SHA256.fullmatch(promised) and content != promised:
                raise CheckpointError(
                    f"{self.name}/{path.name} is not the file that the hub has: its SHA-256 is {content[:16]}..., not "
                    f"{promised[:16]}...; download it again"
                )
            total.update(f"{path.name}\0{path.stat().st_size}\0{content}\0".encode())
        return total.hexdigest()[:16]


def open_checkpoint(reference: str | Path | Checkpoint) -> Checkpoint:
    """The checkpoint that a directory, `org/name@revision` or `organism:NAME@SEED` names, checked but not loaded.

    Refused with a `MissingError`: what is not there. With a `CheckpointError`: files that are damaged, cut short or
    still being downloaded, paths that leave the directory, quantised weights, adapters, pickles.
    """
    if isinstance(reference, Checkpoint):
        return reference
    name, folder, revision = resolve(str(reference))
    try:
        unfinished = [*folder.glob("*.incomplete"), *folder.glob(".cache/huggingface/download/**/*.incomplete")]
        if unfinished:
            raise CheckpointError(f"{name} is half downloaded ({unfinished[0].name} is left); finish the download")
        for file in (*CONFIGS, *_TOKENIZER_FILES):
            _bearable(_stay_inside(folder, file, name), f"{name}/{file}")
        return Checkpoint(name, folder, revision, _config(folder, name), _tensors(folder, name))
    except PermissionError as error:
        raise CheckpointError(f"{name}/{Path(error.filename).name} may not be read by this user; allow it") from error


def transformers_config(checkpoint: Checkpoint) -> Any:
    """The transformers config, with the defaults that an older file leaves out, of a model the bridge knows."""
    from transformer_lens.model_bridge.sources.transformers import determine_architecture_from_hf_config
    from transformers import AutoConfig

    kind = checkpoint.config["model_type"]
    try:
        config = AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True, trust_remote_code=False)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        own = "brings code of its own, which is never run, and " if checkpoint.config.get("auto_map") else ""
        raise CheckpointError(
            f"{checkpoint.name} {own}has the model_type {kind!r}, and transformers cannot read its config: {error}"
        ) from error
    try:
        determine_architecture_from_hf_config(config)
    except ValueError as error:
        raise CheckpointError(f"{checkpoint.name} is of model_type {kind!r}, which TransformerBridge lacks") from error
    return config


def component_names(checkpoint: Checkpoint) -> dict[str, tuple[int | None, str]]:
    """Layer and TransformerLens component of every tensor: `(3, "attn.q")`, `(None, "embed")`; no weights are built.

    A weight and its bias share a component. The joint matrix of GPT-2 and GPT-NeoX is `attn.qkv`. Of a mixture of
    experts the matrices are `mlp.experts.3.in` and so on, and `mlp.gate` is what chooses between them. A tensor that
    the architecture's adapter does not place (a saved mask, say) keeps its own name, outside the blocks.
    """
    from transformer_lens.factories.architecture_adapter_factory import ArchitectureAdapterFactory
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_config_from_hf
    from transformer_lens.model_bridge.sources.transformers import determine_architecture_from_hf_config

    config = transformers_config(checkpoint)
    architecture = determine_architecture_from_hf_config(config)
    wanted = build_bridge_config_from_hf(config, architecture, checkpoint.name, config.dtype)
    adapter = ArchitectureAdapterFactory.select_architecture_adapter(wanted)
    return {name: _component(name, adapter) for name in checkpoint.names()}


def _component(name: str, adapter: Any) -> tuple[int | None, str]:
    """Where the adapter places one tensor, under its name or under its name with the model's prefix."""
    mapping = adapter.component_mapping
    prefix = mapping["embed"].name.partition(".")[0]
    parts = mapping["blocks"].submodules
    inner = {f"{part}.{child}" for part in parts for child in getattr(parts[part], "submodules", {})}
    leaves = inner | {part for part in parts if not getattr(parts[part], "submodules", {})}
    # transformers loads GPT-NeoX's `embed_out` as `lm_head`, and GPT-2's published tensors carry no prefix.
    for key in (re.sub(r"^embed_out\.", "lm_head.", name), f"{prefix}.{name}"):
        placed = re.sub(r"\.(weight|bias)$", "", adapter.convert_hf_key_to_tl_key(key))
        block = re.fullmatch(r"blocks\.(\d+)\.(.+)", placed)
        if block and block[2] in leaves:
            return int(block[1]), block[2]
        if placed in mapping:
            return None, placed
    if expert := _EXPERT.fullmatch(name):  # the adapters take all experts of a block for one module
        layer, which, part = expert.groups()
        return int(layer), f"mlp.{which}.{_EXPERT_PARTS.get(part, part)}" if which else "mlp.gate"
    return None, name


def resolve(reference: str) -> tuple[str, Path, str | None]:
    """What a reference names: the name to show, the directory, and the hub commit."""
    if reference.startswith("organism:"):
        return reference, _organism(reference.removeprefix("organism:")), None
    if not reference.strip():
        raise MissingError("the checkpoint's name is empty; give a directory, org/name@revision or organism:NAME")
    path = Path(reference).expanduser()
    if path.is_dir():
        return _shown(Path(reference), path.resolve()), path, _commit(path.resolve())
    if path.exists():
        raise CheckpointError(f"{reference!r} is a file; name the directory that holds config.json and the weights")
    hub_id, _, revision = reference.partition("@")
    if _HUB_ID.fullmatch(reference) and not Path(hub_id).parent.is_dir():
        folder = _downloaded(hub_id, revision or "main")
        return reference, folder, _commit(folder)
    siblings = [p.name for p in path.parent.iterdir() if p.is_dir()] if path.parent.is_dir() else []
    raise MissingError(
        f"there is no directory {reference!r}{_nearest(path.name, siblings)}; "
        "a hub model is named org/name@revision, a shipped one organism:NAME"
    )


def _organism(named: str) -> Path:
    from interp.organisms import shelf

    name, _, seed = named.partition("@")
    if seed and not seed.isdecimal():
        raise ValueError(f"the seed in 'organism:{named}' is {seed!r}; write a whole number, as in organism:{name}@1")
    try:
        return shelf.folder(name, int(seed or 0))
    except LookupError as error:
        raise MissingError(f"{error}{_nearest(name, shelf.names(int(seed or 0)))}") from error


def _shown(typed: Path, folder: Path) -> str:
    """A name that shows no path of this machine: two parts where the user typed them, or where one says too little."""
    if _commit(folder):
        return folder.parents[1].name.removeprefix("models--").replace("--", "/")
    if not typed.is_absolute() and typed.parts and not {"..", "~"} & set(typed.parts):
        return "/".join(typed.parts[-2:])
    return f"{folder.parent.name}/{folder.name}" if _RUN_STEP.fullmatch(folder.name) else folder.name


def _commit(folder: Path) -> str | None:
    """The commit of a snapshot in the hub's cache, `models--org--name/snapshots/COMMIT`."""
    cached = folder.parent.name == "snapshots" and folder.parents[1].name.startswith("models--")
    return folder.name if cached else None


def _downloaded(hub_id: str, revision: str) -> Path:
    """The snapshot of a hub model, from the network or, without one, from the cache."""
    from huggingface_hub import errors, snapshot_download

    try:
        folder = snapshot_download(
            hub_id,
            revision=revision,
            allow_patterns=[*CONFIGS, *_TOKENIZER_FILES, "*.safetensors", INDEX],
            ignore_patterns=["*/*", "consolidated*"],
        )
    except errors.LocalEntryNotFoundError as error:
        raise MissingError(
            f"{hub_id!r} at {revision!r} is neither a directory here nor in the hub's cache, and the hub cannot be "
            "reached; connect, or name a directory"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise MissingError(f"the hub's {hub_id!r} has no revision {revision!r}; name one that it has") from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise MissingError(
            f"the hub has no model {hub_id!r}, or keeps it from you; check the name, or log in with `hf auth login`"
        ) from error
    return Path(folder)


def _config(folder: Path, name: str) -> dict[str, Any]:
    """config.json, of a model whose weights can be read as they are."""
    if (folder / ADAPTER_CONFIG).is_file():  # transformers would load another model and add this to it
        raise CheckpointError(
            f"{name} is a LoRA adapter, not a whole model; merge it into its base first "
            "(peft: merge_and_unload, then save_pretrained), or compare weights alone with open_adapter"
        )
    config = read_object(folder, "config.json", name)
    if not isinstance(config.get("model_type"), str):
        raise CheckpointError(f"{name}/config.json names no model_type; save the model again with transformers")
    if config.get("quantization_config"):
        method = config["quantization_config"].get("quant_method", "unknown method")
        raise CheckpointError(f"{name} is quantised ({method}); name a checkpoint with plain weights")
    if config.get("transformers_weights"):
        file = config["transformers_weights"]
        raise CheckpointError(f"{name}/config.json sends the loader to {file!r}; save the weights as {SINGLE}")
    return config


def read_object(folder: Path, file: str, name: str) -> dict[str, Any]:
    """A JSON object of the checkpoint, of bearable size."""
    path = _stay_inside(folder, file, name)
    if not path.is_file():
        raise MissingError(f"{name} has no {file}{_interrupted(folder)}; name the directory of a saved model")
    _bearable(path, f"{name}/{file}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{name}/{file} is not JSON ({error}); download or save it again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{name}/{file} holds a {type(content).__name__}, not an object; save it again")
    return content


def _bearable(path: Path, label: str) -> None:
    """Refuse a file beside the weights that is too large to be what its name says; none at all is fine."""
    limit = _VOCABULARY_LIMIT if path.name in (*VOCABULARIES, "merges.txt") else _JSON_LIMIT
    if path.is_file() and path.stat().st_size > limit:
        raise CheckpointError(f"{label} has {path.stat().st_size:,} bytes, more than {limit:,} are not read")


def _tensors(folder: Path, name: str) -> dict[str, Path]:
    """Which file holds which tensor. Where both layouts lie side by side transformers takes the single file."""
    single = _stay_inside(folder, SINGLE, name)
    if single.is_file():
        return dict.fromkeys(_keys(single, f"{name}/{SINGLE}"), single)
    if not (folder / INDEX).is_file():
        raise _no_weights(folder, name)
    shard_of = read_object(folder, INDEX, name).get("weight_map")
    if not isinstance(shard_of, dict) or not shard_of:
        raise CheckpointError(f"{name}/{INDEX} has no weight_map; save the model again")
    for tensor, shard in shard_of.items():
        if not isinstance(shard, str) or not _SHARD.fullmatch(shard):
            raise CheckpointError(f"{name}/{INDEX} puts {tensor!r} into {shard!r}, which is no file of this directory")
    paths = {shard: _stay_inside(folder, shard, name) for shard in sorted(set(shard_of.values()))}
    absent = [shard for shard, path in paths.items() if not path.is_file()]
    if absent:
        raise MissingError(
            f"{name} lacks {len(absent)} of {len(paths)} weight files{_interrupted(folder)}: {', '.join(absent)}; "
            "finish the download"
        )
    return _merged({shard: _keys(path, f"{name}/{shard}") for shard, path in paths.items()}, shard_of, paths, name)


def _merged(
    keys: Mapping[str, list[str]], shard_of: Mapping[str, str], paths: Mapping[str, Path], name: str
) -> dict[str, Path]:
    """The shards' tensors together, each in one shard and where the index says."""
    files: dict[str, Path] = {}
    for shard, tensors in keys.items():
        for tensor in tensors:
            if tensor in files:
                raise CheckpointError(f"{name} has the tensor {tensor!r} twice, in {files[tensor].name} and {shard}")
            files[tensor] = paths[shard]
    for tensor, shard in shard_of.items():
        if files.get(tensor) != paths[shard]:
            raise CheckpointError(f"{name}/{INDEX} puts {tensor!r} into {shard}, which does not hold it; save it again")
    return files


def _keys(path: Path, label: str) -> list[str]:
    """Names of the tensors in one file, whose header has been checked against its size."""
    with path.open("rb") as file:
        start = file.read(32)
    for magic, what in _OTHER_FORMATS.items():
        if start.lstrip().startswith(magic):
            raise CheckpointError(f"{label} is {what}")
    try:
        with safe_open(path, framework="pt", device="cpu") as opened:
            return list(opened.keys())
    except (SafetensorError, OSError) as error:
        raise _damaged(label, path, error) from error


def _damaged(label: str, path: Path, error: Exception) -> CheckpointError:
    size = path.stat().st_size if path.is_file() else 0
    return CheckpointError(f"{label} is damaged or cut short ({size:,} bytes: {error}); download or save it again")


def _no_weights(folder: Path, name: str) -> CheckpointError:
    """Why there is nothing to read, by what lies there instead."""
    pickles = sorted(p.name for pattern in ("*.bin", "*.pt", "*.pth") for p in folder.glob(pattern))
    if pickles:
        return MissingError(
            f"{name} has no safetensors, only {pickles[0]}, and a pickle is not opened here because it can run code; "
            "convert it once with AutoModelForCausalLM.from_pretrained(old).save_pretrained(new)"
        )
    others = sorted(p.name for p in folder.glob("*.safetensors") if p.is_file())
    if others:
        return MissingError(f"{name} has {others[0]} but neither {SINGLE} nor {INDEX}; save the model again")
    return MissingError(f"{name} has no safetensors{_interrupted(folder)}; name the directory of a saved model")


def _interrupted(folder: Path) -> str:
    """Says that the hub's cache holds an unfinished download of this model."""
    unfinished = _commit(folder) and any((folder.parents[1] / "blobs").glob("*.incomplete"))
    return " (its download was interrupted)" if unfinished else ""


def _stay_inside(folder: Path, file: str, name: str) -> Path:
    """The path of a file that really lies in the directory, or in the blobs beside a snapshot of the hub's cache."""
    path, home = folder / file, folder.resolve()
    target = path.resolve()
    if target.is_relative_to(home) or (_commit(home) and target.parent == home.parents[1] / "blobs"):
        return path
    raise CheckpointError(f"{name}/{file} is a link out of its directory; put the file itself there")


def _nearest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), 1)
    return f", the nearest is {close[0]!r}" if close else ""
