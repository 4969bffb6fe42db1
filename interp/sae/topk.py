"""Train a TopK SAE with gradients of the active features only: what sae-lens computes, several times faster.

sae-lens takes gradients of all d_sae features on every token, of which all but `k` are zero. Here the encoder's
product and Adam's pass over the weights are all that is left of the size d_in x d_sae.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag
from tqdm.auto import trange


class Weights(NamedTuple):
    """`encoder` and `decoder` hold one feature per row."""

    encoder: Float[Tensor, "d_sae d_in"]
    encoder_bias: Float[Tensor, " d_sae"]
    decoder: Float[Tensor, "d_sae d_in"]
    decoder_bias: Float[Tensor, " d_in"]


@torch.no_grad()
def train_topk(
    sae: Any, stream: Iterator[Float[Tensor, "batch d_in"]], *, steps: int, lr: float, patience: int
) -> None:
    """Train a `TopKTrainingSAE` of sae-lens in place, step by step as `sae_lens.SAETrainer` would.

    The same objective (Gao et al. 2024, 2406.04093), start, schedule, clipping and Adam: the weights differ from
    sae-lens' by rounding. A feature that has not fired for `patience` batches is dead and learns from the residual.
    """
    weights = Weights(sae.W_enc.T.contiguous(), sae.b_enc.data, sae.W_dec.data, sae.b_dec.data)
    adam = torch.optim.Adam(list(weights), lr=lr, fused=True)
    idle = torch.zeros_like(sae.b_enc)
    for step in trange(steps, desc="training SAE", leave=False, disable=None):
        gradients, fired = topk_gradients(next(stream), weights, sae.cfg.k, idle > patience)
        idle = torch.where(fired, 0.0, idle + 1)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient
        torch.nn.utils.clip_grad_norm_(list(weights), 1.0)
        adam.param_groups[0]["lr"] = lr * _schedule(step, steps)
        adam.step()
    sae.W_enc.data = weights.encoder.T.contiguous()


def topk_gradients(
    x: Float[Tensor, "batch d_in"], weights: Weights, k: int, dead: Bool[Tensor, " d_sae"]
) -> tuple[Weights, Bool[Tensor, " d_sae"]]:
    """The gradient of the mean squared error (summed over d_in) plus that of the dead features, and who fired.

    The `k` features that would contribute most (score times decoder norm) are active. Dead features explain what is
    left: the d_in / 2 largest of them, weighted down where there are fewer.
    """
    centred = x - weights.decoder_bias
    scores = torch.addmm(weights.encoder_bias, centred, weights.encoder.T)
    sizes = weights.decoder.norm(dim=1)
    chosen = (scores * sizes).topk(k, sorted=False).indices
    values, told = _decoded(scores.gather(1, chosen).relu(), chosen, weights.decoder)
    missed = told.detach() - centred
    upstream = 2 / len(x) * missed
    gradients = _backward(upstream, centred, chosen, values, told, weights, dead=False)
    gradients.decoder_bias.add_(upstream.sum(0))
    fired = torch.zeros_like(dead)
    fired[chosen[values.detach() > 0]] = True
    if n_dead := int(dead.sum()):
        most = x.shape[1] // 2
        names = dead.nonzero()[:, 0]
        chosen = names[(scores[:, names] * sizes[names]).topk(min(most, n_dead), sorted=False).indices]
        values, told = _decoded(scores.gather(1, chosen), chosen, weights.decoder)
        left = missed + told.detach()
        upstream = 2 / len(x) * min(n_dead / most, 1.0) * left
        more = _backward(upstream, centred, chosen, values, told, weights, dead=True)
        for gradient, addition in zip(gradients, more, strict=True):
            gradient.add_(addition)
    return gradients, fired


def _decoded(
    values: Float[Tensor, "batch active"], chosen: Int[Tensor, "batch active"], decoder: Float[Tensor, "d_sae d_in"]
) -> tuple[Float[Tensor, "batch active"], Float[Tensor, "batch d_in"]]:
    """The values, which a gradient can be asked for, and what the chosen features say with them."""
    with torch.enable_grad():
        values.requires_grad_()
        return values, embedding_bag(chosen, decoder, per_sample_weights=values, mode="sum")


def _backward(
    upstream: Float[Tensor, "batch d_in"],
    centred: Float[Tensor, "batch d_in"],
    chosen: Int[Tensor, "batch active"],
    values: Float[Tensor, "batch active"],
    told: Float[Tensor, "batch d_in"],
    weights: Weights,
    *,
    dead: bool,
) -> Weights:
    """Gradients through the chosen features, of which those that are off reach the encoder only if they are `dead`.

    Each feature's row is a weighted sum of the tokens that chose it: a bag of tokens, once they stand by feature.
    """
    # autograd's product of rows with what comes from above reads the rows where they are; `decoder[chosen]` copies them
    (through,) = torch.autograd.grad(told, values, upstream)
    values = values.detach()
    if not dead:
        through = through * (values > 0)
    order = chosen.flatten().argsort(stable=True)
    tokens = order // chosen.shape[1]
    n = torch.bincount(chosen.flatten(), minlength=len(weights.encoder))
    starts = n.cumsum(0) - n
    encoder, decoder = (
        embedding_bag(tokens, rows, starts, per_sample_weights=by.flatten()[order], mode="sum")
        for rows, by in ((centred, through), (upstream, values))
    )
    bias = torch.zeros_like(weights.encoder_bias).index_add_(0, chosen.flatten(), through.flatten())
    # The decoder's bias is also taken off the input.
    return Weights(encoder, bias, decoder, -(bias @ weights.encoder))


def _schedule(step: int, steps: int) -> float:
    """Share of the learning rate: up over the first twentieth, down over the last quarter."""
    warm, decay = steps // 20, steps // 4
    return min((step + 1) / warm, 1.0, (steps - step) / decay)
