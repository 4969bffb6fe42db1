import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from interp.adapter import open_adapter
from interp.checkpoint import CheckpointError, MissingError, open_checkpoint
from interp.layers.weights import weight_change

TARGET = "model.layers.1.self_attn.q_proj.weight"
CONFIG = {"peft_type": "LORA", "r": 2, "lora_alpha": 8, "bias": "none"}


def adapter(folder: Path, *, target: str = TARGET, config: dict[str, Any] | None = None, **factors: Any) -> Path:
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(shape, generator=generator) * 0.1 for shape in ((2, 32), (32, 2)))
    key = "base_model.model." + target.removesuffix(".weight")
    tensors = {f"{key}.lora_A.weight": a, f"{key}.lora_B.weight": b} | factors
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({**CONFIG, **(config or {})}))
    return folder


@pytest.mark.parametrize(("option", "scale"), [({}, 4.0), ({"use_rslora": True}, 8 / 2**0.5)])
def test_the_change_is_the_scaled_product_in_its_target_and_nothing_elsewhere(
    option: dict[str, Any], scale: float, tiny_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    base = open_checkpoint(tiny_checkpoint("llama"))
    folder = adapter(tmp_path / "lora", config=option)
    table = weight_change(base, open_adapter(folder, base)).table.set_index("tensor")
    a, b = load_file(folder / "adapter_model.safetensors").values()
    expected = scale * (b @ a).norm() / base.read(TARGET).norm()
    assert table.relative[TARGET] == pytest.approx(float(expected), rel=1e-5)
    assert (table.relative.drop(TARGET) == 0).all()


def test_the_digest_hangs_on_base_and_adapter(tiny_checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    bases = [open_checkpoint(tiny_checkpoint("llama", seed)) for seed in (0, 1)]
    one, other = adapter(tmp_path / "one"), adapter(tmp_path / "two", config={"lora_alpha": 16})
    made = [open_adapter(one, bases[0]), open_adapter(one, bases[1]), open_adapter(other, bases[0])]
    assert len({adapted.digest for adapted in made}) == 3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"config": {"use_dora": True}}, "is no plain LoRA adapter"),
        ({"config": {"rank_pattern": {"q_proj": 4}}}, "is no plain LoRA adapter"),
        ({"target": "model.layers.9.self_attn.q_proj.weight"}, "changes no matrix of"),
        ({"more.lora_A.weight": torch.ones(2, 2)}, "changes no matrix of"),
    ],
)
def test_what_is_not_plain_lora_on_this_base_is_refused(
    options: dict[str, Any], sentence: str, tiny_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    base = open_checkpoint(tiny_checkpoint("llama"))
    with pytest.raises(CheckpointError, match=sentence):
        open_adapter(adapter(tmp_path / "lora", **options), base)


def test_a_directory_without_an_adapter_is_missing(tiny_checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="has no adapter_config.json"):
        open_adapter(tmp_path, open_checkpoint(tiny_checkpoint("llama")))
