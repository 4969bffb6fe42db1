"""Checkpoints with a planted edit, and texts to read."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from interp.tasks.task import Label, Reading

Edits = Mapping[str, Callable[[Tensor], Tensor]]


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[Path, Edits], Path]:
    """`edited(checkpoint, {tensor name: function})`: a copy with those tensors replaced."""

    def edit(source: Path, edits: Edits) -> Path:
        folder = tmp_path / f"edited-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(source, folder)
        tensors = load_file(source / "model.safetensors")
        for name, change in edits.items():
            tensors[name] = change(tensors[name]).contiguous()
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return folder

    return edit


@pytest.fixture
def rewritten(tmp_path: Path) -> Callable[[Path, Callable[[dict[str, Tensor]], dict[str, Tensor]]], Path]:
    """`rewritten(checkpoint, function)`: a copy whose tensors are what the function makes of them all."""

    def rewrite(source: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Path:
        folder = tmp_path / f"rewritten-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(source, folder)
        tensors = {
            name: tensor.contiguous() for name, tensor in change(load_file(source / "model.safetensors")).items()
        }
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return folder

    return rewrite


@pytest.fixture(scope="session")
def readings() -> list[Reading]:
    """Twelve random texts of 2 to 24 tokens."""
    generator = torch.Generator().manual_seed(0)
    texts = [(1, *torch.randint(4, 60, (2 * n + 1,), generator=generator).tolist()) for n in range(12)]
    return [Reading(f"text {n}", text, (Label("", "text"),) * len(text)) for n, text in enumerate(texts)]
