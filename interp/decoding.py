"""The one cached, batched decoding loop; who writes the next token is a function passed in.

Several models may read the same growing text, each with its own key-value cache, and each is fed only when
somebody asks for its logits: a model that is consulted once in twenty tokens catches up in one chunk.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from interp.backoff import at_most
from interp.reader import Reader


@runtime_checkable
class Asked(Protocol):
    """A model as a turn asks it: about the text that ends with the turn's last token."""

    def logits(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Next-token logits."""

    def state(self, tokens: Tensor, mask: Tensor, hook: str) -> Tensor:
        """The last position's activation at a hook."""

    def steered(self, tokens: Tensor, mask: Tensor, hook: str, added: Tensor) -> Tensor:
        """Next-token logits with something added there."""


@dataclass(frozen=True)
class Turn:
    """The state at which one token per row is chosen.

    `prompts[i]` is the number of the prompt that row i continues; `written` tokens were chosen before this one,
    the same for every row; `tokens` holds left padding, prompt and what was written. A row that has ended is
    gone from the next turn, so every row of a turn is still being written.
    """

    tokens: Int[Tensor, "batch pos"]
    mask: Int[Tensor, "batch pos"]
    prompts: Int[np.ndarray, " batch"]
    written: int
    _readers: Mapping[str, Asked] = field(repr=False)

    def logits(self, model: str) -> Float[Tensor, "batch d_vocab"]:
        """The named model's next-token logits, in fp32; feeds it what it has not read yet."""
        return self._readers[model].logits(self.tokens, self.mask)

    def state(self, model: str, hook: str) -> Float[Tensor, "batch d_model"]:
        """The named model's activation at a hook, at the last position, in fp32; free from its second use on."""
        return self._readers[model].state(self.tokens, self.mask, hook)

    def steered(self, model: str, hook: str, added: Float[Tensor, "batch d_model"]) -> Float[Tensor, "batch d_vocab"]:
        """The named model's logits with `added` on top of the last position's activation at `hook`.

        Only that position is edited, once, and it stays edited: the last token is read again, so that the keys and
        values which later positions find above the hook come of the sum, those below and of other positions do not
        change. Rows with nothing to add keep their logits.
        """
        return self._readers[model].steered(self.tokens, self.mask, hook, added)

    def renamed(self, names: Mapping[str, str]) -> "Turn":
        """The same turn, in which the model called `names[new]` answers to `new`."""
        return replace(self, _readers={new: self._readers[old] for new, old in names.items()})

    @property
    def completion(self) -> Int[Tensor, "batch written"]:
        """What was written so far."""
        return self.tokens[:, self.tokens.shape[1] - self.written :]


Choose = Callable[[Turn], Int[Tensor, " batch"]]


@dataclass(frozen=True)
class Completion:
    """What was written for one prompt, without the stop token, and why it ended (`stop` or `length`)."""

    tokens: tuple[int, ...]
    reason: str

    def __post_init__(self) -> None:
        if self.reason not in ("stop", "length"):
            raise ValueError(f"a completion ends by 'stop' or 'length', not {self.reason!r}")


def greedy(model: str) -> Choose:
    """The named model's most likely token."""
    return lambda turn: turn.logits(model).argmax(-1)


def sample(model: str, *, seed: int, n_prompts: int, max_new_tokens: int, temperature: float = 1.0) -> Choose:
    """A draw from the named model, one uniform number per (prompt, position): the same whatever the batch.

    The token is the first whose cumulative probability exceeds the number. Two arms with the same seed share
    their numbers, so where their distributions agree so do their tokens.
    """
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}, it has to be above 0; for the most likely token use greedy")
    uniform = torch.from_numpy(np.random.default_rng(seed).random((n_prompts, max_new_tokens)))

    def choose(turn: Turn) -> Int[Tensor, " batch"]:
        logits = turn.logits(model)
        weights = torch.softmax(logits.double() / temperature, -1).cumsum(-1)
        u = uniform[torch.from_numpy(turn.prompts), turn.written].to(weights.device)
        # The number lies below 1, but its product with the sum may round up to the sum itself.
        token = torch.searchsorted(weights, (u * weights[:, -1])[:, None], right=True)[:, 0]
        return token.clamp(max=logits.shape[1] - 1)

    return choose


