"""Does the SAE describe what each model computes? Reconstruction, and how much of the prediction survives it."""

import math
import random
from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from interp.distances import kl
from interp.measurement import Measurement
from interp.pair import Pair
from interp.sae.activations import TOKENS_AT_ONCE, activations, batches, check_varied, digest_of
from interp.sae.splice import ablate, splice
from interp.sae.trained import TrainedSAE
from interp.tasks.task import Reading

_LOGITS_AT_ONCE = 2**25


def sae_quality(
    pair: Pair, sae: TrainedSAE, readings: Sequence[Reading], *, max_tokens: int = 10_000, seed: int = 0
) -> Measurement:
    """How well the SAE stands in for both models on the same text; a row per model, first position out and in.

    - `fvu` = sum |x - x_hat|^2 / sum |x - mean|^2, the unexplained share of variance; 1 is no better than the mean
    - `l0`: features active per token; `dead`: share of features active on no token
    - `ce_recovered` = (ce_ablated - ce_spliced) / (ce_ablated - ce_clean), `kl_recovered` = 1 - kl_spliced /
      kl_ablated, with the SAE's reconstruction or zero in place of the activation; 1 is lossless; signed,
      and NaN where zeroing changes nothing

    Zero is sae-lens' and SAEBench's yardstick and a generous one, so the nats themselves stand beside the shares.
    `ce_recovered` can pass 1 on text that is not the model's own, since a blurred model is less surprised by it;
    `kl_recovered` cannot. Texts are drawn with `seed` until they hold `max_tokens`.
    """
    sample = _some_of(readings, max_tokens, seed)
    first = torch.cat([torch.arange(len(reading.tokens)) == 0 for reading in sample])
    rows = []
    for name, model in pair.models.items():
        x = activations(model, sample, sae.hook, keep_first=True)
        for bos in ("excluded", "included"):
            kept = x[~first.to(x.device)] if bos == "excluded" else x
            check_varied(kept, sae.hook)
            spliced = _prediction(model, sae, sample, keep_first=bos == "excluded")
            rows.append({"model": name, "bos": bos, **reconstruction(sae, kept), **spliced, "n_tokens": len(kept)})
    table = pd.DataFrame(rows).assign(hook=sae.hook, d_sae=sae.d_sae, k=sae.trained_on["k"])
    made_with = pair.made_with(sae=dict(sae.trained_on), readings=digest_of(sample), max_tokens=max_tokens, seed=seed)
    return Measurement("sae_quality", "shares; ce and kl in nats per token", table, made_with)


@torch.inference_mode()
def reconstruction(sae: TrainedSAE, x: Float[Tensor, "token d_in"]) -> dict[str, float]:
    """`fvu`, `l0` and `dead` of an SAE on activations."""
    variance = (x - x.double().mean(0)).square().sum()
    missed, active = x.new_zeros((), dtype=torch.float64), x.new_zeros(sae.d_sae, dtype=torch.float64)
    for part in x.split(TOKENS_AT_ONCE):
        features = sae.encode(part)
        missed += (part - sae.sae.decode(features)).double().square().sum()
        active += (features != 0).sum(0)
    return {
        "fvu": float(missed / variance),
        "l0": float(active.sum() / len(x)),
        "dead": float((active == 0).double().mean()),
    }


@torch.inference_mode()
def _prediction(model: Any, sae: TrainedSAE, readings: Sequence[Reading], *, keep_first: bool) -> dict[str, float]:
    """Cross entropy of the next token and KL from the clean model, in nats per token, clean, spliced and ablated."""
    hooks = {"spliced": splice(sae, keep_first=keep_first), "ablated": ablate(sae.hook, keep_first=keep_first)}
    sums = dict.fromkeys(("ce_clean", "ce_spliced", "ce_ablated", "kl_spliced", "kl_ablated"), 0.0)
    n = 0
    at_once = min(TOKENS_AT_ONCE, _LOGITS_AT_ONCE // model.cfg.d_vocab)
    for _, tokens, mask in batches(model, readings, tokens_at_once=at_once):
        scored = mask[:, 1:].bool()
        if keep_first:
            scored[:, 0] = False
        n += int(scored.sum())
        target = tokens[:, 1:][scored]
        clean = model(tokens, attention_mask=mask)[:, :-1][scored].float()
        sums["ce_clean"] += _nats(clean, target)
        for name, hook in hooks.items():
            logits = model.run_with_hooks(tokens, fwd_hooks=[hook], attention_mask=mask)[:, :-1][scored].float()
            sums[f"ce_{name}"] += _nats(logits, target)
            sums[f"kl_{name}"] += float(kl(clean, logits).double().sum())
    means = {name: total / n for name, total in sums.items()}
    ce_kept, ce_all = means["ce_ablated"] - means["ce_spliced"], means["ce_ablated"] - means["ce_clean"]
    kl_kept, kl_all = means["kl_ablated"] - means["kl_spliced"], means["kl_ablated"]
    ce_recovered, kl_recovered = ce_kept / ce_all if ce_all else math.nan, kl_kept / kl_all if kl_all else math.nan
    return {"ce_recovered": ce_recovered, "kl_recovered": kl_recovered, **means}


def _nats(logits: Float[Tensor, "token d_vocab"], target: Int[Tensor, " token"]) -> float:
    return float(cross_entropy(logits, target, reduction="none").double().sum())


def _some_of(readings: Sequence[Reading], max_tokens: int, seed: int) -> list[Reading]:
    """Readings in random order until they hold `max_tokens`, at least one."""
    order = random.Random(seed).sample(range(len(readings)), len(readings))
    chosen, n = [], 0
    for number in order:
        if n >= max_tokens:
            break
        chosen.append(readings[number])
        n += len(readings[number].tokens)
    return chosen
