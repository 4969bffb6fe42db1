from collections.abc import Callable
from pathlib import Path

import torch

from interp.checkpoint import open_checkpoint
from interp.layers.components import component_parts
from interp.pair import Pair


def test_parts_are_the_tensors_that_the_bridge_computes_with(
    architecture: str, tiny_checkpoint: Callable[..., Path], tiny_pair: Callable[[str], Pair]
) -> None:
    checkpoint = open_checkpoint(tiny_checkpoint(architecture, 0))
    parts = component_parts(checkpoint)
    inside = tiny_pair(architecture).base.state_dict()
    seen = set()
    for name in checkpoint.names():
        for layer, component, part in parts(name, checkpoint.read(name)):
            where = component if layer is None else f"blocks.{layer}.{component}"
            theirs = inside[where if component.endswith(".bias") else f"{where}.weight"]
            # The bridge turns GPT-2's q, k and v from [in, out] to [out, in].
            turned = architecture == "gpt2" and component in ("attn.q", "attn.k", "attn.v")
            flat = (part.T if turned else part).reshape(theirs.shape)
            torch.testing.assert_close(flat, theirs, rtol=0, atol=0)
            seen.add((layer, component))
    assert {(layer, part) for layer in range(4) for part in ("attn.q", "attn.k", "attn.v", "attn.o", "mlp.out")} <= seen
    assert {(None, "embed"), (None, "ln_final")} <= seen


def test_a_joint_matrix_of_unknown_layout_stays_whole(tiny_checkpoint: Callable[..., Path]) -> None:
    checkpoint = open_checkpoint(tiny_checkpoint("gpt2", 0))
    object.__setattr__(checkpoint, "config", {**checkpoint.config, "model_type": "another"})
    name = "transformer.h.1.attn.c_attn.weight"
    [(layer, component, part)] = component_parts(checkpoint)(name, checkpoint.read(name))
    assert (layer, component, part.shape) == (1, "attn.qkv", (32, 96))
