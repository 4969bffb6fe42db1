"""The activation diff of a pair of which only one model fits into memory at a time."""

import gc
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor

from interp.checkpoint import Checkpoint, open_checkpoint, transformers_config
from interp.compatible import check_configs, check_shapes, check_tokenizers, tokenizer_differences
from interp.layers.activations import COMPARED, Sums, activations_of, null_distances
from interp.layers.batches import Batch, batches, texts_of
from interp.layers.frozen import Reference, reference, squared_distances, squares
from interp.layers.nulls import changed
from interp.loading import Fidelity, bridged, check_place, load_tokenizer, plain_model
from interp.measurement import Measurement, digest, provenance
from interp.pair import Pair
from interp.tasks.task import Reading

T = TypeVar("T")


def activation_change_apart(
    base: str | Path | Checkpoint,
    tuned: str | Path | Checkpoint,
    readings: Sequence[Reading],
    *,
    folder: Path,
    draws: int = 99,
    seed: int = 0,
    batch_size: int = 64,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> Measurement:
    """`activation_change` with one model in memory at a time: the same table to the last bit, at three loads for two.

    Tuned comes first and lays down its weights in `folder`, as its forward pass uses them. Then base, which is held
    against them for the size of the null's noise, and lays down its streams, batch by batch. Then tuned again, which
    reads them. So `folder` needs room for tuned's weights and for (layers + 1) x d_model numbers per token; all of it
    is removed at the end, however that comes. Memory: one model, the weights that tuning changed once more while a
    null is in place, and the streams of one batch.

    Raises as `load_pair` and `activation_change` do.
    """
    if draws < 2:
        raise ValueError(f"draws is {draws}, a null band needs at least 2")
    opened = {"base": open_checkpoint(base), "tuned": open_checkpoint(tuned)}
    differences = _checked(opened)
    place = dtype, torch.device(device)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".apart.") as name, torch.inference_mode():
        laid = Path(name)

        def read(pair: Pair) -> list[Batch]:
            return batches(pair, texts_of(readings), batch_size)

        def begin(pair: Pair) -> None:
            read(pair)  # so that a text too long for tuned is refused now, not after base
            _lay_weights(pair, laid)

        _alone(opened, "tuned", *place, begin)
        of_base, faithful = _alone(opened, "base", *place, lambda pair: _base(pair, read(pair), laid, draws, seed))
        distances, fidelity = _alone(opened, "tuned", *place, lambda pair: _tuned(pair, read(pair), laid))
    sums = [Sums(own, far, null, n) for (own, null, n), far in zip(of_base, distances, strict=True)]
    made_with = provenance(
        **{role: {"name": one.name, "digest": one.digest, "revision": one.revision} for role, one in opened.items()},
        dtype=str(dtype).removeprefix("torch."),
        differences=differences,
        fidelity={what: max(getattr(one, what) for one in (faithful, fidelity)) for what in ("logits", "residual")},
        readings=digest([list(reading.tokens) for reading in readings]),
        draws=draws,
        seed=seed,
        loaded="one at a time",
    )
    return activations_of(sums, made_with)


def _checked(opened: Mapping[str, Checkpoint]) -> list[str]:
    """What is no pair is refused before anything is loaded; what differs all the same, in sentences."""
    configs = {role: transformers_config(checkpoint) for role, checkpoint in opened.items()}
    check_configs(configs["base"], configs["tuned"])
    check_shapes(opened["base"], opened["tuned"])
    tokenizers = {role: load_tokenizer(opened[role], configs[role]) for role in opened}
    check_tokenizers(**tokenizers)
    return list(tokenizer_differences(**tokenizers))


def _alone(
    opened: Mapping[str, Checkpoint], role: str, dtype: torch.dtype, device: torch.device, do: Callable[[Pair], T]
) -> tuple[T, Fidelity]:
    """What is done with one model as both sides of a pair, base's tokenizer for either; then the model is gone."""
    check_place(dtype, device)
    checkpoint = opened[role]
    tokenizer = load_tokenizer(opened["base"], transformers_config(opened["base"]))
    with torch.inference_mode(False):  # what is loaded in inference mode could not be moved by the null
        bridge, fidelity = bridged(plain_model(checkpoint, dtype, device), checkpoint, tokenizer)
    try:
        return do(Pair(bridge, bridge, tokenizer, checkpoint, checkpoint, fidelity)), fidelity
    finally:
        del bridge
        gc.collect()  # a bridge and the model that it wraps hold each other
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _lay_weights(pair: Pair, laid: Path) -> None:
    """A file per tensor, so that no second copy of the model is in memory."""
    for name, tensor in pair.tuned.state_dict().items():
        save_file({"tensor": tensor.contiguous()}, laid / f"{name}.safetensors")


def _base(
    pair: Pair, read: Sequence[Batch], laid: Path, draws: int, seed: int
) -> list[tuple[Float[np.ndarray, "part layer"], Float[np.ndarray, "draw part layer"], int]]:
    """Base's own squares, the null's distances and the tokens of every batch; the streams are laid down."""

    state = pair.base.state_dict()

    def tuned(name: str) -> Float[Tensor, "..."]:
        there = load_file(laid / f"{name}.safetensors", device=str(pair.device))["tensor"]
        return torch.empty_like(state[name]).copy_(
            there
        )  # laid out as base's, so that a norm adds up in the same order

    changes, found = changed(state, tuned), []
    for number, batch in enumerate(read):
        seen, counted = reference(pair.base, batch, inside=False), batch.counted[..., None].double()
        save_file(
            {f"{layer:04}": stream.contiguous() for layer, stream in enumerate(seen.stream)},
            laid / f"streams-{number}.safetensors",
        )
        own = squares(seen, counted, COMPARED)[..., 0]
        null = null_distances(pair.base, changes, seen, batch, draws=draws, seed=seed)
        found.append((own, null, int(batch.counted.sum())))
    return found


def _tuned(pair: Pair, read: Sequence[Batch], laid: Path) -> list[Float[np.ndarray, "part layer"]]:
    """Tuned's distance to the streams that were laid down, batch by batch."""
    found = []
    for number, batch in enumerate(read):
        streams = load_file(laid / f"streams-{number}.safetensors", device=str(pair.device))
        seen, counted = (
            Reference([streams[name] for name in sorted(streams)], [], []),
            batch.counted[..., None].double(),
        )
        found.append(squared_distances(pair.tuned, seen, batch, counted, COMPARED)[..., 0])
    return found
