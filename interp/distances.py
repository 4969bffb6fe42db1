"""How far apart two vectors or two next-token distributions are, in forms that stay right when that is very little.

Everything is summed in fp64 along the last axis and is exactly 0 for identical inputs. The usual forms are not: in
fp32 `1 - cosine_similarity` of two nearly equal vectors of a million entries is negative, and `sum p (log p - log q)`
is noise below a KL of 1e-6. Temporaries are as large as the input in fp64: cut long inputs along their first axis.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Float64
from torch import Tensor

_ENTRIES_AT_ONCE = 2**18
_LARGEST_EXPONENT = 30.0


def cosine_distance(a: Float[Tensor, "*rows d"], b: Float[Tensor, "*rows d"]) -> Float64[Tensor, "*rows"]:
    """1 - cos(a, b), from 0 (same direction) to 2.

    (|a - b|^2 - (|a| - |b|)^2) / (2 |a| |b|), with |a| - |b| = (a - b).(a + b) / (|a| + |b|): differences are taken
    before they are squared, so a distance of 1e-13 keeps its digits. NaN where only one of the two is zero.
    """
    squared, slope, aa, bb = _sums(a, b)
    length_a, length_b = aa.sqrt(), bb.sqrt()
    distance = (squared - (slope / (length_a + length_b)).square()) / (2 * length_a * length_b)
    return torch.where(squared == 0, 0.0, torch.where((aa == 0) | (bb == 0), math.nan, distance))


def relative_change(base: Float[Tensor, "*rows d"], tuned: Float[Tensor, "*rows d"]) -> Float64[Tensor, "*rows"]:
    """|tuned - base| / |base|; infinite where only base is zero. Flatten a matrix for its Frobenius norm."""
    squared, _, aa, _ = _sums(base, tuned)
    return torch.where(squared == 0, 0.0, (squared / aa).sqrt())


def kl(p_logits: Float[Tensor, "*rows d_vocab"], q_logits: Float[Tensor, "*rows d_vocab"]) -> Float64[Tensor, "*rows"]:
    """KL(P || Q) in nats, of the distributions two rows of logits stand for; infinite where Q excludes what P says.

    With v = q_logits - p_logits and u = v - E_P[v], KL = log E_P[exp u] = log1p(E_P[exp u - 1 - u]): a mean of terms
    that are never negative, so nothing cancels. A column that is -inf in both is in neither distribution.
    """
    p, v = _aligned(p_logits, q_logits)
    probability = p.softmax(-1)
    u = _centred(probability, v)
    centred = torch.log1p(_mean(probability, u.expm1() - u))
    return _where_small(u, centred, lambda: _direct_kl(p.log_softmax(-1), q_logits.double().log_softmax(-1)))


def js(p_logits: Float[Tensor, "*rows d_vocab"], q_logits: Float[Tensor, "*rows d_vocab"]) -> Float64[Tensor, "*rows"]:
    """Jensen-Shannon divergence in nats, between 0 and log 2; symmetric (Lin 1991).

    Half of KL(P || M) + KL(Q || M), M the midpoint. With w = log q - log p and x = (exp w - 1) / 2, E_P[x] is 0 and
    KL(P || M) = E_P[x - log1p(x)], again a mean of terms that are never negative.
    """
    p, v = _aligned(p_logits, q_logits)
    q = q_logits.double()
    probability = p.softmax(-1)
    u = _centred(probability, v)
    w = u - torch.log1p(_mean(probability, u.expm1() - u))[..., None]
    centred = (_above_midpoint(probability, w) + _above_midpoint(q.softmax(-1), -w)) / 2

    def direct() -> Tensor:
        log_p, log_q = p.log_softmax(-1), q.log_softmax(-1)
        midpoint = torch.logaddexp(log_p, log_q) - math.log(2)
        return (_direct_kl(log_p, midpoint) + _direct_kl(log_q, midpoint)) / 2

    return _where_small(u, centred, direct)


def entropy(logits: Float[Tensor, "*rows d_vocab"]) -> Float64[Tensor, "*rows"]:
    """Entropy in nats of the distribution that a row of logits stands for, to full precision also near 0.

    With s the logits below the largest, H = log1p(sum of exp s over the others) - E[s]: two terms that are never
    negative.
    """
    exact = logits.double()
    top, place = exact.max(-1, keepdim=True)
    s = exact - top
    weight = s.exp()
    others = weight.scatter(-1, place, 0.0).sum(-1)
    return torch.log1p(others) - _mean(weight, s) / (1 + others)


def _sums(
    a: Float[Tensor, "*rows d"], b: Float[Tensor, "*rows d"]
) -> tuple[Float64[Tensor, "*rows"], Float64[Tensor, "*rows"], Float64[Tensor, "*rows"], Float64[Tensor, "*rows"]]:
    """|a - b|^2, (a - b).(a + b), |a|^2 and |b|^2, in pieces along the last axis."""
    if a.shape != b.shape:
        raise ValueError(f"vectors to compare differ in shape: {tuple(a.shape)} and {tuple(b.shape)}")
    sums = [torch.zeros(a.shape[:-1], dtype=torch.float64, device=a.device) for _ in range(4)]
    for x, y in zip(a.split(_ENTRIES_AT_ONCE, -1), b.split(_ENTRIES_AT_ONCE, -1), strict=True):
        x, y = x.double(), y.double()
        d = x - y
        for total, product in zip(sums, (d * d, d * (x + y), x * x, y * y), strict=True):
            total += product.sum(-1)
    return sums[0], sums[1], sums[2], sums[3]


def _aligned(
    p_logits: Float[Tensor, "*rows d_vocab"], q_logits: Float[Tensor, "*rows d_vocab"]
) -> tuple[Float64[Tensor, "*rows d_vocab"], Float64[Tensor, "*rows d_vocab"]]:
    """P's logits, and Q's less P's with columns that both exclude at 0, where they weigh nothing."""
    if p_logits.shape != q_logits.shape:
        raise ValueError(
            f"logits to compare differ in shape: {tuple(p_logits.shape)} and {tuple(q_logits.shape)}; "
            "compare distributions over one vocabulary"
        )
    p, q = p_logits.double(), q_logits.double()
    return p, torch.where(p.isneginf() & q.isneginf(), 0.0, q - p)


