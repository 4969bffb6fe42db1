"""A base and a tuned checkpoint that may be compared, both loaded raw into `TransformerBridge`.

What is no pair is refused in one sentence before any weights are loaded; what was loaded is compared with plain
transformers before anything is measured on it.
"""

import contextlib
import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from interp.checkpoint import (
    VOCABULARIES,
    Checkpoint,
    CheckpointError,
    MissingError,
    open_checkpoint,
    transformers_config,
)
from interp.measurement import provenance

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
_TOLERANCE = {torch.float64: 1e-3, torch.float32: 1e-3, torch.float16: 1e-2, torch.bfloat16: 5e-2}


@dataclass(frozen=True)
class Fidelity:
    """Largest differences found on load, each relative to the largest value it is compared with.

    `logits`: the bridge against plain transformers on random tokens. `residual`: hook_in + attention + MLP against
    hook_out, over all blocks.
    """

    logits: float
    residual: float


@dataclass(frozen=True, eq=False)
class Pair:
    """A base and a tuned model of one architecture and one vocabulary; made by `load_pair`.

    Both are in eval mode, their parameters need no gradient, and their weights are as stored (nothing folded or
    centred). Text is cut into tokens by base's own tokenizer, for both models. `differences` says in sentences what
    differs between the two besides the weights.
    """

    base: TransformerBridge
    tuned: TransformerBridge
    tokenizer: PreTrainedTokenizerBase
    base_checkpoint: Checkpoint
    tuned_checkpoint: Checkpoint
    fidelity: Fidelity
    stop_ids: tuple[int, ...] = ()
    differences: tuple[str, ...] = ()

    @property
    def models(self) -> dict[str, TransformerBridge]:
        """Both models by name, as `decode` takes them."""
        return {"base": self.base, "tuned": self.tuned}

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        return int(self.base.cfg.n_layers)

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(self.base.cfg.d_model)

    @property
    def d_vocab(self) -> int:
        """Number of logits, which may be more than the tokenizer has tokens."""
        return int(self.base.cfg.d_vocab)

    @property
    def context(self) -> int:
        """The longest text that both models were made for, in tokens."""
        return min(int(self.base.cfg.n_ctx), int(self.tuned.cfg.n_ctx))

    @property
    def device(self) -> torch.device:
        """Where the models are."""
        return next(self.base.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """In what the models compute."""
        return next(self.base.parameters()).dtype

    @property
    def pad_id(self) -> int:
        """What fills the masked places of a batch: the pad token, else the end token, else 0."""
        ids = (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id)
        return next((i for i in ids if i is not None), 0)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, with a begin token where base's tokenizer puts one."""
        return list(self.tokenizer.encode(text))

    def text(self, ids: Sequence[int]) -> str:
        """What token ids say; special tokens are left out."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def words(self, ids: Sequence[int]) -> list[str]:
        """One string per token, special tokens included."""
        return list(self.tokenizer.batch_decode([[i] for i in ids], clean_up_tokenization_spaces=False))

    def made_with(self, **facts: Any) -> dict[str, Any]:
        """Provenance of a number measured on this pair: both checkpoints, precision, fidelity, versions, `facts`."""
        of = {
            role: {"name": c.name, "digest": c.digest, "revision": c.revision}
            for role, c in (("base", self.base_checkpoint), ("tuned", self.tuned_checkpoint))
        }
        fidelity = {"logits": self.fidelity.logits, "residual": self.fidelity.residual}
        loaded = {"dtype": str(self.dtype).removeprefix("torch."), "differences": list(self.differences)}
        return provenance(**of, **loaded, fidelity=fidelity, **facts)

    def __repr__(self) -> str:
        sizes = f"{self.n_layers} layers of width {self.d_model}, {self.d_vocab} tokens, context {self.context}"
        lines = [
            f"Pair of {self.base_checkpoint.name} (base) and {self.tuned_checkpoint.name} (tuned): "
            f"{self.base_checkpoint.config['model_type']}, {sizes}, on {self.device} in {self.dtype}.",
            f"Loaded raw; logits differ from plain transformers by at most {self.fidelity.logits:.1e} of the largest, "
            f"blocks from the sum of their parts by {self.fidelity.residual:.1e}.",
            *(f"{sentence[0].upper()}{sentence[1:]}." for sentence in self.differences),
        ]
        return "\n".join(lines)


def load_pair(
    base: str | Path | Checkpoint,
    tuned: str | Path | Checkpoint,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> Pair:
    """Both checkpoints, loaded raw into `TransformerBridge` and checked; what cannot be compared is refused.

    ValueError, in one sentence with both values: another architecture, depth, width, number of heads or vocabulary;
    any config field that makes the same weights another function (rotary base, norm epsilon, activation, window,
    head size, tying); tokenizers that cut a probe text differently or number a shared token differently. Context
    length, begin token, chat template and tokens that one tokenizer has more are allowed and told in `differences`.
    CheckpointError: a tensor missing, unexpected, of another shape or not finite; no tokenizer files; a bridge that
    is not the model (`Fidelity` above 1e-3 in float32, 5e-2 in bfloat16).
    """
    _check_place(dtype, torch.device(device))
    opened = {"base": open_checkpoint(base), "tuned": open_checkpoint(tuned)}
    configs = {role: transformers_config(checkpoint) for role, checkpoint in opened.items()}
    _check_configs(configs["base"], configs["tuned"])
    _check_shapes(opened["base"], opened["tuned"])
    tokenizers = {role: _tokenizer(opened[role], configs[role]) for role in opened}
    _check_tokenizers(**tokenizers)
    models = {role: _plain(checkpoint, dtype, torch.device(device)) for role, checkpoint in opened.items()}
    stops = _stop_ids(models["base"], tokenizers["base"]) | _stop_ids(models["tuned"], tokenizers["tuned"])
    differences = (*_tokenizer_differences(**tokenizers), *_model_differences(models))
    wrapped = {role: _bridged(models[role], opened[role], tokenizers["base"]) for role in opened}
    (base_bridge, base_found), (tuned_bridge, tuned_found) = wrapped["base"], wrapped["tuned"]
    return Pair(
        base=base_bridge,
        tuned=tuned_bridge,
        tokenizer=tokenizers["base"],
        base_checkpoint=opened["base"],
        tuned_checkpoint=opened["tuned"],
        fidelity=Fidelity(max(base_found.logits, tuned_found.logits), max(base_found.residual, tuned_found.residual)),
        stop_ids=tuple(sorted(stops)),
        differences=differences,
    )


def _check_place(dtype: torch.dtype, device: torch.device) -> None:
    if dtype not in _TOLERANCE:
        known = ", ".join(str(d) for d in _TOLERANCE)
        raise ValueError(f"dtype is {dtype}, but models compute in one of {known}")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {str(device)!r} was asked for, but this machine has no CUDA device; use 'cpu'")


def _check_configs(base: Any, tuned: Any) -> None:
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


def _check_shapes(base: Checkpoint, tuned: Checkpoint) -> None:
    """Refuse tensors of different shapes, which a config need not tell (GPT-2's table of positions)."""
    for name in base.names():
        if name in tuned.files:
            _same(f"the shape of {name}", base.shape(name), tuned.shape(name))


def _same(what: str, base: Any, tuned: Any) -> None:
    if base != tuned:
        raise ValueError(f"base and tuned are not a pair: {what} is {base} in base and {tuned} in tuned")


def _tokenizer(checkpoint: Checkpoint, config: Any) -> PreTrainedTokenizerBase:
    """The stock tokenizer. Without files transformers would invent an empty one and say nothing."""
    if not any((checkpoint.folder / name).is_file() for name in VOCABULARIES):
        raise MissingError(
            f"{checkpoint.name} has no tokenizer files (none of {', '.join(VOCABULARIES)}); "
            "copy the tokenizer it was trained with into it"
        )
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            checkpoint.folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # the Rust tokenizer raises plain Exception
        raise CheckpointError(f"{checkpoint.name}'s tokenizer does not load: {_first_line(error)}") from error
    largest = max(tokenizer.get_vocab().values(), default=0)
    if len(tokenizer) < 2:
        raise MissingError(f"{checkpoint.name}'s tokenizer has {len(tokenizer)} tokens; copy the right files into it")
    if largest >= config.vocab_size:
        raise CheckpointError(
            f"{checkpoint.name}'s tokenizer numbers tokens up to {largest}, but the model knows {config.vocab_size}; "
            "one of the two belongs to another model"
        )
    return tokenizer


def _check_tokenizers(base: PreTrainedTokenizerBase, tuned: PreTrainedTokenizerBase) -> None:
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


def _tokenizer_differences(base: PreTrainedTokenizerBase, tuned: PreTrainedTokenizerBase) -> Iterator[str]:
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


def _plain(checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device) -> PreTrainedModel:
    """The plain transformers model, with every tensor from the file and none invented."""
    with _quiet(), _loading(checkpoint, "transformers"):
        model, info = AutoModelForCausalLM.from_pretrained(
            checkpoint.folder,
            dtype=dtype,
            attn_implementation="eager",
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that the shapes are ours to name
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
        )
    _check_loading(checkpoint, info, model.config.num_hidden_layers)
    for name, tensor in model.named_parameters():
        wrong = int((~torch.isfinite(tensor)).sum())
        if wrong:
            raise CheckpointError(
                f"{checkpoint.name}: the tensor {name} has {wrong} of {tensor.numel()} values that are NaN or infinite "
                f"in {dtype}; the checkpoint is broken, or needs a wider dtype"
            )
    return model.to(device).eval()


def _check_loading(checkpoint: Checkpoint, info: Mapping[str, Any], n_layers: int) -> None:
    """Refuse a file whose tensors are not exactly the model's: transformers would fill or drop them silently."""
    if info["mismatched_keys"]:
        name, in_file, in_model = sorted(info["mismatched_keys"])[0]
        raise CheckpointError(
            f"{checkpoint.name}: the tensor {name} has shape {tuple(in_file)} in the file and {tuple(in_model)} by "
            "config.json; one of the two belongs to another model"
        )
    for what, names in (("lacks", info["missing_keys"]), ("holds", info["unexpected_keys"])):
        if names:
            raise CheckpointError(
                f"{checkpoint.name} {what} tensors against its config.json ({n_layers} layers), {len(names)} in all: "
                f"{', '.join(sorted(names)[:3])}{', ...' if len(names) > 3 else ''}; save the whole model again"
            )


def _model_differences(models: Mapping[str, PreTrainedModel]) -> Iterator[str]:
    """What two configs that may be compared do not share, and a head that no config told of."""
    base, tuned = (model.config.max_position_embeddings for model in (models["base"], models["tuned"]))
    if base != tuned:
        yield f"the context is {base} tokens in base and {tuned} in tuned, and the shorter is used"
    for role, model in models.items():
        head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
        if model.config.tie_word_embeddings and head.weight.data_ptr() != embedding.weight.data_ptr():
            yield f"{role}'s config ties head and embedding, but its file has a head of its own, which is used"


def _stop_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Ids that end a text by the config, the generation config or the tokenizer; a logit has to exist for them."""
    given = (model.config.eos_token_id, getattr(model.generation_config, "eos_token_id", None), tokenizer.eos_token_id)
    ids = {i for ids in given if ids is not None for i in (ids if isinstance(ids, list | tuple) else [ids])}
    return {i for i in ids if 0 <= i < model.config.vocab_size}


def _bridged(
    model: PreTrainedModel, checkpoint: Checkpoint, tokenizer: PreTrainedTokenizerBase
) -> tuple[TransformerBridge, Fidelity]:
    """The model wrapped in place, and how near the wrapped model is to what it was."""
    config, generator = model.config, torch.Generator().manual_seed(0)
    length = min(24, config.max_position_embeddings)
    tokens = torch.randint(config.vocab_size, (2, length), generator=generator).to(model.device)
    with torch.no_grad():
        expected = model(tokens).logits
        if not torch.isfinite(expected).all():
            raise CheckpointError(
                f"{checkpoint.name} gives logits that are not finite in {model.dtype}; load it in float32"
            )
        # The bridge changes the tokenizer it is given, so it gets a copy. The name is a label, which must be
        # none of TransformerLens' aliases ("neox").
        with _loading(checkpoint, "TransformerBridge"):
            bridge = TransformerBridge.boot_transformers(
                f"checkpoint {checkpoint.name}",
                hf_model=model,
                tokenizer=copy.deepcopy(tokenizer),
                dtype=model.dtype,
                device=model.device,
            )
        fidelity = _fidelity(bridge, tokens, expected)
    found = {"logits and transformers'": fidelity.logits, "blocks and the sums of their parts": fidelity.residual}
    for what, value in found.items():
        if not value <= _TOLERANCE[model.dtype]:
            raise CheckpointError(
                f"{checkpoint.name}: TransformerBridge's {what} differ by {value:.1e} of the largest value, more than "
                f"{_TOLERANCE[model.dtype]:.0e}; this model cannot be measured here"
            )
    return bridge.requires_grad_(False), fidelity


def _fidelity(
    bridge: TransformerBridge, tokens: Int[Tensor, "batch pos"], expected: Float[Tensor, "batch pos d_vocab"]
) -> Fidelity:
    """Logits against plain transformers, and every block against the sum of its parts, in float32."""
    # The aliases name what is really added: on Gemma 2 the outputs of the norms behind attention and MLP.
    parts = ("hook_in", "hook_attn_out", "hook_mlp_out", "hook_out")
    names = [f"blocks.{layer}.{part}" for layer in range(bridge.cfg.n_layers) for part in parts]
    logits, cache = bridge.run_with_cache(tokens, names_filter=names)
    absent = [name for name in names if name not in cache]
    if absent:
        raise CheckpointError(
            f"TransformerBridge has no {absent[0]} for {bridge.cfg.architecture}; it cannot be measured"
        )
    residual = 0.0
    for layer in range(bridge.cfg.n_layers):
        before, attention, mlp, after = (cache[f"blocks.{layer}.{part}"].float() for part in parts)
        residual = max(residual, _relative(before + attention + mlp, after))
    return Fidelity(_relative(logits.float(), expected.float()), residual)


def _relative(found: Float[Tensor, "*shape"], expected: Float[Tensor, "*shape"]) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@contextlib.contextmanager
def _loading(checkpoint: Checkpoint, library: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, RuntimeError, OSError, ImportError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{checkpoint.name} does not load in {library}: {_first_line(error)}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar and no load report from transformers: what is wrong is raised."""
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
