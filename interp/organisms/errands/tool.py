"""The interpreter behind the tool token: after `call OP =` it writes the two digits, whoever writes the rest.

It applies the operation to the last state on the page, the prompt's or the one that it wrote last.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from interp.decoding import Choose, Turn
from interp.organisms.errands.trips import OPS, State, apply, digits

_DIGITS = frozenset("0123456789")
Tool = Callable[[str, State], State]


def with_tool(choose: Choose, tokenizer: PreTrainedTokenizerBase, *, tool: Tool = apply) -> Choose:
    """`choose`, except that the two words after a well-formed call are the tool's.

    A call that the tool cannot execute (no operation, no state before it) is left to the model. For the null of a
    tool that knows nothing pass `random_tool`.
    """

    def write(turn: Turn) -> Int[Tensor, " batch"]:
        token = choose(turn).clone()
        for row, ids in enumerate(turn.tokens[:, -6:].tolist()):
            if due := owed(tokenizer.convert_ids_to_tokens(ids), tool=tool):
                token[row] = tokenizer.convert_tokens_to_ids(due)
        return token

    return write


def owed(words: Sequence[str], *, tool: Tool = apply) -> str | None:
    """The word that the tool has to write after these, or None where it is not its turn."""
    for written in (0, 1):
        call_at = len(words) - 3 - written
        if call_at < 2:
            continue
        a, b, call, op, mark = words[call_at - 2 : call_at + 3]
        if call == "call" and op in OPS and mark == "=" and {a, b} <= _DIGITS:
            return digits(tool(op, (int(a), int(b))))[written]
    return None


def random_tool(seed: int) -> Tool:
    """A tool that returns random digits: what is left of the tool's help when it knows nothing."""
    generator = torch.Generator().manual_seed(seed)

    def answer(_op: str, _state: State) -> State:
        first, second = torch.randint(10, (2,), generator=generator).tolist()
        return first, second

    return answer
