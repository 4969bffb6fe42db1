"""Steering vectors: directions that bring base to open a strategy, each bound to the place it was fitted at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.decoding import left_padded
from interp.fitting import rereader
from interp.pair import Pair
from interp.routing.sites import Site

STEPS, RATE = 60, 0.05
"""Of Adam."""


@dataclass(frozen=True, eq=False)
class SteeringVector:
    """A direction to add at `hook` of the model with digest `model`, and nowhere else.

    `norm` is its length and `centring` what was taken off before: both belong to what was fitted, so a vector that was
    scaled or moved is refused. `opens` is the token that it is meant to bring about, None for any.
    """

    name: str
    opens: int | None
    direction: Float[Tensor, " d_model"]
    hook: str
    model: str
    norm: float
    centring: str = "none"

    def __post_init__(self) -> None:
        length = float(self.direction.norm())
        if not length > 0 or not torch.isfinite(self.direction).all():
            raise ValueError(f"the vector {self.name!r} has length {length}; a direction needs one")
        if abs(length - self.norm) > 1e-4 * length:
            raise ValueError(
                f"the vector {self.name!r} was fitted with norm {self.norm:.4g} and has {length:.4g}; "
                "scale it by the coefficient of steering instead"
            )


def bound(
    pair: Pair,
    direction: Float[Tensor, " d_model"],
    *,
    hook: str,
    name: str,
    opens: int | None = None,
    centring: str = "none",
) -> SteeringVector:
    """A plain direction (an SAE's decoder row, say) as a vector for this pair's base at `hook`, with its own norm."""
    direction = direction.detach().float().to(pair.device)
    if direction.shape != (pair.d_model,):
        raise ValueError(f"the direction has shape {tuple(direction.shape)}, but the model is {pair.d_model} wide")
    if hook not in pair.base.hook_dict:
        raise ValueError(f"there is no hook {hook!r} in base; a block's is blocks.L.hook_out")
    return SteeringVector(name, opens, direction, hook, pair.base_checkpoint.digest, float(direction.norm()), centring)


def fitted(pair: Pair, sites: Sequence[Site], *, hook: str, steps: int = STEPS) -> Float[Tensor, " d_model"]:
    """The vector that, added at `hook` of the last position, makes base most likely to write what tuned wrote there.

    Adam on the mean negative log-probability over the sites from zero on; the model is frozen. The text before the
    last token is read once, since the edit does not reach it.
    """
    again = rereader(pair.base, [site.context for site in sites], pad=pair.pad_id)
    wanted = torch.tensor([site.token for site in sites], device=pair.device)
    vector = torch.zeros(pair.d_model, device=pair.device, requires_grad=True)
    adam = torch.optim.Adam([vector], lr=RATE)

    def add(_module: object, _inputs: object, activation: Tensor) -> Tensor:
        return activation + vector.to(activation.dtype)

    handle = pair.base.hook_dict[hook].register_forward_hook(add)
    try:
        with torch.enable_grad():
            for _ in range(steps):
                loss = torch.nn.functional.cross_entropy(again().float(), wanted)
                adam.zero_grad()
                (vector.grad,) = torch.autograd.grad(loss, [vector])
                adam.step()
    finally:
        handle.remove()
    return vector.detach()


def states(pair: Pair, sites: Sequence[Site], *, hook: str) -> Float[Tensor, "site d_model"]:
    """Base's activation at `hook` on the last token before each site."""
    tokens, mask = left_padded([site.context for site in sites], pad=pair.pad_id, device=pair.device)
    found: list[Tensor] = []
    handle = pair.base.hook_dict[hook].register_forward_hook(lambda _, __, out: found.append(out[:, -1].float()))
    try:
        with torch.inference_mode():
            pair.base(tokens, attention_mask=mask)
    finally:
        handle.remove()
    return found[0].clone()


def fitted_vectors(pair: Pair, groups: Mapping[int, Sequence[Site]], *, hook: str) -> list[SteeringVector]:
    """One gradient-fitted vector per strategy."""
    return [
        bound(pair, fitted(pair, sites, hook=hook), hook=hook, name=_word(pair, token), opens=token)
        for token, sites in groups.items()
    ]


def bias_vector(pair: Pair, groups: Mapping[int, Sequence[Site]], *, hook: str) -> SteeringVector:
    """One gradient-fitted vector for all strategies together: what a push without a choice does."""
    sites = [site for group in groups.values() for site in group]
    return bound(pair, fitted(pair, sites, hook=hook), hook=hook, name="bias")


def mean_difference_vectors(
    pair: Pair, groups: Mapping[int, Sequence[Site]], like: Sequence[SteeringVector], *, hook: str
) -> list[SteeringVector]:
    """Per strategy the mean of base's states at its sites less that at all others', scaled to the norm of `like`'s.

    ValueError where there is one strategy only: then there is nothing to take the difference to.
    """
    if len(groups) < 2:
        raise ValueError(f"a difference of means needs two strategies with sites, there is {len(groups)}")
    read = {token: states(pair, sites, hook=hook) for token, sites in groups.items()}
    vectors = []
    for vector in like:
        others = torch.cat([here for token, here in read.items() if token != vector.opens])
        direction = read[int(vector.opens or 0)].mean(0) - others.mean(0)
        scaled = direction * (vector.norm / direction.norm())
        vectors.append(
            bound(pair, scaled, hook=hook, name=vector.name, opens=vector.opens, centring="mean of the others")
        )
    return vectors


def random_vectors(pair: Pair, like: Sequence[SteeringVector], *, seed: int, draw: int = 0) -> list[SteeringVector]:
    """A random direction for each of `like`, of its norm, at its hook."""
    generator = torch.Generator().manual_seed(1_000_003 * seed + draw)
    vectors = []
    for vector in like:
        direction = torch.randn(pair.d_model, generator=generator).to(pair.device)
        scaled = direction * (vector.norm / direction.norm())
        vectors.append(bound(pair, scaled, hook=vector.hook, name=f"random for {vector.name}", opens=vector.opens))
    return vectors


def shuffled_vectors(pair: Pair, like: Sequence[SteeringVector]) -> list[SteeringVector]:
    """Each strategy with the vector of the next one: as strong and as well fitted, for another purpose."""
    if len(like) < 2:
        raise ValueError(f"categories can be shuffled where there are two, there is {len(like)}")
    turned = [*like[1:], like[0]]
    return [
        bound(pair, other.direction, hook=other.hook, name=f"{other.name} for {vector.name}", opens=vector.opens)
        for vector, other in zip(like, turned, strict=True)
    ]


def onset_table(vectors: Sequence[SteeringVector], d_vocab: int) -> Int[Tensor, " d_vocab"]:
    """For every token the number of the vector that opens it; where a vector opens anything, it does the rest; -1."""
    table = torch.full((d_vocab,), -1)
    for number, vector in enumerate(vectors):
        if vector.opens is None:
            table[table < 0] = number
        else:
            table[vector.opens] = number
    return table


def given_vectors(
    pair: Pair, directions: Mapping[int, Float[Tensor, " d_model"]], like: Sequence[SteeringVector]
) -> list[SteeringVector]:
    """Directions found elsewhere, such as an SAE's decoder rows, one per opening token, with the norms of `like`'s.

    They have to have been read at the hook of `like`. ValueError for a strategy without a direction.
    """
    missing = [vector.name for vector in like if vector.opens not in directions]
    if missing:
        raise ValueError(f"no direction was given for {', '.join(missing)}; give one per strategy")
    vectors = []
    for vector in like:
        direction = directions[int(vector.opens or 0)].detach().float().to(pair.device)
        scaled = direction * (vector.norm / direction.norm())
        vectors.append(bound(pair, scaled, hook=vector.hook, name=f"given for {vector.name}", opens=vector.opens))
    return vectors


def _word(pair: Pair, token: int) -> str:
    return pair.words([token])[0].strip()
