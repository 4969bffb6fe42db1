"""What each rank of the test of sharding does, importable where ranks are."""

import json
from pathlib import Path

import torch

from interp.checkpoint import open_checkpoint, transformers_config
from interp.loading import bridged, load_tokenizer, plain_model
from interp.sharding import sharded

RANKS = 2


def rank(number: int, checkpoint: Path, folder: Path) -> None:
    """Write how far the sharded model's logits and streams are from the whole model's, and what share lies here."""
    torch.set_num_threads(1)
    group = {"init_method": f"file://{folder / 'meeting'}", "rank": number, "world_size": RANKS}
    torch.distributed.init_process_group("gloo", **group)
    opened = open_checkpoint(checkpoint)
    tokenizer = load_tokenizer(opened, transformers_config(opened))
    models = [plain_model(opened, torch.float32, torch.device("cpu")) for _ in range(2)]
    part = sharded(models[1])
    here = sum(parameter.to_local().numel() for parameter in part.parameters())
    bridges = [bridged(model, opened, tokenizer)[0] for model in models]
    tokens = torch.arange(3, 33).reshape(2, 15)
    with torch.inference_mode():
        (whole, streams), (parts, theirs) = (bridge.run_with_cache(tokens) for bridge in bridges)
    names = [f"blocks.{layer}.hook_out" for layer in range(bridges[0].cfg.n_layers)]
    found = {
        "logits": float((whole - parts).abs().max()),
        "streams": [float((streams[name] - theirs[name]).abs().max()) for name in names],
        "largest": float(whole.abs().max()),
        "share": here / sum(parameter.numel() for parameter in models[0].parameters()),
    }
    (folder / f"{number}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()
