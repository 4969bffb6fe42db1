"""Is a vector fitted by gradient evidence that base had a strategy? Held against vectors fitted for anything else."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interp.fitting import rereader
from interp.measurement import Measurement
from interp.pair import Pair
from interp.sae.activations import activations, digest_of, hook_name
from interp.sae.asked import own_openers
from interp.sae.intervene import add, edited_logprobs, nothing
from interp.sae.sites import Sites, onset_sites, shuffled
from interp.sae.strength import mean_interval, strata
from interp.tasks.task import Reading

STEPS, RATE = 30, 0.1
"""Of Adam."""
ROWS_AT_ONCE = 512
"""Goals times places in one pass."""
Goal = tuple[Literal["strategy", "token", "dealt labels"], str]
"""What a vector is fitted for, and its name."""


def fitted_vectors(
    pair: Pair,
    readings: Sequence[Reading],
    *,
    hook: str | None = None,
    doses: Sequence[float] = (0.5, 1.0),
    n_tokens: int = 12,
    n_deals: int = 6,
    n_places: int = 64,
    seed: int = 0,
) -> Measurement:
    """What a vector fitted in base brings about at the onset of strategies, beside vectors fitted for what base lacks.

    v = argmax over |v| = r of the mean log-probability of what is wanted when v is added at `hook` (by default what the
    middle block gives out) to the token before the onset; Adam, the model frozen, on problems of the search half. The
    same procedure serves three kinds of goal: a "strategy" (the tokens that open it and mostly no other, where another
    strategy opened at positions at which it opens too); a "token" that responses hold and that opens nothing, at all
    places; "dealt labels", the openers of strategies that were dealt out anew. r is each of `doses` times the spread
    of the activations, as in `feature_causes`. `effect` is the change of the probability of what each vector was fitted
    for, at held-out places, with a 95% interval over problems; `before` the probability without it.

    That base can be steered by a gradient-fitted vector is the published evidence that strategies precede tuning
    (2510.07364). Where tokens reach the same, it shows what a vector can do rather than what base had; no verdict rests
    on it.
    """
    hook = hook_name(pair.base, hook or f"blocks.{pair.n_layers // 2}.hook_out")
    sites = onset_sites(readings)
    half = activations(pair.base, readings, hook)[torch.from_numpy(sites.row[~sites.held_out])]
    spread = float((half - half.mean(0)).square().sum(1).mean().sqrt())
    rng = np.random.default_rng(seed)
    fit, judge = (
        np.sort(rng.permutation(np.flatnonzero(sites.held_out == held_out))[:n_places]) for held_out in (False, True)
    )
    goals = _goals(pair, readings, sites, rng, n_tokens, [seed * n_deals + draw for draw in range(n_deals)])
    kept = {goal: wanted for goal, wanted in goals.items() if wanted[fit].any() and wanted[judge].any()}
    wanted = torch.stack(list(kept.values()))
    rows: list[dict[str, Any]] = []
    for dose in doses:
        some, at_once = _prefixes(readings, sites, fit), max(1, ROWS_AT_ONCE // len(fit))
        vectors = [v for part in wanted[:, fit].split(at_once) for v in _fit(pair, some, hook, part, dose * spread)]
        for model, bridge in pair.models.items():
            edits = [nothing, *map(add, vectors)]
            chances = edited_logprobs(bridge, _prefixes(readings, sites, judge), hook, edits, pad=pair.pad_id).exp()
            for number, (kind, name) in enumerate(kept):
                here = wanted[number, judge].to(chances.device)
                asked = here.any(1).cpu()
                before, after = ((chances[i] * here).sum(1).double().cpu()[asked] for i in (0, 1 + number))
                effect = mean_interval((after - before).numpy(), sites.problem[judge][asked.numpy()])
                told = dict(zip(("effect", "low", "high"), effect, strict=True))
                what = {"fitted_for": kind, "goal": name, "model": model, "dose": dose, "norm": dose * spread}
                rows.append({**what, "before": float(before.mean()), **told, "n": int(asked.sum())})
    options = {"hook": hook, "doses": list(doses), "tokens": n_tokens, "deals": n_deals, "places": n_places}
    made_with = pair.made_with(readings=digest_of(readings), options=options, seed=seed)
    return Measurement("fitted", "change in the probability of what was fitted for", pd.DataFrame(rows), made_with)


def _goals(
    pair: Pair, readings: Sequence[Reading], sites: Sites, rng: np.random.Generator, n_tokens: int, draws: Sequence[int]
) -> Mapping[Goal, Bool[Tensor, "site d_vocab"]]:
    """For each goal the tokens that are wanted at every site; none where it is not pursued."""
    opens = np.array([readings[r].tokens[p + 1] for r, p in zip(sites.reading, sites.position, strict=True)])
    stratum = strata(sites.position)
    goals: dict[Goal, Bool[Tensor, "site d_vocab"]] = {}
    for strategy in sites.strategies:
        mine = sites.strategy == strategy
        wanted = torch.zeros(len(opens), pair.d_vocab, dtype=torch.bool)
        wanted[:, own_openers(readings, sites, strategy)] = True
        wanted[torch.from_numpy(mine | ~np.isin(stratum, stratum[mine]))] = False
        goals["strategy", strategy] = wanted
    said = {t for r in readings for t, x in zip(r.tokens, r.labels, strict=True) if x.role != "prompt"} - {*opens}
    for token in rng.permutation(sorted(said))[:n_tokens].tolist():
        wanted = torch.zeros(len(opens), pair.d_vocab, dtype=torch.bool)
        wanted[:, token] = True
        goals["token", pair.words([token])[0].strip()] = wanted
    for number, draw in enumerate(draws):
        dealt = shuffled(sites, seed=draw).strategy
        wanted = torch.zeros(len(opens), pair.d_vocab, dtype=torch.bool)
        for strategy in sites.strategies:
            openers = sorted(set(opens[sites.strategy == strategy].tolist()))
            wanted[np.ix_(dealt == strategy, openers)] = True
        goals["dealt labels", str(number)] = wanted
    return goals


def _prefixes(readings: Sequence[Reading], sites: Sites, some: np.ndarray) -> list[Sequence[int]]:
    return [readings[sites.reading[i]].tokens[: sites.position[i] + 1] for i in some]


def _fit(
    pair: Pair, prefixes: Sequence[Sequence[int]], hook: str, wanted: Bool[Tensor, "goal place d_vocab"], norm: float
) -> Float[Tensor, "goal d_model"]:
    """A vector of length `norm` for each goal; these goals are fitted in the same passes."""
    n = len(wanted)
    again = rereader(pair.base, prefixes, pad=pair.pad_id, copies=n)
    wanted = wanted.to(pair.device)
    pursued = wanted.any(-1)
    start = torch.randn(n, pair.d_model, generator=torch.Generator().manual_seed(0))
    free = (start / pair.d_model**0.5).to(pair.device).requires_grad_()
    adam = torch.optim.Adam([free], lr=RATE)

    def vectors() -> Float[Tensor, "goal d_model"]:
        return norm * free / free.norm(dim=1, keepdim=True)

    def change(_module: object, _inputs: object, activation: Tensor) -> Tensor:
        return activation + vectors().repeat(len(prefixes), 1)[:, None].to(activation.dtype)

    handle = pair.base.hook_dict[hook].register_forward_hook(change)
    try:
        with torch.enable_grad():
            for _ in range(STEPS):
                logprobs = again().float().log_softmax(-1).view(len(prefixes), n, -1).transpose(0, 1)
                # A large finite number: where nothing is wanted, infinities would make the gradient NaN.
                told = logprobs.masked_fill(~wanted, -1e9).logsumexp(-1).masked_fill(~pursued, 0.0)
                loss = -(told.sum(1) / pursued.sum(1)).sum()
                (free.grad,) = torch.autograd.grad(loss, [free])
                adam.step()
    finally:
        handle.remove()
    return vectors().detach()
