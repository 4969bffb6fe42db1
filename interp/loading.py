"""One checkpoint as a raw `TransformerBridge`, and how near that is to the plain transformers model."""

import contextlib
import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from tokenizers import Tokenizer
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

from interp.checkpoint import VOCABULARIES, Checkpoint, CheckpointError, MissingError, read_object
from interp.devices import Place, answer_where_asked, devices_of, parts_of, parts_of_bridge, place_of, put

_TOKENIZER_CONFIG = "tokenizer_config.json"
_WRAPPERS = ("_orig_mod.", "module.")
_TOLERANCE = {torch.float64: 1e-3, torch.float32: 1e-3, torch.float16: 1e-2, torch.bfloat16: 5e-2}


@dataclass(frozen=True)
class Fidelity:
    """Largest differences found on load, each relative to the largest value it is compared with.

    `logits`: the bridge against plain transformers on random tokens. `residual`: hook_in + attention + MLP against
    hook_out, over all blocks.
    """

    logits: float
    residual: float


def check_place(dtype: torch.dtype, device: torch.device) -> None:
    """Refuse a dtype that models do not compute in, and a device that is not there or cannot do the sums."""
    if dtype not in _TOLERANCE:
        known = ", ".join(str(d) for d in _TOLERANCE)
        raise ValueError(f"dtype is {dtype}, but models compute in one of {known}")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {str(device)!r} was asked for, but this machine has no CUDA device; use 'cpu'")
    try:
        torch.ones(1, dtype=torch.float64, device=device).sum().item()
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        raise ValueError(
            f"device {str(device)!r} was asked for, but sums in float64, which all results need, cannot be taken there "
            f"({_first_line(error).partition('. ')[0]}); use 'cpu'"
        ) from error


def load_tokenizer(checkpoint: Checkpoint, config: Any) -> PreTrainedTokenizerBase:
    """The stock tokenizer. Without files transformers would invent an empty one and say nothing."""
    if not any((checkpoint.folder / name).is_file() for name in VOCABULARIES):
        raise MissingError(
            f"{checkpoint.name} has no tokenizer files (none of {', '.join(VOCABULARIES)}); "
            "copy the tokenizer it was trained with into it"
        )
    own_code = _checked_tokenizer_config(checkpoint)
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            checkpoint.folder, local_files_only=True, trust_remote_code=False
        )
        if _is_another(tokenizer, checkpoint):
            tokenizer = PreTrainedTokenizerFast.from_pretrained(checkpoint.folder, local_files_only=True)
    except Exception as error:  # the Rust tokenizer raises plain Exception
        why = "it is code of its own, which is never run" if own_code else _first_line(error)
        raise CheckpointError(f"{checkpoint.name}'s tokenizer does not load: {why}") from error
    largest = max(tokenizer.get_vocab().values(), default=0)
    if len(tokenizer) < 2:
        raise MissingError(f"{checkpoint.name}'s tokenizer has {len(tokenizer)} tokens; copy the right files into it")
    if largest >= config.vocab_size:
        raise CheckpointError(
            f"{checkpoint.name}'s tokenizer numbers tokens up to {largest}, but the model knows {config.vocab_size}; "
            "one of the two belongs to another model"
        )
    return tokenizer


def _is_another(tokenizer: PreTrainedTokenizerBase, checkpoint: Checkpoint) -> bool:
    """Whether it works in another way than the checkpoint's file says.

    For some families, such as Qwen2, transformers makes the family's own out of the file's vocabulary whatever the file
    holds, and texts lose the words that it cannot spell.
    """
    stored = checkpoint.folder / "tokenizer.json"
    if not stored.is_file() or not isinstance(tokenizer, PreTrainedTokenizerFast):
        return False
    return type(Tokenizer.from_file(str(stored)).model) is not type(tokenizer.backend_tokenizer.model)


def _checked_tokenizer_config(checkpoint: Checkpoint) -> bool:
    """Whether the tokenizer comes with code; one whose words lie in files that its config points to is refused."""
    if not (checkpoint.folder / _TOKENIZER_CONFIG).is_file():
        return False
    config = read_object(checkpoint.folder, _TOKENIZER_CONFIG, checkpoint.name)
    for key in ("vocab", "merges"):  # transformers opens what they name, wherever it lies
        if isinstance(config.get(key), str):
            raise CheckpointError(
                f"{checkpoint.name}/{_TOKENIZER_CONFIG} sends the tokenizer to the file {config[key]!r} for its {key}; "
                "put a tokenizer.json into the directory"
            )
    return "auto_map" in config


