"""Which attention heads changed what they attend to (QK) and what they write (OV)?"""

import itertools
import math
from collections.abc import Iterator

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from interp.checkpoint import Checkpoint, transformers_config
from interp.layers.partners import Both, compared, partners, side_by_side
from interp.measurement import Measurement

_NEEDED = ("attn.q", "attn.k", "attn.v", "attn.o")
Heads = Float[Tensor, "head d_head d_model"]


def head_change(base: Checkpoint, tuned: Checkpoint, *, fold: bool = False) -> Measurement:
    """Relative change of every head's QK and OV circuit, `||tuned's - base's||_F / ||base's||_F`.

    QK = W_Q W_K^T is what the head looks for, OV = W_V W_O what it writes (Elhage et al. 2021, "A mathematical
    framework for transformer circuits"), both d_model x d_model of rank d_head. Turning q and k of a head against
    each other changes both matrices and nothing that the head does: neither does it change these products.

    Rows: layer, `head` (query head), `kv_head` (the key-value head it reads; several query heads share one under
    grouped-query attention), `circuit` ("QK" or "OV"), relative, cosine_distance, norm_change, norm_base.

    No d_model x d_model matrix is made. With A = [dQ; Q], B = [K'; dK] stacked over d_head, the change is A^T B and
    its squared norm the sum of (A A^T) * (B B^T), products of 2 d_head x 2 d_head, in fp64.

    Biases are ignored: they add to scores and outputs what does not depend on the token read. So is the rotation by
    position between q and k, and Qwen3's norm of each q and k (`attn.q_norm`, `attn.k_norm`): their change is in the
    table of weights. `fold` multiplies ln1's gain into q, k and v first.

    ValueError where a layer lacks one of the four matrices.
    """
    found = partners(base, tuned)
    config = transformers_config(base)
    walk = side_by_side(base, tuned, found, fold=fold, only=lambda component: component in _NEEDED)
    rows = []
    for layer, group in itertools.groupby(walk, key=lambda both: both.layer):
        matrices = {both.component: both for both in group}
        lacking = [component for component in _NEEDED if component not in matrices]
        if lacking:
            raise ValueError(f"layer {layer} has no {', '.join(lacking)} in both; heads need q, k, v and o")
        for row in _layer(matrices, config.num_attention_heads, input_first=config.model_type == "gpt2"):
            rows.append({"layer": layer, **row})
    if not rows:
        raise ValueError(f"{base.name} and {tuned.name} share no attention matrices; heads need q, k, v and o")
    ignored = "biases, rotation by position" + (", q_norm and k_norm" if _normed(base) else "")
    made_with = compared(base, tuned, found, fold=fold, ignored=ignored)
    return Measurement("heads", "relative change of each head's circuit", pd.DataFrame(rows), made_with)


def _layer(matrices: dict[str, Both], n_heads: int, *, input_first: bool) -> Iterator[dict[str, object]]:
    """Two rows for each query head."""
    d_head = matrices["attn.o"].base.numel() // _width(matrices["attn.o"], input_first) // n_heads
    cut = {name: _cut(both, name, d_head, input_first=input_first) for name, both in matrices.items()}
    share = n_heads // cut["attn.k"][0].shape[0]
    for head in range(n_heads):
        for circuit, left, right in (("QK", "attn.q", "attn.k"), ("OV", "attn.v", "attn.o")):
            at = {"attn.q": head, "attn.o": head, "attn.k": head // share, "attn.v": head // share}
            sides = [cut[name][which][at[name]].double() for name in (left, right) for which in (0, 1)]
            yield {"head": head, "kv_head": head // share, "circuit": circuit, **circuit_change(*sides)}


def circuit_change(
    left: Float[Tensor, "d_head d_model"],
    left_tuned: Float[Tensor, "d_head d_model"],
    right: Float[Tensor, "d_head d_model"],
    right_tuned: Float[Tensor, "d_head d_model"],
) -> dict[str, float]:
    """How far `left_tuned^T right_tuned` is from `left^T right`, without making either product; fp64 wanted."""
    change = _norm(torch.cat([left_tuned - left, left]), torch.cat([right_tuned, right_tuned - right]))
    base, tuned = _norm(left, right), _norm(left_tuned, right_tuned)
    same = change == 0
    angle = (change**2 - (base - tuned) ** 2) / (2 * base * tuned) if base * tuned else math.nan
    return {
        "relative": 0.0 if same else change / base if base else math.inf,
        "cosine_distance": 0.0 if same else angle,
        "norm_change": change,
        "norm_base": base,
    }


def _norm(a: Float[Tensor, "rank d_model"], b: Float[Tensor, "rank d_model"]) -> float:
    """||a^T b||_F; what rounding makes negative is rounding of 0."""
    return math.sqrt(max(0.0, ((a @ a.T) * (b @ b.T)).sum().item()))


def _cut(both: Both, component: str, d_head: int, *, input_first: bool) -> tuple[Heads, Heads]:
    """Base's and tuned's matrix as [head, d_head, d_model]; GPT-2 stores [in, out], the others [out, in]."""
    turned = input_first != (component == "attn.o")

    def heads(matrix: Float[Tensor, "..."]) -> Heads:
        flat = matrix.T if turned else matrix.flatten(0, -2)
        return flat.unflatten(0, (-1, d_head))

    return heads(both.base), heads(both.tuned)


def _width(output: Both, input_first: bool) -> int:
    """d_model, as the output matrix has it."""
    return output.base.shape[1 if input_first else 0]


def _normed(base: Checkpoint) -> bool:
    return any(".q_norm." in name for name in base.names())
