"""Logit arithmetic: the next token is the best of a weighted sum of several models' log-probabilities."""

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Int
from torch import Tensor, nn

from interp.compatible import PROBES
from interp.decoding import Turn
from interp.pair import Pair
from interp.rollouts import complete
from interp.routing.hybrid import Account, Hybrid

ALPHAS = (0.5, 1.5)
"""Less and more of what tuning did; 1 is tuned itself."""


def towards_tuned(alpha: float) -> dict[str, float]:
    """Base + alpha (tuned - base): 0 is base, 1 is tuned, more than 1 goes on in tuning's direction."""
    return {"base": 1 - alpha, "tuned": alpha}


def emulated(alpha: float = 1.0) -> dict[str, float]:
    """Base + alpha (small tuned - small base): what tuning did to another, smaller pair, put on base.

    Emulated fine-tuning (2310.12962, eq. 5); the weights of `write_by_sum` with the models of `small_models`.
    """
    return {"base": 1.0, "small tuned": alpha, "small base": -alpha}


def small_models(pair: Pair, small: Pair) -> dict[str, nn.Module]:
    """The models of `small` by the names of `emulated`; ValueError where it does not cut and number text as `pair`."""
    names = f"{pair.base_checkpoint.name} and {small.base_checkpoint.name}"
    if why := _differ(pair, small):
        raise ValueError(
            f"{names} have different tokenizers: {why}; logits add up over one vocabulary, so give a small pair with "
            "the tokenizer of the large one"
        )
    if pair.d_vocab != small.d_vocab:
        raise ValueError(
            f"{names} have {pair.d_vocab} and {small.d_vocab} logits; they add up over one vocabulary, so give a small "
            "pair with as many"
        )
    return {"small base": small.base, "small tuned": small.tuned}


def _differ(pair: Pair, small: Pair) -> str:
    """How the two tokenizers differ, or nothing."""
    ours, theirs = pair.tokenizer.get_vocab(), small.tokenizer.get_vocab()
    for token in sorted(ours.keys() & theirs.keys(), key=ours.__getitem__):
        if ours[token] != theirs[token]:
            return f"{token!r} has number {ours[token]} in one and {theirs[token]} in the other"
    for probe in (*PROBES, *sorted(ours.keys() ^ theirs.keys())[:1]):
        if (cut := pair.encode(probe)) != (other := small.encode(probe)):
            return f"they cut {probe!r} into the tokens {cut} and {other}"
    return ""


def write_by_sum(
    pair: Pair,
    prompts: Sequence[Sequence[int]],
    weights: Mapping[str, float],
    *,
    max_new_tokens: int,
    others: Mapping[str, nn.Module] | None = None,
    batch_size: int = 256,
) -> list[Hybrid]:
    """Greedy decoding of sum_m weight_m log p_m; `weights` name the pair's models and those of `others`.

    `routed` counts every token, since tuned has a say in each; `changed` those that are not the first choice of the
    model named first, which writes alone where the others cancel. Emulated fine-tuning needs the `others` of a second
    pair with the same vocabulary. Deviation from the paper: greedy instead of sampled, nothing renormalised (the argmax
    is the same).
    """
    models = {**pair.models, **(others or {})}
    used = {name: weight for name, weight in weights.items() if weight}
    if not used or not all(map(math.isfinite, used.values())):
        raise ValueError(f"the weights are {dict(weights)}; at least one has to be other than 0, and all finite")
    if unknown := sorted(weights.keys() - models.keys()):
        raise ValueError(f"there is no model {', '.join(unknown)}; there are {', '.join(models)}")
    first = next(iter(weights))
    account, several = Account(len(prompts)), len(used) > 1

    def choose(turn: Turn) -> Int[Tensor, " batch"]:
        logs = {name: turn.logits(name).log_softmax(-1) for name in dict.fromkeys([first, *used])}
        _same_vocabulary(logs)
        token: Tensor = torch.stack([weight * logs[name] for name, weight in used.items()]).sum(0).argmax(-1)
        account.count(
            turn.prompts, torch.full_like(token, several, dtype=torch.bool), (token != logs[first].argmax(-1)) & several
        )
        return token

    done = complete(
        pair,
        prompts,
        choose,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        models={name: models[name] for name in dict.fromkeys([first, *used])},
    )
    return account.closed(done)


def _same_vocabulary(logs: Mapping[str, Tensor]) -> None:
    sizes = {name: log.shape[-1] for name, log in logs.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"the models have vocabularies of {sizes} tokens; logits add up over one vocabulary")
