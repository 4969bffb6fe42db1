"""A base and a tuned checkpoint that may be compared, both loaded raw into `TransformerBridge`.

What is no pair is refused in one sentence before any weights are loaded; what was loaded is compared with plain
transformers before anything is measured on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from transformer_lens.model_bridge import TransformerBridge
from transformers import PreTrainedTokenizerBase

from interp.checkpoint import Checkpoint, open_checkpoint, transformers_config
from interp.compatible import (
    check_configs,
    check_shapes,
    check_tokenizers,
    model_differences,
    same_weights,
    tokenizer_differences,
)
from interp.devices import Place, answer_where_asked, devices_of, parts_of_bridge
from interp.loading import Fidelity, bridged, check_place, check_untouched, load_tokenizer, plain_model, stop_tokens
from interp.measurement import provenance


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
        """Where base's first weights are, and so the tokens that the models are given."""
        return next(self.base.parameters()).device

    @property
    def places(self) -> str:
        """Every device that the models lie on, in words."""
        of = {role: ", ".join(devices_of(model)) for role, model in self.models.items()}
        return of["base"] if of["base"] == of["tuned"] else f"{of['base']} (base) and {of['tuned']} (tuned)"

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
        return [self.tokenizer.decode([i], clean_up_tokenization_spaces=False) for i in ids]

    def made_with(self, **facts: Any) -> dict[str, Any]:
        """Provenance of a number measured on this pair: both checkpoints, precision, fidelity, versions, `facts`.

        ValueError where the models are not as they were loaded, so that the number would not be one of this pair.
        """
        for role, model in self.models.items():
            check_untouched(role, model)
        of = {
            role: {"name": c.name, "digest": c.digest, "revision": c.revision}
            for role, c in (("base", self.base_checkpoint), ("tuned", self.tuned_checkpoint))
        }
        fidelity = {"logits": self.fidelity.logits, "residual": self.fidelity.residual}
        loaded = {"dtype": str(self.dtype).removeprefix("torch."), "differences": list(self.differences)}
        return provenance(**of, **loaded, fidelity=fidelity, **facts)

    def table(self) -> pd.DataFrame:
        """One row per model: name, digest, revision, architecture, layers, width, tokens, context, stored dtype."""
        checkpoints = {"base": self.base_checkpoint, "tuned": self.tuned_checkpoint}
        return pd.DataFrame(
            {
                "model": role,
                "name": checkpoint.name,
                "digest": checkpoint.digest,
                "revision": checkpoint.revision,
                "architecture": checkpoint.config["model_type"],
                "layers": self.n_layers,
                "d_model": self.d_model,
                "d_vocab": self.d_vocab,
                "context": int(self.models[role].cfg.n_ctx),
                "stored": ", ".join(sorted({str(checkpoint.dtype(n)).split(".")[-1] for n in checkpoint.names()})),
            }
            for role, checkpoint in checkpoints.items()
        )

    def figure(self) -> Any:
        """How far each tensor moved from base to tuned, layer by component: a plotly figure, read from the files."""
        from interp.layers.weights import weight_change  # objects draw themselves; nothing here depends on how

        return weight_change(self.base_checkpoint, self.tuned_checkpoint).figure()

    def __repr__(self) -> str:
        sizes = f"{self.n_layers} layers of width {self.d_model}, {self.d_vocab} tokens, context {self.context}"
        lines = [
            f"Pair of {self.base_checkpoint.name} (base) and {self.tuned_checkpoint.name} (tuned): "
            f"{self.base_checkpoint.config['model_type']}, {sizes}, on {self.places} in {self.dtype}.",
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
    device: Place = "cpu",
    tuned_device: Place | None = None,
) -> Pair:
    """Both checkpoints, loaded raw into `TransformerBridge` and checked; what cannot be compared is refused.

    ValueError, in one sentence with both values: another architecture, depth, width, number of heads or vocabulary;
    any config field that makes the same weights another function (rotary base, norm epsilon, activation, window,
    head size, tying); tokenizers that cut a probe text differently or number a shared token differently. Context
    length, begin token, chat template and tokens that one tokenizer has more are allowed and told in `differences`.
    CheckpointError: a tensor missing, unexpected, of another shape or not finite; no tokenizer files; a bridge that
    is not the model (`Fidelity` above 1e-3 in float32, 5e-2 in bfloat16).

    `device` is one device, "auto", or a device map from names of modules to devices (`devices.place_of`); both models
    go there unless `tuned_device` says where tuned goes. Every part then computes where its weights lie, and what it
    makes is brought to where it was asked, so that all instruments work; a model on several devices pays for that with
    the way of its stream there and back at every block. Each model is read into the machine's memory first.
    """
    check_place(dtype, torch.device("cpu"))
    wanted = {"base": device, "tuned": device if tuned_device is None else tuned_device}
    for place in wanted.values():
        if not isinstance(place, Mapping) and place != "auto":
            check_place(dtype, torch.device(place))
    opened = {"base": open_checkpoint(base), "tuned": open_checkpoint(tuned)}
    configs = {role: transformers_config(checkpoint) for role, checkpoint in opened.items()}
    check_configs(configs["base"], configs["tuned"])
    check_shapes(opened["base"], opened["tuned"])
    tokenizers = {role: load_tokenizer(opened[role], configs[role]) for role in opened}
    check_tokenizers(**tokenizers)
    models = {role: plain_model(checkpoint, dtype, wanted[role]) for role, checkpoint in opened.items()}
    stops = stop_tokens(models["base"], tokenizers["base"]) | stop_tokens(models["tuned"], tokenizers["tuned"])
    differences = (*tokenizer_differences(**tokenizers), *model_differences(models))
    if same_weights(**models) and opened["base"].digest == opened["tuned"].digest:
        differences = (
            "base and tuned are the same checkpoint, so that whatever is measured differs by 0",
            *differences,
        )
    wrapped = {role: bridged(models[role], opened[role], tokenizers["base"]) for role in opened}
    (base_bridge, base_found), (tuned_bridge, tuned_found) = wrapped["base"], wrapped["tuned"]
    if len(devices_of(base_bridge, tuned_bridge)) > 1:
        for bridge in (base_bridge, tuned_bridge):  # also one that lies in one place: parts may change hands
            bridge.__dict__["asked_at"] = next(base_bridge.parameters()).device
            if len(devices_of(bridge)) == 1:
                answer_where_asked(parts_of_bridge(bridge))
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
