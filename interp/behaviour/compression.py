"""Shorter chains by a vector: from pairs of concise and verbose texts, added while decoding, beside plainer ways."""

from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from interp.decoding import Choose, Turn
from interp.measurement import Measurement, provenance
from interp.pair import Pair
from interp.written import read_written

NONE, STEERED, RANDOM, ASKED, BIASED = "none", "steered", "random vector", "asked", "biased"
METHODS = (NONE, STEERED, RANDOM, ASKED, BIASED)


def concise_vector(
    pair: Pair, model: str, hook: str, concise: Sequence[Sequence[int]], verbose: Sequence[Sequence[int]]
) -> tuple[Float[Tensor, " d_model"], float]:
    """V = mean over pairs of h(concise) - h(verbose) at the last token of each text, and how stable it is.

    The second number is the cosine of the means of even and of odd pairs. Adding v shortens: the released script of
    arXiv 2507.04742 subtracts it, with vectors of the other sign or one layer off.
    """
    if len(concise) != len(verbose) or len(concise) < 4:
        raise ValueError(f"a vector needs at least 4 pairs of texts, got {len(concise)} and {len(verbose)}")
    states = [torch.stack([_last_state(pair, model, hook, text) for text in texts]) for texts in (concise, verbose)]
    apart = states[0] - states[1]
    halves = apart[::2].mean(0), apart[1::2].mean(0)
    return apart.mean(0), float(torch.cosine_similarity(*halves, dim=0))


def random_twin(vector: Float[Tensor, " d_model"], *, seed: int = 0) -> Float[Tensor, " d_model"]:
    """A random direction of the same length: the null of every steering."""
    drawn = torch.randn(vector.shape, generator=torch.Generator().manual_seed(seed)).to(vector)
    return drawn * vector.norm() / drawn.norm()


def pushed(model: str, hook: str, added: Float[Tensor, " d_model"]) -> Choose:
    """Greedy decoding with `added` on the residual stream at every written position."""

    def choose(turn: Turn) -> Tensor:
        return turn.steered(model, hook, added.expand(len(turn.tokens), -1)).argmax(-1)

    return choose


def compression(runs: Mapping[tuple[str, float], Measurement]) -> Measurement:
    """`compression`: length and outcome per problem, arm and way of shortening, each at one strength or several.

    `runs` are rollouts by (method, strength): "none" (strength 0), "steered" and "random vector" (gamma), "asked" (a
    prompt for brevity) and "biased" (a bias on stop or step tokens, at several strengths, so that its length can be
    matched). Columns: problem, arm, method, strength, tokens, correct (means over samples).
    """
    parts = []
    for (method, strength), written in runs.items():
        if method not in METHODS:
            raise ValueError(f"{method!r} is no way of shortening; they are {', '.join(METHODS)}")
        table = read_written(written, "tokens", "strict")
        scored = table.assign(tokens=table["tokens"].map(len).astype(float), correct=table["strict"].astype(float))
        means = scored.groupby(["problem", "arm"], as_index=False)[["tokens", "correct"]].mean()
        parts.append(means.assign(method=method, strength=float(strength)))
    made_with = provenance(rollouts=[[m, s, dict(w.made_with)] for (m, s), w in runs.items()])
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return Measurement("compression", "length and accuracy by way of shortening", table, made_with)


def _last_state(pair: Pair, model: str, hook: str, text: Sequence[int]) -> Float[Tensor, " d_model"]:
    with torch.inference_mode():
        _, cache = pair.models[model].run_with_cache(torch.tensor([list(text)], device=pair.device), names_filter=hook)
    return cache[hook][0, -1].float().clone()
