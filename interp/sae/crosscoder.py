"""Which directions do both models have, and which has one alone? One dictionary of both models at one hook."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.measurement import Measurement
from interp.pair import Pair
from interp.sae.activations import activations, check_varied, digest_of, hook_name
from interp.sae.train import fit_sae
from interp.sae.trained import TrainedSAE
from interp.tasks.task import Reading

ONE_ALONE = 0.9
"""Share of a latent's decoder norm above which it belongs to one model; this limit and the next ones follow Minder et
al. 2504.02922 as far as its abstract and code tell, and were not compared with the text of the paper."""
SHARED = 0.6
"""Share up to which it belongs to both."""
LARGEST_NU = {"error": 0.2, "reconstruction": 0.5}
"""What may be left of a latent in the other model's error and reconstruction."""
MIN_FIRINGS = 30
"""A latent that fires on fewer tokens than this is not judged."""


def fit_crosscoder(
    base: Float[Tensor, "token d_in"],
    tuned: Float[Tensor, "token d_in"],
    *,
    d_sae: int,
    k: int,
    samples: int,
    lr: float = 5e-3,
    seed: int = 0,
    metadata: dict[str, Any] | None = None,
) -> Any:
    """A TopK SAE of sae-lens on [base, tuned], each brought to the same mean norm: a crosscoder with one encoder.

    f = TopK((x_base, x_tuned) W_enc + b), x_m = f W_dec_m + b_m (Lindsey et al. 2024). TopK, not an L1 penalty, which
    shrinks a weaker half to zero and so invents latents of one model alone (Minder et al. 2504.02922, who take
    BatchTopK: its fixed threshold need not fit another text). The features kept are those with the largest
    f ||(W_dec_base, W_dec_tuned)||, where the paper takes the sum of the two norms.
    """
    size = torch.cat([(x.shape[1] ** 0.5 / x.norm(dim=1).mean()).expand(x.shape[1]) for x in (base, tuned)])
    both = torch.cat([base, tuned], 1)
    sae = fit_sae(both * size, d_sae=d_sae, k=k, samples=samples, lr=lr, seed=seed, metadata=metadata)
    # The decoder rows have length 1 here; from now on their length is that of both models' own sizes.
    sae.cfg.rescale_acts_by_decoder_norm = False
    sae.W_enc.data *= size[:, None]
    sae.W_dec.data /= size
    sae.b_dec.data /= size
    return sae


def train_crosscoder(
    pair: Pair,
    readings: Sequence[Reading],
    *,
    hook: str | None = None,
    d_sae: int | None = None,
    k: int = 16,
    samples: int = 50_000,
    lr: float = 5e-3,
    seed: int = 0,
) -> TrainedSAE:
    """A crosscoder of what both models compute at `hook` (by default the middle block's) while reading the same text.

    As `TrainedSAE` it reads [base, tuned] side by side, width 2 d_in. `d_sae` is 8 d_in by default.
    """
    hook = hook_name(pair.base, hook or f"blocks.{pair.n_layers // 2}.hook_out")
    x = {role: activations(model, readings, hook).clone() for role, model in pair.models.items()}
    for values in x.values():
        check_varied(values, hook)
    width = d_sae or 8 * x["base"].shape[1]
    checkpoints = (pair.base_checkpoint, pair.tuned_checkpoint)
    trained_on = {
        "model": "base and tuned",
        "checkpoint": [checkpoint.name for checkpoint in checkpoints],
        "digest": [checkpoint.digest for checkpoint in checkpoints],
        "hook": hook,
        "readings": digest_of(readings),
        "tokens": len(x["base"]),
        **{"architecture": "topk", "d_sae": width, "k": k, "samples": samples, "lr": lr, "seed": seed},
    }
    sae = fit_crosscoder(**x, d_sae=width, k=k, samples=samples, lr=lr, seed=seed, metadata=trained_on)
    return TrainedSAE(sae, hook, trained_on)


def crosscoder(
    pair: Pair, readings: Sequence[Reading], *, hook: str | None = None, samples: int = 50_000, seed: int = 0
) -> Measurement:
    """Every latent of a crosscoder of base and tuned, and as a null of one of base and base; a row per latent.

    Columns: `compared` ("base and tuned", "base and base"), those of `latents`, `token` (on which it fires most, by
    summed activation) and `token_share` (of that sum). In the null, latents called "tuned only" or "base only" are
    mistakes of the method: their number is what has to be beaten.

    A skill taught to tuned need not show as "tuned only": base computes something at the same tokens too, only not the
    right thing, so that both halves of the latent are long and stand for other directions. That is "turned". In the
    organism that was taught a new operation 25 of 512 latents are (14 under the next base seed), among them four of
    the six that tell the operation best (share of norm 0.41 to 0.49), and none is "tuned only"; where only the choice
    of strategy was tuned (rl) 1 is "turned", and of base against base none.
    """
    words = torch.cat([torch.tensor(reading.tokens[1:]) for reading in readings]).to(pair.device)
    same = replace(pair, tuned=pair.base, tuned_checkpoint=pair.base_checkpoint)
    tables, trained_on = [], {}
    for compared, both in (("base and tuned", pair), ("base and base", same)):
        found = train_crosscoder(both, readings, hook=hook, samples=samples, seed=seed)
        x = [activations(model, readings, found.hook) for model in both.models.values()]
        top, share = _favourites(found.encode(torch.cat(x, 1)), words)
        table = latents(found, *x).assign(token=pair.words(top), token_share=share)
        tables.append(table.assign(compared=compared, hook=found.hook))
        trained_on[compared] = dict(found.trained_on)
    made_with = pair.made_with(crosscoder=trained_on, readings=digest_of(readings), seed=seed)
    return Measurement(
        "crosscoder", "shares of decoder norm; latent scaling", pd.concat(tables, ignore_index=True), made_with
    )


