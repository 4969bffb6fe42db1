"""Norm gains multiplied into the matrices that read them, so that two checkpoints are compared in one gauge."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from interp.checkpoint import Checkpoint, component_names
from interp.layers.components import component_parts

READERS = {"ln1": ("attn.q", "attn.k", "attn.v"), "ln2": ("mlp.gate", "mlp.in"), "ln_final": ("unembed",)}
_NORM_OF = {reader: norm for norm, readers in READERS.items() for reader in readers}
_FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gpt2", "gpt_neox")
_GAIN_PLUS_ONE = ("gemma", "gemma2")  # they store the gain less 1

Fold = Callable[[int | None, str, Float[Tensor, "..."]], tuple[Float[Tensor, "..."], str]]


def fold_norms(base: Checkpoint, checkpoint: Checkpoint) -> Fold:
    """A function from (layer, component, its entries) to the folded entries and what was moved, in words.

    The function that the model computes stays the same: `W (g * x + b) = (W g) x + W b`. A gain g of ln1 goes into
    q, k and v, of ln2 into the MLP's gate and in matrices, of the final norm into the unembedding; the norm's gain
    becomes 1, its bias 0. A norm stays as it is where a reader could not take its share: a tied unembedding is the
    embedding too, and a bias needs a bias to go to. Norms that follow a block (`ln1_post`) or sit inside it
    (`attn.q_norm`) have no matrix behind them and stay too. Names and layout are those of `base`.

    ValueError for a family whose readers are not known.
    """
    kind = base.config["model_type"]
    if kind not in _FAMILIES:
        raise ValueError(f"which matrices read a norm is not known for {kind!r}, only for {', '.join(_FAMILIES)}")
    stored = {
        (layer, component, name.endswith(".bias")): name
        for name, (layer, component) in component_names(base).items()
        if name in set(checkpoint.names())
    }
    parts = component_parts(base)

    def entries(layer: int | None, component: str, *, bias: bool) -> Float[Tensor, "..."] | None:
        joint = (layer, "attn.qkv", bias)
        name = stored.get((layer, component, bias), stored.get(joint) if component.startswith("attn.") else None)
        if name is None:
            return None
        wanted = component + (".bias" if bias else "")
        return next(tensor for _, part, tensor in parts(name, checkpoint.read(name)) if part == wanted)

    def readers(layer: int | None, norm: str) -> tuple[str, ...]:
        """Who takes this norm's gain; nobody where one of them cannot."""
        present = [reader for reader in READERS[norm] if entries(layer, reader, bias=False) is not None]
        shifts = entries(layer, norm, bias=True) is not None
        if shifts and any(entries(layer, reader, bias=True) is None for reader in present):
            return ()
        return tuple(present)

    def fold(layer: int | None, component: str, tensor: Float[Tensor, "..."]) -> tuple[Float[Tensor, "..."], str]:
        part, bias = component.removesuffix(".bias"), component.endswith(".bias")
        if part in READERS and readers(layer, part):
            neutral = torch.zeros_like if bias or kind in _GAIN_PLUS_ONE else torch.ones_like
            return neutral(tensor), f"moved into {', '.join(readers(layer, part))}"
        norm = _NORM_OF.get(part)
        if norm is None or part not in readers(layer, norm):
            return tensor, ""
        if not bias:
            gain = _wide(entries(layer, norm, bias=False)) + (kind in _GAIN_PLUS_ONE)
            return _wide(tensor) * (gain[:, None] if _input_first(kind, part) else gain), f"times {norm}"
        shift, weight = entries(layer, norm, bias=True), entries(layer, part, bias=False)
        if shift is None:
            return tensor, ""
        turned = _wide(weight).T if _input_first(kind, part) else _wide(weight)
        return _wide(tensor) + turned @ _wide(shift), f"plus {part} of {norm}.bias"

    return fold


def _wide(tensor: Float[Tensor, "..."] | None) -> Float[Tensor, "..."]:
    """fp64, so that a folded entry carries no rounding of its own."""
    assert tensor is not None
    return tensor.double()


def _input_first(kind: str, component: str) -> bool:
    """GPT-2 stores the matrices of its blocks as [in, out]."""
    return kind == "gpt2" and component != "unembed"
