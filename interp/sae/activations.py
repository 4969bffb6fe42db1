"""What a model computes at one hook while it reads labelled texts, one row per token."""

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from interp.backoff import at_most
from interp.devices import asked_at
from interp.measurement import digest
from interp.tasks.task import Reading

TOKENS_AT_ONCE = 8_192
Batch = tuple[list[int], Int[Tensor, "batch pos"], Int[Tensor, "batch pos"]]


def activations(
    model: Any, readings: Sequence[Reading], hook: str, *, keep_first: bool = False
) -> Float[Tensor, "token d_in"]:
    """The activations at `hook` of every token of every reading, one row per token in the order of the readings.

    The first position is left out unless `keep_first`: the begin token (or, without one, whatever stands there)
    serves as an attention sink, its activation is the same for every text and can be larger than all others
    together. Raises on an unknown hook, on a text longer than the context and on activations that are not finite.
    """
    return activations_at(model, readings, [hook], keep_first=keep_first)[hook]


@torch.inference_mode()
def activations_at(
    model: Any, readings: Sequence[Reading], hooks: Sequence[str], *, keep_first: bool = False
) -> dict[str, Tensor]:
    """The same at several hooks in one pass over the texts, by the names asked for."""
    names = {hook: hook_name(model, hook) for hook in hooks}
    layers = [re.match(r"blocks\.(\d+)\.", name) for name in names.values()]
    stop_at_layer = max(int(layer[1]) for layer in layers if layer) + 1 if layers and all(layers) else None
    rows: dict[str, dict[int, Tensor]] = {hook: {} for hook in hooks}
    for numbers, tokens, mask in batches(model, readings):
        _, cache = model.run_with_cache(
            tokens,
            attention_mask=mask,
            names_filter=list(names.values()),
            stop_at_layer=stop_at_layer,
            return_cache_object=False,
        )
        for hook, name in names.items():
            values = _checked(cache, name, tokens)
            for row, number in enumerate(numbers):
                rows[hook][number] = values[row, 0 if keep_first else 1 : len(readings[number].tokens)].float()
    for hook, found in rows.items():
        for number, values in found.items():
            if not values.isfinite().all():
                raise ValueError(
                    f"activations at {names[hook]!r} are not finite in the reading of problem "
                    f"{readings[number].problem!r}"
                )
    return {hook: torch.cat([found[number] for number in range(len(readings))]) for hook, found in rows.items()}


def _checked(cache: Any, hook: str, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_in"]:
    if hook not in cache:
        raise ValueError(f"hook {hook!r} exists but nothing passes through it in this model; choose another")
    values = cache[hook]
    if values.ndim != 3 or values.shape[:2] != tokens.shape:
        raise ValueError(
            f"hook {hook!r} gives shape {tuple(values.shape)}, features are read from [batch, pos, d_in]; "
            "choose a hook such as blocks.L.hook_out"
        )
    return values


def hook_name(model: Any, hook: str) -> str:
    """The canonical name of a hook, which has to exist and be switched on: the library ignores unknown names."""
    if hook not in model.hook_dict:
        near = difflib.get_close_matches(hook, model.hook_dict, n=1, cutoff=0)
        raise ValueError(f"the model has no hook {hook!r}; the nearest is {near[0]!r}")
    model.check_hooks_to_add(hook)
    return str(model.hook_dict[hook].name)


def check_varied(x: Float[Tensor, "token d_in"], hook: str) -> None:
    """Refuse activations in which there is nothing to find."""
    if len(x) < 2 or bool((x == x[0]).all()):
        raise ValueError(
            f"activations at {hook!r} are the same for all {len(x)} tokens; there is nothing to learn from them"
        )


def digest_of(readings: Sequence[Reading]) -> str:
    """A digest of every text read and its labels, in order."""
    return digest([[r.problem, r.tokens, [[x.strategy, x.role, x.stretch] for x in r.labels]] for r in readings])


def batches(model: Any, readings: Sequence[Reading], *, tokens_at_once: int = TOKENS_AT_ONCE) -> Iterator[Batch]:
    """Readings by length in right-padded batches: their numbers, token ids, and the mask of real tokens."""
    if not readings or not all(reading.tokens for reading in readings):
        raise ValueError("there is nothing to read; give at least one reading, each with at least one token")
    device = asked_at(model)
    order = sorted(range(len(readings)), key=lambda number: len(readings[number].tokens))
    longest = readings[order[-1]]
    if len(longest.tokens) > model.cfg.n_ctx:
        raise ValueError(
            f"the reading of problem {longest.problem!r} has {len(longest.tokens)} tokens, the model's context is "
            f"{model.cfg.n_ctx}; cut it"
        )
    with tqdm(total=len(order), desc="reading", unit="text", leave=False, disable=None) as progress:
        while order:
            n = 1
            while n < len(order) and (n + 1) * len(readings[order[n]].tokens) <= tokens_at_once:
                n += 1
            n = at_most(n)
            numbers, order = order[:n], order[n:]
            width = len(readings[numbers[-1]].tokens)
            tokens = torch.zeros((n, width), dtype=torch.long)
            mask = torch.zeros_like(tokens)
            for row, number in enumerate(numbers):
                ids = readings[number].tokens
                tokens[row, : len(ids)] = torch.tensor(ids)
                mask[row, : len(ids)] = 1
            yield numbers, tokens.to(device), mask.to(device)
            progress.update(n)
