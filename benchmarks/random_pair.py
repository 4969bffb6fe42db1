"""Pairs of random weights that the benchmarks measure: large enough to time, with nothing to download."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, Qwen2Config

from interp.organisms.language import make_tokenizer


def written(
    folder: Path,
    config: Qwen2Config,
    *,
    seed: int = 0,
    change: float = 0.0,
    dtype: torch.dtype = torch.float32,
    shard: str = "50GB",
) -> Path:
    """A Qwen2 of random weights in `folder`; `change` adds noise of this share of each tensor's standard deviation."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config)
    if change:
        with torch.no_grad():
            for weight in model.parameters():
                weight += change * weight.std() * torch.randn(weight.shape)
    model.to(dtype).save_pretrained(folder, max_shard_size=shard)
    make_tokenizer().save_pretrained(folder)
    return folder
