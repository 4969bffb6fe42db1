import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from interp.checkpoint import open_checkpoint
from interp.layers.components import component_parts
from interp.layers.folding import fold_norms

Make = Callable[..., Path]


@pytest.fixture
def uneven(tiny_checkpoint: Make, rewritten: Make) -> Callable[[str], Path]:
    """A checkpoint whose norms have gains and biases other than 1 and 0."""

    def make(architecture: str) -> Path:
        generator = torch.Generator().manual_seed(0)

        def shaken(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            return {
                name: t + 0.3 * torch.randn(t.shape, generator=generator) if t.ndim == 1 else t
                for name, t in tensors.items()
            }

        return rewritten(tiny_checkpoint(architecture), shaken)

    return make


def test_a_folded_checkpoint_computes_the_same(
    architecture: str, uneven: Callable[[str], Path], rewritten: Make
) -> None:
    source = uneven(architecture)
    checkpoint = open_checkpoint(source)
    fold, parts = fold_norms(checkpoint, checkpoint), component_parts(checkpoint)
    moved = []

    def folded(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        new = {}
        for name, tensor in tensors.items():
            pieces = [fold(*part) for part in parts(name, tensor)]
            moved.extend(said for _, said in pieces if said.startswith("moved"))
            entries = [piece.float() for piece, _ in pieces]
            joint = (
                torch.cat(entries, -1) if architecture == "gpt2" else torch.stack(entries, dim=min(1, len(pieces) - 1))
            )
            new[name] = joint.reshape(tensor.shape)
        return new

    tokens = torch.arange(4, 40)[None]
    logits = [
        AutoModelForCausalLM.from_pretrained(folder)(tokens).logits for folder in (source, rewritten(source, folded))
    ]
    torch.testing.assert_close(logits[1], logits[0], rtol=1e-4, atol=1e-4)
    per_layer = 4 if architecture in ("gpt2", "neox") else 2  # a LayerNorm's gain and bias, an RMSNorm's gain
    assert len(moved) == 4 * per_layer + (architecture == "llama")  # neox' last bias has nowhere to go


def test_a_norm_without_matrices_behind_it_stays(uneven: Callable[[str], Path]) -> None:
    checkpoint = open_checkpoint(uneven("gemma2"))
    fold = fold_norms(checkpoint, checkpoint)
    post = checkpoint.read("model.layers.0.post_attention_layernorm.weight")
    final = checkpoint.read("model.norm.weight")  # the unembedding is tied
    for layer, component, gain in ((0, "ln1_post", post), (None, "ln_final", final)):
        kept, said = fold(layer, component, gain)
        assert (kept is gain, said) == (True, "")


def test_an_unknown_family_is_refused(tiny_checkpoint: Make, rewritten: Make) -> None:
    folder = rewritten(tiny_checkpoint("llama"), dict)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "olmo2"}))
    checkpoint = open_checkpoint(folder)
    with pytest.raises(ValueError, match=r"which matrices read a norm is not known for 'olmo2', only for llama"):
        fold_norms(checkpoint, checkpoint)
