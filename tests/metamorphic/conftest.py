"""Texts to read, and Llamas whose tensors are rewritten."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from interp.tasks.task import Label, Reading

Rewrite = Callable[[dict[str, Tensor]], dict[str, Tensor]]


@pytest.fixture(scope="session")
def readings() -> list[Reading]:
    """Eight random texts of 4 to 18 tokens."""
    generator = torch.Generator().manual_seed(0)
    texts = [(1, *torch.randint(4, 60, (2 * n + 3,), generator=generator).tolist()) for n in range(8)]
    return [Reading(f"text {n}", text, (Label("", "text"),) * len(text)) for n, text in enumerate(texts)]


@pytest.fixture(scope="session")
def rewritten(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`rewritten(checkpoint, function, ids=None)`: a copy with other tensors and, where `ids` is given, other ids."""

    def rewrite(source: Path, change: Rewrite, ids: Tensor | None = None) -> Path:
        folder = tmp_path_factory.mktemp("rewritten") / "copy"
        shutil.copytree(source, folder)
        tensors = change(load_file(source / "model.safetensors"))
        contiguous = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, folder / "model.safetensors", metadata={"format": "pt"})
        if ids is not None:
            tokenizer = json.loads((folder / "tokenizer.json").read_text())
            words = tokenizer["model"]["vocab"]
            tokenizer["model"]["vocab"] = {word: int(ids[i]) for word, i in words.items()}
            (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
        return folder

    return rewrite
