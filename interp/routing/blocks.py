"""The same texts faster, where the router looks at both models: base drafts a block, tuned scores it in one pass.

Greedy speculative decoding (Leviathan et al. 2023, arXiv:2211.17192) with a router for the verdict: drafted tokens
stand up to the first position at which the router lets tuned write another one, and both caches go back to there.
Every row of a batch goes on from where its own draft ended, so rows are at different positions, and are moved in the
caches to end in one column again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.backoff import at_most
from interp.decoding import Asked, Completion, Turn, check_request, left_padded
from interp.pair import Pair
from interp.reader import Reader
from interp.routing.hybrid import Account, Hybrid
from interp.routing.step import Router, Step

BLOCKS = (1, 2, 4, 8, 16, 32)
"""Lengths of a block to choose from; 1 is the plain loop, both models one token at a time."""
PRIOR = (2.0, 20.0)
"""Two drafted tokens in twenty turned down, before any was seen: the middle of the range where blocks pay."""
MEMORY = 0.9
"""What a block's turned-down tokens still count for one block later: a text's end may be harder than its start."""


def write_in_blocks(
    pair: Pair,
    prompts: Sequence[Sequence[int]],
    router: Router,
    *,
    max_new_tokens: int,
    block: int | None = None,
    batch_size: int = 16,
) -> list[Hybrid]:
    """What `write_together` writes, token for token, with the same account; faster where few tokens are changed.

    Holds in fp32 but for near ties (`Hybrid.near_ties`), and for every router whose answer for a row hangs on that
    row's step alone; each row's written positions are shown to it once and in order, but not in step with other
    rows. `block` fixes the length, else it follows the share of drafted tokens turned down (`best_block`), down to 1
    from about a quarter on. A router that looks at one model's activations is refused: where base alone is looked
    at, `write_together` feeds tuned late and is as fast.
    """
    if block is not None and block < 1:
        raise ValueError(f"block is {block}, a draft has at least 1 token")
    check_request(prompts, max_new_tokens=max_new_tokens, batch_size=batch_size, context=pair.context)
    account = Account(len(prompts))
    done: dict[int, Completion] = {}
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    batch_size = at_most(min(batch_size, len(prompts)))
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            chunk = order[start : start + batch_size]
            done.update(_write_batch(pair, prompts, chunk, router, account, max_new_tokens, block))
    return account.closed([done[i] for i in range(len(prompts))])


def best_block(rate: float, rows: int) -> int:
    """The length of `BLOCKS` that gains most when `rate` of the drafted tokens are turned down."""
    return max(BLOCKS, key=lambda n: gain(n, rate, rows))


def gain(n: int, rate: float, rows: int) -> float:
    """How many times faster than the plain loop blocks of `n` are, both models being of one size.

    A block gives E = (1 - (1 - rate)^n) / rate tokens for n steps of base and one chunk of tuned, against two steps
    per token: 2 E / (n + v), v a chunk's time in steps of as many rows.
    """
    expected = n if rate == 0 else (1 - (1 - rate) ** n) / rate
    return 2 * expected / (n + _chunk(n * rows) / _chunk(rows))


def _chunk(tokens: int) -> float:
    """The time of a pass over so many new tokens, 1 for a single one: a line by eye through times of a CPU in fp32.

    With 78 million weights 2, 4, 8, 16 and 32 tokens took 1.6, 1.55, 1.8, 2.3 and 3.3 times one. A wrong line costs
    speed and changes no token.
    """
    return 1.0 if tokens == 1 else 1.5 + 0.05 * tokens


class _Draft(NamedTuple):
    """Base's next `n` tokens for every row, after column `start`, and both models' logits before each of them."""

    tokens: Int[Tensor, "batch pos"]
    mask: Int[Tensor, "batch pos"]
    start: int
    n: int
    scores: Mapping[str, Callable[[], Float[Tensor, "batch n d_vocab"]]]


class _Verdict(NamedTuple):
    """The text with tuned's tokens, how many of a row's drafted columns stand, and which rows parted or ended there."""

    tokens: Int[Tensor, "batch pos"]
    taken: Int[np.ndarray, " batch"]
    parted: Bool[np.ndarray, " batch"]
    ended: Bool[np.ndarray, " batch"]


@dataclass(frozen=True)
class _Scored:
    """One model at one place of a draft, for some of its rows."""

    name: str
    scores: Callable[[], Float[Tensor, "batch n d_vocab"]]
    rows: Int[Tensor, " group"]
    place: int

    def logits(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Out of those of the whole draft."""
        return self.scores()[self.rows, self.place]

    def state(self, tokens: Tensor, mask: Tensor, hook: str) -> Tensor:
        """Refused."""
        raise ValueError(
            f"the router looks at {hook!r} of model {self.name!r}, and a draft keeps no activations; "
            "use write_together, which is as fast where base alone is looked at"
        )

    def steered(self, tokens: Tensor, mask: Tensor, hook: str, added: Tensor) -> Tensor:
        """Refused."""
        return self.state(tokens, mask, hook)


