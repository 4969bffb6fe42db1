"""The tokenizer and architecture of the errands: a word-level vocabulary of 64 and a Llama of four blocks."""

from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from interp.organisms import language
from interp.organisms.errands.trees import NODES
from interp.organisms.errands.trips import GAP, LAYOUTS, MODES, NONE, OPS
from interp.organisms.language import BOS, EOS, PAD, UNK

_WORDS = (
    *MODES,
    *LAYOUTS,
    GAP,
    NONE,
    ":",
    ";",
    "call",
    "=",
    "hint",
    "ans",
    "pack",
    "not",
    "[",
    "]",
    "find",
    "in",
    "back",
    "found",
    "lost",
)
_USED = (PAD, BOS, EOS, UNK, *(str(d) for d in range(10)), *OPS, *NODES, *_WORDS)
VOCABULARY = (*_USED, *(f"<unused{i}>" for i in range(64 - len(_USED))))


def make_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer of the errands' words."""
    return language.make_tokenizer(VOCABULARY)


def make_model() -> LlamaForCausalLM:
    """A Llama of 172,608 parameters: 4 blocks of width 64. Call `torch.manual_seed` first."""
    return language.make_model(blocks=4, units=128)
