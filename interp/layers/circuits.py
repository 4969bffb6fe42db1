"""Which heads changed? What a head looks for (QK) and what it writes (OV), without building d_model x d_model."""

import pandas as pd
import torch
from jaxtyping import Float, Float64
from torch import Tensor
from tqdm.auto import tqdm

from interp.adapter import Adapted
from interp.checkpoint import Checkpoint
from interp.layers.components import component_parts
from interp.layers.weights import identity, partners
from interp.measurement import Measurement, provenance

_PARTS = ("attn.q", "attn.k", "attn.v", "attn.o")

Heads = dict[str, Float64[Tensor, "head d_model d_head"]]


def head_circuits(base: Checkpoint, tuned: Checkpoint | Adapted) -> Measurement:
    """Relative change of every head's QK and OV circuit, `||tuned's - base's||_F / ||base's||_F`.

    QK = W_Q W_K^T and OV = W_V W_O (Elhage et al. 2021), d_model x d_model of rank d_head; one row per layer, head and
    `circuit`. Rotary positions are left out (a query and its key at the same place), as are biases and the norms on
    queries and keys. With grouped-query attention a head uses its group's key and value.

    With A B^T and A' B'^T the two circuits, the difference is [A' - A, A] [B', B' - B]^T, and the squared norm of any
    P Q^T is the sum of the entries of (P^T P) * (Q^T Q): 2 d_head x 2 d_head products, and no cancellation however
    small the change is. A change of q and k that leaves their product alone, as any invertible map within a head,
    counts as none here.
    """
    partners(base, tuned)
    places: dict[int, list[str]] = {}
    parts = component_parts(base)
    for name in base.names():
        for layer, component, tensor in parts(name, base.read(name)):
            if layer is not None and component in _PARTS and tensor.dim() > 1 and name not in places.get(layer, []):
                places.setdefault(layer, []).append(name)
    rows = []
    for layer, names in tqdm(sorted(places.items()), desc="circuits", unit="layer", disable=None):
        ours, theirs = (_heads(base, checkpoint, names) for checkpoint in (base, tuned))
        for circuit, (left, right) in {"QK": ("attn.q", "attn.k"), "OV": ("attn.v", "attn.o")}.items():
            a, b, a2, b2 = ours[left], ours[right], theirs[left], theirs[right]
            change = product_norm(torch.cat([a2 - a, a], -1), torch.cat([b2, b2 - b], -1))
            own = product_norm(a, b)
            for head, (moved, size) in enumerate(zip(change.tolist(), own.tolist(), strict=True)):
                relative = 0.0 if moved == 0 else moved / size if size else float("inf")
                row = {"layer": layer, "head": head, "circuit": circuit, "relative": relative}
                rows.append(row | {"norm_change": moved, "norm_base": size})
    if not rows:
        raise ValueError(f"{base.name} has no attention heads whose q, k, v and o are known here")
    made_with = provenance(base=identity(base), tuned=identity(tuned))
    return Measurement("circuits", "relative Frobenius change of each head's circuit", pd.DataFrame(rows), made_with)


def product_norm(p: Float[Tensor, "head d k"], q: Float[Tensor, "head e k"]) -> Float[Tensor, " head"]:
    """Frobenius norm of p q^T for every head, from two k x k products."""
    return ((p.mT @ p) * (q.mT @ q)).sum((-2, -1)).clamp(min=0).sqrt()


def _heads(base: Checkpoint, checkpoint: Checkpoint | Adapted, names: list[str]) -> Heads:
    """q, k, v and o of one layer as [head, d_model, d_head], key-value heads repeated for the heads that share them."""
    config, parts, found = base.config, component_parts(base), dict[str, Tensor]()
    n_heads = int(config.get("num_attention_heads") or config["n_head"])
    for name in names:
        for _, component, tensor in parts(name, checkpoint.read(name)):
            # A matrix is stored [out, in], by GPT-2 [in, out]; NeoX' parts come as [head, d_head, in].
            flat = tensor.flatten(0, 1) if tensor.dim() == 3 else tensor
            found[component] = (flat.T if config["model_type"] == "gpt2" else flat).double()
    d_head = found["attn.q"].shape[0] // n_heads
    heads = {part: found[part].unflatten(0, (-1, d_head)).mT for part in ("attn.q", "attn.k", "attn.v")}
    heads = {part: x.repeat_interleave(n_heads // x.shape[0], 0) for part, x in heads.items()}
    return heads | {"attn.o": found["attn.o"].unflatten(1, (n_heads, d_head)).transpose(0, 1)}