@torch.inference_mode()
def latents(found: TrainedSAE, base: Float[Tensor, "token d_in"], tuned: Float[Tensor, "token d_in"]) -> pd.DataFrame:
    """What each latent of a crosscoder is in either model; a row per latent.

    - `share_tuned` = ||d_tuned|| / (||d_base|| + ||d_tuned||), both models brought to the same mean norm; `cosine` of
      d_base and d_tuned; `firing`, the share of tokens on which it is active; `n_fired`, their number
    - latent scaling (Minder et al. 2504.02922): the multiple b of f d that least squares finds in a model's error with
      this latent left out (`error_base`, `error_tuned`) and in its reconstruction without the bias
      (`reconstruction_base`, `_tuned`), d being the longer of the two decoder rows. `nu_error` and
      `nu_reconstruction` divide the b of the model with the shorter row by that of the other: 1 for a latent that
      both models have, 0 for one that a single model has. Theirs takes tuned's row throughout, since they judge
      latents of tuned alone, and leaves the bias in the reconstruction, which is no latent's
    - `called`: "tuned only" or "base only" where a model holds at least 0.9 of the norm, nu_error is at most 0.2 and
      nu_reconstruction at most 0.5; "turned" where the two nu are as small but both halves are long: it fires in
      both, and stands for another direction in each; "shared" where neither half holds more than 0.6 of the norm;
      "uneven" otherwise; "silent" where it fires on fewer than 30 tokens
    """
    x = torch.cat([base, tuned], 1)
    d = base.shape[1]
    size = torch.cat([(d**0.5 / half.norm(dim=1).mean()).expand(d) for half in (base, tuned)])
    f, decoder = found.encode(x), found.sae.W_dec * size
    bias = found.sae.b_dec * size
    explained = f @ decoder
    halves = {"base": slice(0, d), "tuned": slice(d, 2 * d)}
    rows = {role: decoder[:, half] for role, half in halves.items()}
    norms = {role: row.norm(dim=1) for role, row in rows.items()}
    share = norms["tuned"] / (norms["base"] + norms["tuned"])
    mine = share >= 0.5
    longer = torch.where(mine[:, None], rows["tuned"], rows["base"])
    energy = f.square().sum(0)
    table = {
        "latent": range(found.d_sae),
        "share_tuned": share,
        "cosine": torch.cosine_similarity(rows["base"], rows["tuned"], dim=1),
        "firing": (f > 0).float().mean(0),
        "n_fired": (f > 0).sum(0),
    }
    for target in LARGEST_NU:
        scales = {}
        for role, half in halves.items():
            kept = explained[:, half]
            y = kept if target == "reconstruction" else (x * size)[:, half] - kept - bias[half]
            own = ((f.T @ y) * longer).sum(1)
            if target == "error":
                own = own + energy * (rows[role] * longer).sum(1)
            scales[role] = table[f"{target}_{role}"] = own / (energy * longer.square().sum(1))
        stronger = torch.where(mine, scales["tuned"], scales["base"])
        table[f"nu_{target}"] = torch.where(mine, scales["base"], scales["tuned"]) / stronger
    told = pd.DataFrame({name: torch.as_tensor(column).cpu().numpy() for name, column in table.items()})
    return told.assign(called=[_called(row) for row in told.itertuples()])


def _called(row: Any) -> str:
    if row.n_fired < MIN_FIRINGS:
        return "silent"
    share = max(row.share_tuned, 1 - row.share_tuned)
    alone = all(getattr(row, f"nu_{target}") <= most for target, most in LARGEST_NU.items())
    if alone:
        whose = "tuned only" if row.share_tuned > 0.5 else "base only"
        return whose if share >= ONE_ALONE else "turned"
    return "shared" if share <= SHARED else "uneven"


def _favourites(
    f: Float[Tensor, "token latent"], words: Int[Tensor, " token"]
) -> tuple[list[int], Float[Any, " latent"]]:
    """The token on which each latent has most of its activation, and how much of it."""
    ids, number = words.unique(return_inverse=True)
    sums = torch.zeros(len(ids), f.shape[1], device=f.device).index_add_(0, number, f)
    best = sums.max(0)
    return ids[best.indices].tolist(), (best.values / f.sum(0).clamp(min=1e-30)).cpu().numpy()
