"""May two checkpoints be compared? What has to be the same is refused in one sentence, what may differ is told."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from interp.checkpoint import Checkpoint

# Words, digits, white space, accents and scripts, marks and code: where tokenizers part. A token that tuning added
# (`<think>`) is no reason to refuse the pair: it is told among the differences.
PROBES = (
    "The quick brown fox, unbelievably; HELLO wOrLd don't",
    "0 1 12 123 1234 12345.678 -9 1e-5 7/8",
    " leading, two  spaces   three, trailing ",
    "\ttab\nline\n\n  line\r\n",
    "naïve Ångström a\u0301 русский עברית \u200b\ufeff",
    "日本語 한국어 👩‍🔬🏳️‍🌈",
    'def f(x):\n    return {"key": [x**2 != 0, None]}',
    "$x_1^2 \\le \\frac{a}{b}$ \\boxed{42} ____----====....",
    "Wait, let me think step by step.",
)
# Fields of a transformers config that do not change what the weights compute when a text is read.
_INERT = re.compile(
    r"_.*|.*(dropout|pdrop|_token_id|label|label2id|id2label)|(initializer|summary|output)_.*|architectures|auto_map"
    r"|transformers_version|dtype|use_cache|return_dict|problem_type|chunk_size_feed_forward|pretraining_tp"
    r"|max_position_embeddings|n_positions|max_window_layers|use_sliding_window"  # windows: see layer_types
)
_SIZES = {
    "n_layers": "num_hidden_layers",
    "d_model": "hidden_size",
    "n_heads": "num_attention_heads",
    "n_kv_heads": "num_key_value_heads",
    "the vocabulary size": "vocab_size",
}


def check_configs(base: Any, tuned: Any) -> None:
    """Refuse configs under which the same weights would be another function, or have another shape."""
    _same("the architecture", base.model_type, tuned.model_type)
    _same("the architecture", (base.architectures or ["unknown"])[0], (tuned.architectures or ["unknown"])[0])
    for word, name in _SIZES.items():
        _same(word, getattr(base, name, None), getattr(tuned, name, None))
    theirs = tuned.to_dict()
    known = type(base)().to_dict()
    for name, value in base.to_dict().items():
        if name in known and not _INERT.fullmatch(name):
            _same(f"the config field {name}", value, theirs.get(name))


def check_shapes(base: Checkpoint, tuned: Checkpoint) -> None:
    """Refuse tensors of different shapes, which a config need not tell (GPT-2's table of positions)."""
    for name in base.names():
        if name in tuned.files:
            _same(f"the shape of {name}", base.shape(name), tuned.shape(name))


def _same(what: str, base: Any, tuned: Any) -> None:
    if base != tuned:
        raise ValueError(f"base and tuned are not a pair: {what} is {base} in base and {tuned} in tuned")


def check_tokenizers(base: PreTrainedTokenizerBase, tuned: PreTrainedTokenizerBase) -> None:
    """Refuse tokenizers that cut a probe differently, or number a token differently that both know."""
    shared = [token for token in base.all_special_tokens if token in tuned.all_special_tokens]
    for probe in (*PROBES, *(f"{token} a{token}1" for token in shared)):
        of_base, of_tuned = (_cut(tokenizer, probe) for tokenizer in (base, tuned))
        if of_base != of_tuned:
            raise ValueError(
                f"base and tuned are not a pair: their tokenizers cut {probe!r} differently, "
                f"{_listed(of_base)} in base and {_listed(of_tuned)} in tuned"
            )
    ids, theirs = base.get_vocab(), tuned.get_vocab()
    moved = sorted((i, token) for token, i in ids.items() if theirs.get(token, i) != i)
    if moved:
        token = moved[0][1]
        raise ValueError(
            f"base and tuned are not a pair: the token {token!r} has id {ids[token]} in base and {theirs[token]} in "
            f"tuned, one of {len(moved)} tokens that were renumbered"
        )


def tokenizer_differences(base: PreTrainedTokenizerBase, tuned: PreTrainedTokenizerBase) -> Iterator[str]:
    """What two tokenizers that may be compared do not share."""
    ids, theirs = base.get_vocab(), tuned.get_vocab()
    for role, own, other in (("base", ids, theirs), ("tuned", theirs, ids)):
        extra = sorted(own.keys() - other.keys(), key=own.__getitem__)
        if extra:
            yield f"tokens that only {role}'s tokenizer knows: {len(extra)}, the first {extra[0]!r}"
    if (first := _begins(base)) != (second := _begins(tuned)):
        yield f"base's tokenizer begins a text with {first}, tuned's with {second}, and base's way is used for both"
    if base.chat_template != tuned.chat_template:
        yield "the chat templates differ, and neither is applied"


def _cut(tokenizer: PreTrainedTokenizerBase, text: str) -> list[tuple[str, int]]:
    ids = tokenizer.encode(text, add_special_tokens=False)
    return list(zip(tokenizer.convert_ids_to_tokens(ids), ids, strict=True))


def _listed(cut: Sequence[tuple[str, int]]) -> str:
    return "[" + " ".join(f"{token!r}={i}" for token, i in cut) + "]"


def _begins(tokenizer: PreTrainedTokenizerBase) -> str:
    bare = tokenizer.encode("a", add_special_tokens=False)
    added = tokenizer.encode("a")[: -len(bare) or None]
    return " ".join(map(repr, tokenizer.convert_ids_to_tokens(added))) or "nothing"


def same_weights(base: PreTrainedModel, tuned: PreTrainedModel) -> bool:
    """Whether both compute with the same numbers; the first parameter that differs ends the search."""
    ours, theirs = (dict(model.named_parameters()) for model in (base, tuned))  # an untied head has a name of its own
    same = (torch.equal(tensor, theirs[name].to(tensor.device)) for name, tensor in ours.items())
    return ours.keys() == theirs.keys() and all(same)


def model_differences(models: Mapping[str, PreTrainedModel]) -> Iterator[str]:
    """What two configs that may be compared do not share, and a head that no config told of."""
    base, tuned = (model.config.max_position_embeddings for model in (models["base"], models["tuned"]))
    if base != tuned:
        yield f"the context is {base} tokens in base and {tuned} in tuned, and the shorter is used"
    for role, model in models.items():
        head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
        if model.config.tie_word_embeddings and head.weight.data_ptr() != embedding.weight.data_ptr():
            yield f"{role}'s config ties head and embedding, but its file has a head of its own, which is used"
