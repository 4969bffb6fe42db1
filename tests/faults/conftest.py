"""A checkpoint that a test may spoil, and ways of spoiling it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from torch import Tensor

Tensors = dict[str, Tensor]


@pytest.fixture
def base(tiny_checkpoint: Callable[..., Path]) -> Path:
    """A Llama; leave it as it is."""
    return tiny_checkpoint("llama")


@pytest.fixture
def spoilt(base: Path, tmp_path: Path) -> Path:
    """A copy of it, named `spoilt`."""
    return Path(shutil.copytree(base, tmp_path / "spoilt"))


@pytest.fixture
def sharded(spoilt: Path) -> Path:
    """The copy in the shards `a` and `b`, with the index that transformers writes."""
    tensors = load_file(spoilt / "model.safetensors")
    (spoilt / "model.safetensors").unlink()
    shard_of = {name: "ab"[i % 2] + ".safetensors" for i, name in enumerate(sorted(tensors))}
    for shard in set(shard_of.values()):
        save_file({name: tensors[name] for name in tensors if shard_of[name] == shard}, spoilt / shard)
    size = sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": shard_of}
    (spoilt / "model.safetensors.index.json").write_text(json.dumps(index))
    return spoilt


@pytest.fixture
def change_json() -> Callable[..., None]:
    """`change_json(path, key=value, ...)`: set these keys of a JSON object."""

    def change(path: Path, **values: Any) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return change


@pytest.fixture
def change_tensors() -> Callable[[Path, Callable[[Tensors], Tensors]], None]:
    """`change_tensors(folder, function)`: the tensors of a checkpoint become what the function makes of them."""

    def change(folder: Path, make: Callable[[Tensors], Tensors]) -> None:
        tensors = make(load_file(folder / "model.safetensors"))
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return change
