"""How much does each block compute something else, on the same text?"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from tqdm.auto import tqdm
from transformer_lens.model_bridge import TransformerBridge

from interp.layers.batches import Batch, batches
from interp.layers.hooks import Hook, hooked
from interp.layers.nulls import changed_tensors, gaussian_change, upper_limit
from interp.measurement import Measurement, digest
from interp.pair import Pair
from interp.tasks.task import Reading


def activation_change(
    pair: Pair, readings: Sequence[Reading], *, draws: int = 10, seed: int = 0, batch_size: int = 64
) -> Measurement:
    """How far tuned's residual stream is from base's after every block, block by block and cumulatively, with nulls.

    With h_l base's residual stream before block l, B_l and T_l block l of base and of tuned:

    - `block_diff` = ||T_l(h_l) - B_l(h_l)|| / ||B_l(h_l)||: both blocks read base's stream, so a block that tuning
      left alone scores exactly 0 whatever happened below it. This one localises.
    - `cumulative_diff`: the same ratio for the residual streams of the two models run freely. A change in block 0
      is carried up through every block above, so this profile does not say where tuning acted.

    Norms are root sums of squares over all tokens of all readings but each one's first, the begin token. Beside each
    stands its null: base moved by Gaussian noise of tuning's own norm in every matrix, `draws` times; mean, standard
    deviation, and the limit one more draw would stay under 19 times in 20 (`null_block_high`, `null_cumulative_high`).
    Takes 3 + 2 x draws forward passes over the readings. Memory grows with layers x d_model x batch, not with the
    number of readings, by one copy of base's changed weights while a null is in place.

    Raises ValueError for fewer than 2 draws, nothing to read, or a reading longer than the context.
    """
    if draws < 2:
        raise ValueError(f"draws is {draws}, a null band needs at least 2")
    n_layers, changes = pair.n_layers, changed_tensors(pair)
    scale = np.zeros(n_layers)
    tuned = np.zeros((2, n_layers))
    null = np.zeros((draws, 2, n_layers))
    n_tokens = 0
    with torch.inference_mode():
        for batch in tqdm(batches(pair, _texts(readings), batch_size), desc="activations", unit="batch", disable=None):
            stream = _residual_stream(pair.base, batch)
            scale += [_sum_of_squares(after, batch.counted) for after in stream[1:]]
            tuned += _distances(pair.tuned, stream, batch)
            for draw in range(draws):
                with gaussian_change(changes, seed=seed, draw=draw):
                    null[draw] += _distances(pair.base, stream, batch)
            n_tokens += int(batch.counted.sum())
    (block, cumulative), nulls = np.sqrt(tuned / scale), np.sqrt(null / scale)
    table = {"layer": range(n_layers), "block_diff": block, "cumulative_diff": cumulative}
    for i, name in enumerate(("block", "cumulative")):
        table[f"null_{name}_mean"] = nulls[:, i].mean(0)
        table[f"null_{name}_sd"] = nulls[:, i].std(0, ddof=1)
        table[f"null_{name}_high"] = upper_limit(nulls[:, i])
    made_with = pair.made_with(readings=digest([list(r.tokens) for r in readings]), draws=draws, seed=seed)
    unit = "change of the residual stream after a block, relative to base's"
    return Measurement("activations", unit, pd.DataFrame(table | {"n_tokens": n_tokens, "n_draws": draws}), made_with)


def _texts(readings: Sequence[Reading]) -> list[tuple[int, ...]]:
    """The tokens of the readings, some of which have to be more than a begin token."""
    texts = [reading.tokens for reading in readings if reading.tokens]
    if max(map(len, texts), default=0) < 2:
        raise ValueError("there is nothing to read: every reading is empty or only a begin token; give longer texts")
    return texts


def _residual_stream(model: TransformerBridge, batch: Batch) -> list[Float[Tensor, "batch pos d_model"]]:
    """The residual stream before every block, and after the last."""
    stream: list[Float[Tensor, "batch pos d_model"]] = []
    last = len(model.blocks) - 1
    names = [*(f"blocks.{layer}.hook_in" for layer in range(last + 1)), f"blocks.{last}.hook_out"]
    _run(model, batch, dict.fromkeys(names, stream.append))
    return stream


def _distances(
    model: TransformerBridge, stream: Sequence[Float[Tensor, "batch pos d_model"]], batch: Batch
) -> Float[np.ndarray, "2 n_layers"]:
    """Squared distance of the model's block outputs to the stream: each block fed the stream, and run freely."""
    n_layers = len(stream) - 1
    squares = np.zeros((2, n_layers))

    def feed(layer: int) -> Hook:
        return lambda _: stream[layer]

    def compare(kind: int, layer: int) -> Hook:
        def measure(after: Float[Tensor, "batch pos d_model"]) -> None:
            squares[kind, layer] = _sum_of_squares(after.float() - stream[layer + 1].float(), batch.counted)

        return measure

    outputs = [{f"blocks.{layer}.hook_out": compare(kind, layer) for layer in range(n_layers)} for kind in (0, 1)]
    _run(model, batch, outputs[0] | {f"blocks.{layer}.hook_in": feed(layer) for layer in range(n_layers)})
    _run(model, batch, outputs[1])
    return squares


def _run(model: TransformerBridge, batch: Batch, hooks: dict[str, Hook]) -> None:
    """One forward pass for its hooks; the head computes one position, as it cannot be left out."""
    with hooked(model, hooks):
        model(batch.tokens, attention_mask=batch.mask, logits_to_keep=1)


def _sum_of_squares(x: Float[Tensor, "batch pos d_model"], counted: Bool[Tensor, "batch pos"]) -> float:
    return float(x.float().square().sum(-1, dtype=torch.float64)[counted].sum())