@torch.inference_mode()
def decode(
    models: Mapping[str, nn.Module],
    prompts: Sequence[Sequence[int]],
    choose: Choose,
    *,
    max_new_tokens: int,
    stop: Sequence[int],
    pad: int = 0,
    batch_size: int = 256,
    context: int | None = None,
) -> list[Completion]:
    """Complete every prompt (token ids), one token a turn, each row until a stop token or the limit.

    `models` are `TransformerBridge`s or plain transformers models, by the names that `choose` asks for.
    Prompts are left-padded and batched in order of length; results come in the order of the prompts. In fp32 the
    tokens do not depend on the batch, except where a model's two best tokens lie within about 1e-5 logits.
    """
    check_request(prompts, max_new_tokens=max_new_tokens, batch_size=batch_size, context=context)
    done: dict[int, Completion] = {}
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    batch_size = at_most(min(batch_size, len(prompts)))
    for start in range(0, len(order), batch_size):
        chunk = order[start : start + batch_size]
        done.update(_decode_batch(models, prompts, chunk, choose, max_new_tokens, frozenset(stop), pad))
    return [done[i] for i in range(len(prompts))]


def _decode_batch(
    models: Mapping[str, nn.Module],
    prompts: Sequence[Sequence[int]],
    chunk: Sequence[int],
    choose: Choose,
    max_new_tokens: int,
    stop: frozenset[int],
    pad: int,
) -> Iterator[tuple[int, Completion]]:
    """(number, completion) of every prompt in `chunk`, as its row ends."""
    readers = {name: Reader.of(name, model) for name, model in models.items()}
    device = next(iter(readers.values())).device
    tokens, mask = left_padded([prompts[i] for i in chunk], pad=pad, device=device)
    rows = np.array(chunk)
    stops = torch.tensor(sorted(stop), device=device, dtype=tokens.dtype)
    for written in range(max_new_tokens):
        token = choose(Turn(tokens, mask, rows, written, readers))
        if token.shape != (len(rows),) or token.is_floating_point():
            raise ValueError(
                f"the next token was chosen as {token.dtype} of shape {tuple(token.shape)}, "
                f"but the batch has {len(rows)} rows; choose one token id per row"
            )
        tokens = torch.cat([tokens, token[:, None].to(tokens)], 1)
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], 1)
        ended = torch.isin(tokens[:, -1], stops)
        if not ended.any():
            continue
        for row in ended.nonzero()[:, 0].tolist():
            yield int(rows[row]), Completion(tuple(tokens[row, tokens.shape[1] - written - 1 : -1].tolist()), "stop")
        # Rows leave at once: a step copies every cache anyway to make room for its token, so dropping rows costs
        # about one such copy on the steps where a row ends (1% of the time, measured) and saves their forward passes.
        kept = (~ended).nonzero()[:, 0]
        tokens, mask, rows = tokens[kept], mask[kept], rows[kept.cpu().numpy()]
        if not len(rows):
            return
        for reader in readers.values():
            reader.keep(kept)
    for row, prompt in enumerate(rows):
        yield int(prompt), Completion(tuple(tokens[row, tokens.shape[1] - max_new_tokens :].tolist()), "length")


def check_request(
    prompts: Sequence[Sequence[int]], *, max_new_tokens: int, batch_size: int, context: int | None
) -> None:
    """ValueError for what cannot be completed: no prompts, empty ones, or more tokens than the context holds."""
    if not prompts:
        raise ValueError("there is no prompt to complete; give at least one")
    if empty := [i for i, prompt in enumerate(prompts) if not len(prompt)]:
        raise ValueError(f"prompt {empty[0]} has no tokens; a model needs at least one to read")
    if max_new_tokens < 1 or batch_size < 1:
        raise ValueError(
            f"max_new_tokens is {max_new_tokens} and batch_size is {batch_size}; both have to be at least 1"
        )
    longest = max(map(len, prompts))
    if context is not None and longest + max_new_tokens > context:
        raise ValueError(
            f"the longest prompt has {longest} tokens and may be continued by {max_new_tokens}, "
            f"{longest + max_new_tokens} in all, but the model's context is {context}; ask for fewer new tokens"
        )


def left_padded(
    prompts: Sequence[Sequence[int]], *, pad: int, device: torch.device | str = "cpu"
) -> tuple[Int[Tensor, "batch pos"], Int[Tensor, "batch pos"]]:
    """Token ids and attention mask, every row ending at its last token."""
    width = max(map(len, prompts))
    tokens = torch.full((len(prompts), width), pad, device=device)
    mask = torch.zeros_like(tokens)
    for row, ids in enumerate(prompts):
        tokens[row, width - len(ids) :] = torch.tensor(list(ids), device=device)
        mask[row, width - len(ids) :] = 1
    return tokens, mask