def plain_model(checkpoint: Checkpoint, dtype: torch.dtype, place: Place) -> PreTrainedModel:
    """The plain transformers model, with every tensor from the file and none invented, put where `place` says."""
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
    places = place_of(model, place, checkpoint.name)
    for device in set(places.values()):
        check_place(dtype, device)
    return put(model, places).eval()


def _check_loading(checkpoint: Checkpoint, info: Mapping[str, Any], n_layers: int) -> None:
    """Refuse a file whose tensors are not exactly the model's: transformers would fill or drop them silently."""
    if info["mismatched_keys"]:
        name, in_file, in_model = sorted(info["mismatched_keys"])[0]
        raise CheckpointError(
            f"{checkpoint.name}: the tensor {name} has shape {tuple(in_file)} in the file and {tuple(in_model)} by "
            "config.json; one of the two belongs to another model"
        )
    for wrapper in _WRAPPERS:
        if info["unexpected_keys"] and all(name.startswith(wrapper) for name in info["unexpected_keys"]):
            raise CheckpointError(
                f"{checkpoint.name} was saved from inside a wrapper: its tensors are called {wrapper}...; save the "
                "model that it wraps (torch.compile: model._orig_mod, data parallel: model.module)"
            )
    for what, names in (("lacks", info["missing_keys"]), ("holds", info["unexpected_keys"])):
        if names:
            raise CheckpointError(
                f"{checkpoint.name} {what} tensors against its config.json ({n_layers} layers), {len(names)} in all: "
                f"{', '.join(sorted(names)[:3])}{', ...' if len(names) > 3 else ''}; save the whole model again"
            )


def stop_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Ids that end a text by the config, the generation config or the tokenizer; a logit has to exist for them."""
    given = (model.config.eos_token_id, getattr(model.generation_config, "eos_token_id", None), tokenizer.eos_token_id)
    ids = {i for ids in given if ids is not None for i in (ids if isinstance(ids, list | tuple) else [ids])}
    return {i for i in ids if 0 <= i < model.config.vocab_size}


def bridged(
    model: PreTrainedModel, checkpoint: Checkpoint, tokenizer: PreTrainedTokenizerBase
) -> tuple[TransformerBridge, Fidelity]:
    """The model wrapped in place, and how near the wrapped model is to what it was."""
    config, generator = model.config, torch.Generator().manual_seed(0)
    length = min(24, config.max_position_embeddings)
    tokens = torch.randint(config.vocab_size, (2, length), generator=generator).to(model.device)
    with torch.no_grad():
        undo = answer_where_asked(parts_of(model)) if len(devices_of(model)) > 1 else None
        expected = model(tokens).logits
        if undo:
            undo()
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
        if len(devices_of(bridge)) > 1:
            answer_where_asked(parts_of_bridge(bridge))
        fidelity = _fidelity(bridge, tokens, expected)
    found = {"logits and transformers'": fidelity.logits, "blocks and the sums of their parts": fidelity.residual}
    for what, value in found.items():
        if not value <= _TOLERANCE[model.dtype]:
            raise CheckpointError(
                f"{checkpoint.name}: TransformerBridge's {what} differ by {value:.1e} of the largest value, more than "
                f"{_TOLERANCE[model.dtype]:.0e}; this model cannot be measured here"
            )
    return bridge.requires_grad_(False), fidelity


def check_untouched(role: str, model: TransformerBridge) -> None:
    """Refuse a model that someone put into training mode, hung a hook on, or runs under autocast."""
    if model.training:
        raise ValueError(f"{role} is in training mode, so dropout changes what it computes; call pair.{role}.eval()")
    foreign = [name for name, point in model.hook_dict.items() if point._forward_hooks or point._forward_pre_hooks]
    if foreign:
        raise ValueError(
            f"{role} carries a hook at {foreign[0]} that no instrument put there; "
            f"call pair.{role}.reset_hooks() and measure again"
        )
    if torch.is_autocast_enabled(next(model.parameters()).device.type):
        raise ValueError("autocast is on, so the models do not compute in the precision they were loaded in; leave it")


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
