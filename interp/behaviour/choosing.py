"""Decoding with a hook on the logits: a grammar, a penalty on switching, a forced length, a tool that answers."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from interp.decoding import Choose, Turn

Edit = Callable[[Turn, Float[Tensor, "batch d_vocab"]], Float[Tensor, "batch d_vocab"]]
"""The turn and the model's logits to the logits that are chosen from."""
Tokens = Sequence[int]


@dataclass(frozen=True)
class _Edited:
    """A model as a turn asks it, whose logits an edit has changed."""

    turn: Turn
    model: str
    edit: Edit

    def logits(self, _tokens: Tensor, _mask: Tensor) -> Tensor:
        return self.edit(self.turn, self.turn.logits(self.model))

    def state(self, _tokens: Tensor, _mask: Tensor, hook: str) -> Tensor:
        return self.turn.state(self.model, hook)

    def steered(self, _tokens: Tensor, _mask: Tensor, hook: str, added: Tensor) -> Tensor:
        return self.edit(self.turn, self.turn.steered(self.model, hook, added))


def edited(choose: Choose, model: str, edit: Edit) -> Choose:
    """`choose`, greedy or sampling, from logits of `model` that `edit` has changed."""

    def chosen(turn: Turn) -> Tensor:
        return choose(replace(turn, _readers={**turn._readers, model: _Edited(turn, model, edit)}))

    return chosen


def under_grammar(allowed: Callable[[Tokens], Collection[int]]) -> Edit:
    """Forbids what the grammar does not allow after the text so far; it allows the stop token where a text may end.

    The null of every gain in form: base under a grammar writes the right form for free.
    """

    def edit(turn: Turn, logits: Tensor) -> Tensor:
        free = torch.full_like(logits, -torch.inf)
        for row, written in enumerate(turn.completion.tolist()):
            may = sorted(allowed(written))
            if not may:
                raise ValueError(f"the grammar allows no token after {written}; let it at least stop there")
            free[row, may] = logits[row, may]
        return free

    return edit


def penalised(switches: Sequence[int], *, alpha: float = 3.0, beta: int = 600) -> Edit:
    """TIP: z_v - alpha for v among the switch tokens while t < Psi + beta, Psi the start of the current thought.

    alpha = 3 and beta = 600 are the published best on long natural chains; a short language needs its own, chosen on
    other problems than those that judge. The twin to hold it against penalises as many tokens that are as frequent.
    """

    def edit(turn: Turn, logits: Tensor) -> Tensor:
        at = torch.isin(turn.completion, torch.tensor(list(switches), device=turn.completion.device))
        places = torch.arange(1, turn.written + 1, device=logits.device)
        begun = (at * places).amax(1) if turn.written else torch.zeros(len(logits), device=logits.device)
        early = (turn.written < begun + beta)[:, None]
        pushed = logits.clone()
        pushed[:, list(switches)] -= alpha * early
        return pushed

    return edit


def biased(amounts: Mapping[int, float]) -> Edit:
    """A constant added to some tokens' logits: on stop or step tokens, the plain way to shorter or longer texts."""

    def edit(_turn: Turn, logits: Tensor) -> Tensor:
        pushed = logits.clone()
        for token, amount in amounts.items():
            pushed[:, token] += amount
        return pushed

    return edit


def kept_going(ends: Sequence[int], instead: int, *, times: int) -> Edit:
    """Writes `instead` ("Wait") wherever the model would end its thinking, up to `times` a text: a forced length.

    A text ends its thinking where its most likely next token is one of `ends` (the stop token, or the word that opens
    the answer). Off the model's own distribution: it says what more text does, not what longer thinking does.
    """

    def edit(turn: Turn, logits: Tensor) -> Tensor:
        used = (turn.completion == instead).sum(1)
        ending = torch.isin(logits.argmax(-1), torch.tensor(list(ends), device=logits.device)) & (used < times)
        return _only(logits, ending, torch.full_like(used, instead))

    return edit


def with_tool(call: Sequence[int], result: Callable[[Tokens, int], Tokens], *, reads: int) -> Edit:
    """Writes a tool's result after each call: `call` opens one, `reads` tokens follow it, then what `result` says.

    `result(tokens, row)` takes the call's arguments and the prompt's number. The null is a tool whose result is random:
    it makes the same text, in form and length.
    """

    def edit(turn: Turn, logits: Tensor) -> Tensor:
        forced = torch.full((len(logits),), -1, dtype=torch.long, device=logits.device)
        for row, written in enumerate(turn.completion.tolist()):
            opened = [i for i in range(len(written)) if tuple(written[i : i + len(call)]) == tuple(call)]
            if not opened:
                continue
            start = opened[-1] + len(call)
            done = len(written) - start - reads
            if done >= 0:
                told = result(written[start : start + reads], int(turn.prompts[row]))
                forced[row] = told[done] if done < len(told) else -1
        return _only(logits, forced >= 0, forced.clamp(min=0))

    return edit


def _only(logits: Tensor, rows: Tensor, token: Tensor) -> Tensor:
    """Logits that leave one token in some rows."""
    certain = torch.full_like(logits, -torch.inf).scatter(1, token[:, None], 0.0)
    return torch.where(rows[:, None], certain, logits)