def _write_batch(
    pair: Pair,
    prompts: Sequence[Sequence[int]],
    chunk: Sequence[int],
    router: Router,
    account: Account,
    max_new_tokens: int,
    block: int | None,
) -> Iterator[tuple[int, Completion]]:
    """(number, completion) of every prompt in `chunk`, as its row ends."""
    readers = {name: Reader.of(name, model, movable=True) for name, model in pair.models.items()}
    tokens, mask = left_padded([prompts[i] for i in chunk], pad=pair.pad_id, device=pair.device)
    rows, written = np.array(chunk), np.zeros(len(chunk), dtype=int)
    turned_down, judged = PRIOR
    while True:
        # No row is drafted beyond its last token: a position beyond the context has no embedding in some models.
        n = min(block or best_block(turned_down / judged, len(rows)), max_new_tokens - int(written.max()))
        draft = _draft(readers, tokens, mask, n)
        verdict = _judged(draft, router, account, rows, written, pair.stop_ids)
        written = written + verdict.taken
        turned_down = MEMORY * turned_down + int(verdict.parted.sum())
        judged = MEMORY * judged + int(verdict.taken.sum())
        over = verdict.ended | (written == max_new_tokens)
        for row in np.flatnonzero(over).tolist():
            end = draft.start + int(verdict.taken[row])
            text = verdict.tokens[row, end - int(written[row]) : end].tolist()
            stopped = bool(verdict.ended[row])
            yield int(rows[row]), Completion(tuple(text[:-1] if stopped else text), "stop" if stopped else "length")
        if over.all():
            return
        kept = np.flatnonzero(~over)
        tokens, mask = _realigned(readers, draft, verdict, kept, pair.pad_id)
        rows, written = rows[kept], written[kept]


def _draft(
    readers: Mapping[str, Reader], tokens: Int[Tensor, "batch pos"], mask: Int[Tensor, "batch pos"], n: int
) -> _Draft:
    """Base writes `n` tokens; tuned reads them when it is first asked."""
    start, by_base = tokens.shape[1], []
    for _ in range(n):
        by_base.append(readers["base"].logits(tokens, mask))
        tokens = torch.cat([tokens, by_base[-1].argmax(-1, keepdim=True)], 1)
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
    base = torch.stack(by_base, 1)
    tuned = cache(lambda: readers["tuned"].block(tokens[:, :-1], mask[:, :-1], n))
    return _Draft(tokens, mask, start, n, {"base": lambda: base, "tuned": tuned})


def _judged(
    draft: _Draft,
    router: Router,
    account: Account,
    rows: Int[np.ndarray, " batch"],
    written: Int[np.ndarray, " batch"],
    stop: Sequence[int],
) -> _Verdict:
    """Ask the router at every place, for the rows whose draft stands until there, those at one position together."""
    tokens, stops = draft.tokens.clone(), torch.tensor(stop, device=draft.tokens.device, dtype=draft.tokens.dtype)
    taken = np.full(len(rows), draft.n)
    parted, ended = np.zeros(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool)
    for place in range(draft.n):
        column = draft.start + place
        for position in np.unique(written[~parted]):
            group = np.flatnonzero(~parted & (written == position))
            here = torch.from_numpy(group).to(tokens.device)
            asked: dict[str, Asked] = {name: _Scored(name, of, here, place) for name, of in draft.scores.items()}
            text, mask = draft.tokens[here, :column], draft.mask[here, :column]
            token = account.entry(Step(Turn(text, mask, rows[group], int(position) + place, asked)), router)
            stopped = torch.isin(token, stops).cpu().numpy()
            parts = (token != draft.tokens[here, column]).cpu().numpy() | stopped
            tokens[here, column] = token
            parted[group], ended[group] = parts, stopped
            taken[group[parts]] = place + 1
    return _Verdict(tokens, taken, parted, ended)


def _realigned(
    readers: Mapping[str, Reader], draft: _Draft, verdict: _Verdict, kept: Int[np.ndarray, " kept"], pad: int
) -> tuple[Int[Tensor, "kept width"], Int[Tensor, "kept width"]]:
    """Tokens and mask of the rows that go on, left-padded again, the caches moved with them."""
    rows = torch.from_numpy(kept).to(draft.tokens.device)
    ends = draft.start + torch.from_numpy(verdict.taken).to(draft.tokens.device)[rows]
    lengths = draft.mask[rows].sum(1) - (draft.tokens.shape[1] - ends)
    width = int(lengths.max())
    back = ends - width
    for reader in readers.values():
        reader.realign(rows, back, width)
    columns = torch.arange(width, device=rows.device) + back[:, None]
    mask = (columns >= (ends - lengths)[:, None]).to(draft.mask)
    tokens = verdict.tokens[rows].gather(1, columns.clamp(min=0))
    return torch.where(mask.bool(), tokens, pad), mask
