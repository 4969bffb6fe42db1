"""How much does each block compute something else, on the same text?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from tqdm.auto import tqdm
from transformer_lens.model_bridge import TransformerBridge

from interp.layers.batches import Batch, batches, texts_of
from interp.layers.frozen import Reference, reference, squared_distances, squares
from interp.layers.nulls import Change, changed_tensors, gaussian_change, limit_over_depth, upper_limit, z_scores
from interp.measurement import Measurement, digest
from interp.pair import Pair
from interp.tasks.task import Reading

COMPARED = ("block", "stream")
"""Parts of `frozen` that are compared: a block on base's stream, and the stream of the model run freely."""
RUN_FREELY = 19
"""Draws of the null that are run freely too; the others are for the limit over depth, which is about blocks alone."""


def activation_change(
    pair: Pair, readings: Sequence[Reading], *, draws: int = 99, seed: int = 0, batch_size: int = 64
) -> Measurement:
    """How far tuned's residual stream is from base's after every block, block by block and cumulatively, with nulls.

    With h_l base's residual stream before block l, B_l and T_l block l of base and of tuned:

    - `block_diff` = ||T_l(h_l) - B_l(h_l)|| / ||B_l(h_l)||: both blocks read base's stream, so a block that tuning
      left alone scores exactly 0 whatever happened below it. This one localises.
    - `cumulative_diff`: the same ratio for the residual streams of the two models run freely. A change in block 0
      is carried up through every block above, so this profile does not say where tuning acted.

    Norms are root sums of squares over all tokens of all readings but each one's first, the begin token. Beside each
    stands its null: base moved by Gaussian noise of tuning's own norm in every matrix, `draws` times (where the two
    files' formats differ, by what storage alone does too: `gaussian_change`); mean, standard deviation, the limit that
    one more draw would stay under 19 times in 20 (`null_block_high`, `null_cumulative_high`; exact from 19 draws on),
    and the limit that it would stay under in all layers at once 99 times in 100 (`null_block_any`, ...; exact from 99
    on, `limit_over_depth`). The stream is run freely in the first 19 draws only. `block_z` and `cumulative_z` say how
    many of the null's standard deviations above its mean tuned lies.
    Takes 3 forward passes over the readings, one for every draw and one more for the first 19. Memory grows with layers
    x d_model x batch, not with the number of readings, by one copy of base's changed weights while a null is in place.

    Raises ValueError for fewer than 2 draws, nothing to read, or a reading longer than the context.
    """
    sums = activation_sums(pair, readings, draws=draws, seed=seed, batch_size=batch_size)
    made_with = pair.made_with(readings=digest([list(r.tokens) for r in readings]), draws=draws, seed=seed)
    return activations_of(sums, made_with)


@dataclass(frozen=True, eq=False)
class Sums:
    """One batch's squares, block by block and cumulatively: base's own, tuned's distance, each draw's; and its tokens.

    What is not run freely (draws after the first 19, cumulatively) is 0 and not read. The sums of several batches add
    up entry by entry; added in the batches' order they are the same to the last bit wherever each batch was read.
    """

    base: Float[np.ndarray, "2 layer"]
    tuned: Float[np.ndarray, "2 layer"]
    null: Float[np.ndarray, "draw 2 layer"]
    n_tokens: int


def activation_sums(
    pair: Pair, readings: Sequence[Reading], *, draws: int = 99, seed: int = 0, batch_size: int = 64
) -> list[Sums]:
    """What `activation_change` adds up, batch by batch; readings are batched in order of length."""
    if draws < 2:
        raise ValueError(f"draws is {draws}, a null band needs at least 2")
    changes, sums = changed_tensors(pair), list[Sums]()
    with torch.inference_mode():
        for batch in tqdm(
            batches(pair, texts_of(readings), batch_size), desc="activations", unit="batch", disable=None
        ):
            seen, counted = reference(pair.base, batch, inside=False), batch.counted[..., None].double()
            base = squares(seen, counted, COMPARED)[..., 0]
            tuned = squared_distances(pair.tuned, seen, batch, counted, COMPARED)[..., 0]
            null = null_distances(pair.base, changes, seen, batch, draws=draws, seed=seed)
            sums.append(Sums(base, tuned, null, int(batch.counted.sum())))
    return sums


def null_distances(
    model: TransformerBridge, changes: Sequence[Change], seen: Reference, batch: Batch, *, draws: int, seed: int
) -> Float[np.ndarray, "draw 2 layer"]:
    """Each draw's squared distances from what base made of one batch; the stream's in the first `RUN_FREELY` draws."""
    counted = batch.counted[..., None].double()
    found = np.zeros((draws, len(COMPARED), len(model.blocks)))
    for draw in range(draws if changes else 0):
        parts = COMPARED if draw < RUN_FREELY else COMPARED[:1]
        with gaussian_change(changes, seed=seed, draw=draw):
            found[draw, : len(parts)] = squared_distances(model, seen, batch, counted, parts)[..., 0]
    return found


def activations_of(sums: Sequence[Sums], made_with: Mapping[str, Any]) -> Measurement:
    """The measurement that the batches' sums, given in the batches' order, add up to."""
    base, tuned, null = np.zeros_like(sums[0].base), np.zeros_like(sums[0].tuned), np.zeros_like(sums[0].null)
    for one in sums:
        base += one.base
        tuned += one.tuned
        null += one.null
    table = _table(np.sqrt(tuned / base), np.sqrt(null / base))
    table = table.assign(n_tokens=sum(one.n_tokens for one in sums), n_draws=len(null))
    return Measurement(
        "activations", "change of the residual stream after a block, relative to base's", table, made_with
    )


def _table(tuned: Float[np.ndarray, "2 layer"], nulls: Float[np.ndarray, "draw 2 layer"]) -> pd.DataFrame:
    table: dict[str, object] = {"layer": range(tuned.shape[1]), "block_diff": tuned[0], "cumulative_diff": tuned[1]}
    for i, (name, null) in enumerate((("block", nulls[:, 0]), ("cumulative", nulls[:RUN_FREELY, 1]))):
        table[f"null_{name}_mean"] = null.mean(0)
        table[f"null_{name}_sd"] = null.std(0, ddof=1)
        table[f"null_{name}_high"] = upper_limit(null)
        table[f"null_{name}_any"] = limit_over_depth(null)
        table[f"{name}_z"] = z_scores(tuned[i], null)
    return pd.DataFrame(table)
