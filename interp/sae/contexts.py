"""Look at a feature: its highest texts in both models, how its values spread, the tokens it promotes and suppresses."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from interp.measurement import Measurement
from interp.pair import Pair
from interp.sae.activations import activations, digest_of
from interp.sae.trained import TrainedSAE
from interp.tasks.task import Reading

PROMOTED = 6
"""Tokens that a feature's direction raises most, and as many that it lowers most, by the unembedding."""
BINS = 10
"""Bars of a histogram."""


def feature_contexts(
    pair: Pair, sae: TrainedSAE, readings: Sequence[Reading], features: Measurement, *, n: int = 4, width: int = 14
) -> Measurement:
    """For each strategy's feature the `n` texts on which it is highest in base, as both models read them.

    A row per text and model: `words` and `values` of the `width` tokens around the peak, the peak among them; texts
    of one problem count once. `promotes` and `suppresses` are the tokens with the largest and smallest
    w_dec . w_unembed in that model, `weights` those products in the same order; they are read without the final norm
    and so a hint only. `firing` is the share of all tokens on which the feature is above zero; `counts` says how many
    of these fall into each of ten equal parts of the range from 0 to `most`, the largest value in either model.
    Of a feature that is lower on its strategy (`sign` -1) these are still the texts on which it is highest: what it
    says is that the strategy is not there. `neuronpedia` is its page's address, where a released SAE has one.
    """
    read = {name: sae.encode(activations(model, readings, sae.hook)) for name, model in pair.models.items()}
    heads = {
        name: model.state_dict()["unembed.weight"].float().to(sae.sae.W_dec.device)
        for name, model in pair.models.items()
    }
    ends = torch.tensor([len(reading.tokens) - 1 for reading in readings]).cumsum(0).tolist()
    chosen = features.table[(features.table.source == "sae") & (features.table.model == "base")]
    chosen = chosen.drop_duplicates(["strategy", "at"]).dropna(subset=["feature"])
    rows: list[dict[str, Any]] = []
    for found in chosen.itertuples():
        feature = int(found.feature)
        what = {"strategy": found.strategy, "at": found.at, "feature": feature, "sign": int(found.sign)}
        what["neuronpedia"] = neuronpedia(sae, feature)
        most = max(float(values[:, feature].max()) for values in read.values())
        spread = {
            model: _spread(values[:, feature], most) | _logits(pair, heads[model] @ sae.sae.W_dec[feature])
            for model, values in read.items()
        }
        for rank, (number, peak) in enumerate(_highest(read["base"][:, feature], readings, ends, n)):
            tokens = readings[number].tokens
            # Row r of a text is its position r + 1.
            first = max(1, min(peak + 1 - width // 2, len(tokens) - width))
            last = min(len(tokens), first + width)
            begin = ends[number] - (len(tokens) - 1)
            for model, values in read.items():
                here = values[begin + first - 1 : begin + last - 1, feature]
                told = {"model": model, "rank": rank, "problem": readings[number].problem}
                told |= {"words": pair.words(tokens[first:last]), "values": here.tolist()}
                rows.append({**what, **told, **spread[model]})
    if not rows:
        raise ValueError("there is no feature to look at; find features first")
    made_with = pair.made_with(sae=dict(sae.trained_on), readings=digest_of(readings), options={"n": n, "width": width})
    return Measurement("contexts", "a feature's activation on each token", pd.DataFrame(rows), made_with)


def neuronpedia(sae: TrainedSAE, feature: int) -> str:
    """The address of the feature's page on Neuronpedia; empty where its SAE is not there."""
    released = getattr(sae.sae.cfg.metadata, "neuronpedia_id", None)
    return f"https://www.neuronpedia.org/{released}/{feature}" if released else ""


def _spread(values: Float[Tensor, " token"], most: float) -> dict[str, Any]:
    counts = torch.histc(values[values > 0].float().cpu(), bins=BINS, min=0.0, max=most or 1.0)
    return {"firing": float((values > 0).double().mean()), "most": most, "counts": counts.long().tolist()}


def _logits(pair: Pair, weights: Float[Tensor, " d_vocab"]) -> dict[str, Any]:
    known = weights[: pair.d_vocab]
    up, down = known.topk(PROMOTED), known.topk(PROMOTED, largest=False)
    return {
        "promotes": pair.words(up.indices.tolist()),
        "suppresses": pair.words(down.indices.tolist()),
        "weights": [*up.values.tolist(), *down.values.tolist()],
    }


def _highest(
    values: Float[Tensor, " token"], readings: Sequence[Reading], ends: Sequence[int], n: int
) -> list[tuple[int, int]]:
    """(text, row in it) of the largest maxima, one text a problem."""
    sizes = [len(reading.tokens) - 1 for reading in readings]
    peaks = [
        (float(part.max()), number, int(part.argmax())) for number, part in enumerate(values.split(sizes)) if len(part)
    ]
    found: dict[str, tuple[int, int]] = {}
    for _, number, row in sorted(peaks, key=lambda peak: -peak[0]):
        found.setdefault(readings[number].problem, (number, row))
        if len(found) == n:
            break
    return list(found.values())
