"""KL, Jensen-Shannon and agreement of many pairs of next-token distributions, at little more than their logits cost.

`interp.distances` computes the same in fp64, which takes longer than the head that made the logits. Here the same
cancellation-free forms run in fp32, a few rows at a time, so that what lies between stays in the processor's cache.
"""

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from interp.distances import js, kl

ENTRIES_AT_ONCE = 2**16
"""Logits that are compared at a time: 256 KiB in fp32. The two of them and four buffers fit in a second-level cache."""
_LARGEST_EXPONENT = 30.0
_TINY = 1e-8
"""Divergences below this have lost digits in fp32 (1e-5 of them at 1e-8, 4e-4 at 5e-11)."""
_Piece = tuple[Float64[Tensor, " token"], Float[Tensor, " token"], Bool[Tensor, " token"], Float[Tensor, " token"]]


def compare(p: Float[Tensor, "token d_vocab"], q: Float[Tensor, "token d_vocab"]) -> Float64[Tensor, "token 3"]:
    """KL(P || Q) and Jensen-Shannon in nats, and 1.0 where the top token is one, row by row; exactly 0 for P = Q.

    Rows that fp32 would not get right (nearly the same, or so far apart that exponentials overflow, or logits of
    -inf) are computed again in fp64 by `interp.distances`.
    """
    at_once = max(1, ENTRIES_AT_ONCE // p.shape[1])
    buffers = p.new_empty((4, min(at_once, len(p)), p.shape[1]), dtype=torch.float32)
    pieces = zip(p.float().split(at_once), q.float().split(at_once), strict=True)
    found = [_piece(a, b, buffers[:, : len(a)]) for a, b in pieces]
    far_kl, far_js, same, reach = (torch.cat(column) for column in zip(*found, strict=True))
    table = torch.stack([far_kl, far_js.double(), same.double()], 1)
    exact = (reach != 0) & ~((reach < _LARGEST_EXPONENT) & (far_js > _TINY))
    if exact.any():
        table[exact, 0], table[exact, 1] = kl(p[exact], q[exact]), js(p[exact], q[exact])
    return table


def _piece(
    p: Float[Tensor, "token d_vocab"], q: Float[Tensor, "token d_vocab"], buffers: Float[Tensor, "4 token d_vocab"]
) -> _Piece:
    """KL, Jensen-Shannon, whether the top token is one, and how far the centred log ratio reaches from 0."""
    weight, u, e, x = buffers
    torch.sub(p, p.amax(-1, keepdim=True), out=weight)
    torch.sub(q, q.amax(-1, keepdim=True), out=x)
    same = x.add_(weight).amax(-1) == 0  # nothing here is above 0, so a sum is 0 where both are at their top
    weight.exp_()
    weight.div_(weight.sum(-1, keepdim=True))
    torch.sub(q, p, out=u)
    u.sub_(torch.linalg.vecdot(weight, u)[:, None])
    rest = torch.linalg.vecdot(weight, u).double()  # this mean rounded at the size of a common shift
    reach = torch.maximum(-u.amin(-1), u.amax(-1))
    # log E_P[exp u] = log1p(E_P[exp u - 1 - u] + E_P[u]), a mean of terms that are never negative and the small rest.
    torch.expm1(u, out=e)
    norm = torch.log1p(torch.linalg.vecdot(weight, torch.sub(e, u, out=x)) + rest)
    # With w = log(q / p), e = q / p - 1 and h = log1p(e / 2), JS = E_P[(1 + e)(w - h) - h] / 2, no term negative.
    w = u.sub_(norm.float()[:, None])
    half = e.mul_(torch.exp(-norm).float()[:, None] / 2).add_(torch.expm1(-norm).float()[:, None] / 2)
    h = torch.log1p(half, out=x)
    below = w.sub_(h)
    far_js = torch.linalg.vecdot(weight, torch.sub(below, h, out=x).addcmul_(half, below, value=2)) / 2
    return norm - rest, far_js, same, reach
