"""What a model would write next if one activation had been different, for many edits of the same places."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache

from interp.decoding import left_padded
from interp.devices import asked_at
from interp.sae.activations import batches, hook_name
from interp.sae.splice import check_spliceable
from interp.sae.trained import TrainedSAE
from interp.tasks.task import Reading

ROWS_AT_ONCE, LOGITS_AT_ONCE = 1_024, 2**26
"""The second is what bounds memory where the vocabulary is large: 256 MB of logits."""
Edit = Callable[[Float[Tensor, "place d_in"]], Float[Tensor, "place d_in"]]


@torch.inference_mode()
def edited_logprobs(
    model: Any, prefixes: Sequence[Sequence[int]], hook: str, edits: Sequence[Edit], *, pad: int = 0
) -> Float[Tensor, "edit place d_vocab"]:
    """Log-probabilities of the next token after each prefix, when the activation at its last token is edited.

    The prefixes are read once; each edit then costs one token, since what it changes lies at the last position.
    Equal, to rounding, to reading every prefix anew with a hook at its last position.
    """
    check_spliceable(hook)
    hook = hook_name(model, hook)
    if short := [number for number, ids in enumerate(prefixes) if len(ids) < 2]:
        raise ValueError(f"prefix {short[0]} has fewer than two tokens; edit places behind the first token")
    device = asked_at(model)
    tokens, mask = left_padded(prefixes, pad=pad, device=device)
    cache = DynamicCache()  # a cache of sliding windows cannot go back past one; the mask hides what lies outside
    options: dict[str, Any] = {"past_key_values": cache, "use_cache": True}
    model(tokens[:, :-1], attention_mask=mask[:, :-1], **options)
    # Several edits go through in one batch, since a pass over one token costs its overhead and little else.
    rows = min(ROWS_AT_ONCE, LOGITS_AT_ONCE // model.cfg.d_vocab)
    at_once = max(1, min(len(edits), rows // len(prefixes)))
    cache.batch_repeat_interleave(at_once)
    last, masks = (ids.repeat_interleave(at_once, 0) for ids in (tokens[:, -1:], mask))
    found: list[Tensor] = []
    changed: list[Sequence[Edit]] = []
    with model.hooks(fwd_hooks=[(hook, _changing(changed))]):
        for start in range(0, len(edits), at_once):
            part = edits[start : start + at_once]
            changed.append([*part, *[nothing] * (at_once - len(part))])
            logits = model(last, attention_mask=masks, **options)
            told = logits[:, -1].float().log_softmax(-1).view(len(prefixes), at_once, -1)
            found.append(told[:, : len(part)].transpose(0, 1))
            cache.crop(-1)
    if changed:
        raise ValueError(f"the edits at {hook!r} were never made; choose another hook")
    return torch.cat(found)


def _changing_at(edit: Edit, rows: Int[Tensor, " place"], ends: Int[Tensor, " place"]) -> Callable[..., Tensor]:
    """A hook that edits these places of a batch."""

    def change(activation: Tensor, hook: Any) -> Tensor:
        changed = activation.clone()
        changed[rows, ends] = edit(activation[rows, ends].float()).to(activation.dtype)
        return changed

    return change


def _changing(waiting: list[Sequence[Edit]]) -> Callable[..., Tensor]:
    """A hook that makes the edits waiting, one per row of every group of rows, and takes them off the list."""

    def change(activation: Tensor, hook: Any) -> Tensor:
        edits = waiting.pop()
        rows = activation[:, -1].float().view(-1, len(edits), activation.shape[-1])
        edited = torch.stack([edit(rows[:, number]) for number, edit in enumerate(edits)], 1)
        return edited.view(len(activation), 1, -1).to(activation.dtype)

    return change


def nothing(x: Float[Tensor, "place d_in"]) -> Float[Tensor, "place d_in"]:
    """Leave the activation as it is."""
    return x


def add(vector: Float[Tensor, " d_in"]) -> Edit:
    """Add a vector."""
    return lambda x: x + vector


def clamp_feature(sae: TrainedSAE, feature: int, value: float) -> Edit:
    """Set a feature to a value and keep all else, the SAE's error included; 0 ablates it.

    x + decode(f') - decode(f): an SAE that normalises its input moves each token by that token's own size.
    """

    def clamp(x: Float[Tensor, "place d_in"]) -> Float[Tensor, "place d_in"]:
        features = sae.encode(x)
        changed = features.clone()
        changed[:, feature] = value
        return x + (sae.decode(changed, x) - sae.decode(features, x))

    return clamp


def clamp_direction(direction: Float[Tensor, " d_in"], value: Float[Tensor, ""]) -> Edit:
    """Set the projection on a direction to a value; its mean over all tokens ablates it."""
    unit = direction / direction.norm()
    return lambda x: x + (value - x @ unit)[:, None] * unit


def as_far(edit: Edit, own: Float[Tensor, " d_in"], other: Float[Tensor, " d_in"]) -> Edit:
    """A twin of an edit along `own`: the same displacement of every activation, along `other` (lengths are ignored)."""
    own, other = own / own.norm(), other / other.norm()
    return lambda x: x + ((edit(x) - x) @ own)[:, None] * other


@torch.inference_mode()
def edited_chances(
    model: Any, readings: Sequence[Reading], hook: str, edits: Sequence[Edit], where: Sequence[Sequence[int]]
) -> Float[Tensor, "edit token"]:
    """The probability of the token written next at the places asked for, with all of them edited in one pass.

    `where` holds positions of each reading, none of them the first or the last. Beside `edited_logprobs`, an edit
    here is felt by what follows as well, and a skill that rests on several tokens can be taken away as a whole.
    """
    check_spliceable(hook)
    hook = hook_name(model, hook)
    for reading, places in zip(readings, where, strict=True):
        if any(not 0 < place < len(reading.tokens) - 1 for place in places):
            raise ValueError(
                f"positions {list(places)} of problem {reading.problem!r} are to be edited, but it has "
                f"{len(reading.tokens)} tokens; edit neither the first nor the last"
            )
    found = torch.zeros(len(edits), sum(map(len, where)))
    starts = torch.tensor([0, *map(len, where)]).cumsum(0).tolist()
    for numbers, tokens, mask in batches(model, readings):
        rows = torch.tensor([line for line, number in enumerate(numbers) for _ in where[number]])
        ends = torch.tensor([place for number in numbers for place in where[number]])
        if not len(rows):
            continue
        into = torch.tensor([starts[number] + i for number in numbers for i in range(len(where[number]))])
        target = tokens[rows, ends + 1]
        for number, edit in enumerate(edits):
            hooks = [(hook, _changing_at(edit, rows, ends))]
            logits = model.run_with_hooks(tokens, fwd_hooks=hooks, attention_mask=mask)[rows, ends]
            chance = logits.float().softmax(-1).gather(1, target[:, None])[:, 0]
            found[number, into] = chance.cpu()
    return found