def _centred(
    probability: Float64[Tensor, "*rows d_vocab"], v: Float64[Tensor, "*rows d_vocab"]
) -> Float64[Tensor, "*rows d_vocab"]:
    """Shift v to mean 0 under P; done twice, since the first mean rounds at the size of a common shift."""
    once = v - (probability * v).sum(-1, keepdim=True)
    return once - (probability * once).sum(-1, keepdim=True)


def _mean(
    probability: Float64[Tensor, "*rows d_vocab"], x: Float64[Tensor, "*rows d_vocab"]
) -> Float64[Tensor, "*rows"]:
    """Sum of probability times x; what has no probability adds nothing, whatever x is there."""
    return torch.where(probability == 0, 0.0, probability * x).sum(-1)


def _above_midpoint(
    probability: Float64[Tensor, "*rows d_vocab"], w: Float64[Tensor, "*rows d_vocab"]
) -> Float64[Tensor, "*rows"]:
    """KL(P || (P + Q) / 2) where w = log q - log p."""
    x = w.expm1() / 2
    return _mean(probability, x - x.log1p())


def _direct_kl(
    log_p: Float64[Tensor, "*rows d_vocab"], log_q: Float64[Tensor, "*rows d_vocab"]
) -> Float64[Tensor, "*rows"]:
    return _mean(log_p.exp(), log_p - log_q)


def _where_small(
    u: Float64[Tensor, "*rows d_vocab"], centred: Float64[Tensor, "*rows"], direct: Callable[[], Tensor]
) -> Float64[Tensor, "*rows"]:
    """The centred form, but the direct one for rows far enough apart that exp u would overflow or one side is -inf."""
    far = ~(u.abs().amax(-1) < _LARGEST_EXPONENT)
    return torch.where(far, direct(), centred) if bool(far.any()) else centred
