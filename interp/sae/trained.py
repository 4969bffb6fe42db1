"""A sparse autoencoder together with the place in the model that it reads."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from interp.measurement import write_whole

_TOKENS_AT_ONCE = 256
"""Of these the scores still lie in the processor's cache when the largest are taken from them."""
_UNFOLDED = {"expected_average_only_in": "fold_activation_norm_scaling_factor"}
_UNFOLDED["covariance_whitening"] = "fold_activation_whitening"
"""Normalisations by statistics of the training data, which sae-lens folds into the weights but does not store."""


@dataclass(frozen=True, eq=False)
class TrainedSAE:
    """An SAE of sae-lens, the hook whose activations it reads, and what it was trained on.

    `trained_on` is JSON: model, checkpoint and its digest, hook, tokens, samples, seed and options.
    """

    sae: Any
    hook: str
    trained_on: Mapping[str, Any]

    def __post_init__(self) -> None:
        if fold := _UNFOLDED.get(normalised := self.sae.cfg.normalize_activations):
            raise ValueError(
                f"the SAE for {self.hook!r} expects activations normalised by {normalised!r}, whose numbers are not "
                f"stored with it; fold them into its weights first (sae_lens: {fold})"
            )
        for name, tensor in self.sae.state_dict().items():
            if not tensor.isfinite().all():
                raise ValueError(f"the SAE for {self.hook!r} is not finite in {name}; train it again with a smaller lr")

    @property
    def d_in(self) -> int:
        return int(self.sae.cfg.d_in)

    @property
    def d_sae(self) -> int:
        return int(self.sae.cfg.d_sae)

    @torch.inference_mode()
    def encode(self, x: Float[Tensor, "token d_in"]) -> Float[Tensor, "token d_sae"]:
        """Feature activations; the same numbers as sae-lens' own `encode`, in pieces.

        Where pieces of another length are multiplied by another routine, numbers may differ in the last bit.
        """
        if x.shape[1] != self.d_in:
            raise ValueError(f"the SAE reads width {self.d_in}, the activations at {self.hook!r} have {x.shape[1]}")
        found = x.new_zeros(len(x), self.sae.cfg.d_sae, dtype=self.sae.dtype)
        # Pieces of about one length: a last one of a single token would be multiplied by another routine.
        n_pieces = max(1, len(x) // _TOKENS_AT_ONCE)
        for part, into in zip(x.tensor_split(n_pieces), found.tensor_split(n_pieces), strict=True):
            if self.sae.cfg.architecture() == "topk":
                values, chosen = self._scores(part).topk(self.sae.cfg.k, sorted=False)
                into.scatter_(1, chosen, values.relu_())
            else:
                into.copy_(self.sae.encode(part))
        return found

    def _scores(self, x: Float[Tensor, "token d_in"]) -> Float[Tensor, "token d_sae"]:
        """What the k largest are taken of, as sae-lens computes it, but in the memory of the product."""
        scores: Tensor = (self.sae.process_sae_in(x) @ self.sae.W_enc).add_(self.sae.b_enc)
        return scores.mul_(self.sae.W_dec.norm(dim=-1)) if self.sae.cfg.rescale_acts_by_decoder_norm else scores

    def decode(
        self, features: Float[Tensor, "*place d_sae"], x: Float[Tensor, "*place d_in"]
    ) -> Float[Tensor, "*place d_in"]:
        """What `features` stand for, in the size of the activations `x` that they were read from.

        Where an SAE normalises its input, token by token, sae-lens' own `decode` undoes that of the last `encode` and
        then forgets it: on its own, twice or out of order it fails or gives another token's size.
        """
        self.sae.run_time_activation_norm_fn_in(x.to(self.sae.dtype))
        decoded: Tensor = self.sae.decode(features)
        return decoded

    def save(self, folder: Path) -> Path:
        """Write the SAE as sae-lens does (`sae_lens.SAE.load_from_disk` opens it), with `trained_on` beside it."""
        self.sae.save_model(folder)
        write_whole(folder / "trained_on.json", json.dumps({"hook": self.hook, "trained_on": dict(self.trained_on)}))
        return folder


def load_sae(folder: Path) -> TrainedSAE:
    """Read what `TrainedSAE.save` wrote."""
    from sae_lens import SAE

    record = folder / "trained_on.json"
    if not record.exists():
        raise FileNotFoundError(f"{folder.name} holds no trained_on.json, so it is no SAE saved here; train one")
    facts = json.loads(record.read_text())
    return TrainedSAE(SAE.load_from_disk(folder).requires_grad_(False).eval(), facts["hook"], facts["trained_on"])


def released_sae(pair: Any, release: str | Path, sae_id: str | None = None, *, any_model: bool = False) -> TrainedSAE:
    """A published SAE of sae-lens, by release and id from its hub or from a directory, checked against the pair.

    Its own hook (older names are translated), its normalisation (done inside its `encode`) and its rule for the begin
    token hold. ValueError where it was trained on another model, or with a begin token and the pair's tokenizer puts
    none, or without and it puts one, unless `any_model`; at a hook that the pair does not have or of another width,
    with both named; where it is not finite. Fetching a release needs the network, a directory does not.
    """
    from sae_lens import SAE

    from interp.sae.activations import hook_name

    if sae_id is None:
        if not (Path(release) / "cfg.json").exists():
            raise FileNotFoundError(f"{Path(release).name} holds no cfg.json, so it is no SAE of sae-lens")
        sae = SAE.load_from_disk(Path(release), device=str(pair.device))
    else:
        sae = SAE.from_pretrained(str(release), sae_id, device=str(pair.device))
    facts = sae.cfg.metadata
    if not getattr(facts, "hook_name", None):
        raise ValueError(f"the SAE {release} does not say which hook it reads; it cannot be used")
    ours, theirs = str(pair.base_checkpoint.name), getattr(facts, "model_name", None)
    if theirs and not any_model and _model(theirs) != _model(ours):
        raise ValueError(
            f"the SAE was trained on {theirs}, base is {ours}; give an SAE of base, or any_model=True to read it anyway"
        )
    hook = hook_name(pair.base, facts.hook_name)
    if (width := _width(pair, hook)) != sae.cfg.d_in:
        raise ValueError(f"the SAE reads width {sae.cfg.d_in}, the pair's {hook!r} has {width}")
    if not any_model:
        _check_begin(pair, getattr(facts, "prepend_bos", None))
    told = {"release": Path(release).name, "id": sae_id, "hook": hook, "checkpoint": theirs, "model": "base"}
    told |= {"architecture": sae.cfg.architecture(), "d_sae": int(sae.cfg.d_sae), "k": getattr(sae.cfg, "k", None)}
    return TrainedSAE(sae.requires_grad_(False).eval(), hook, told)


def _check_begin(pair: Any, wanted: bool | None) -> None:
    """Refuse an SAE that saw texts with a begin token when the pair's have none, or the other way round."""
    put = pair.tokenizer.bos_token_id is not None and pair.tokenizer.bos_token_id in pair.encode("a")
    if wanted is not None and wanted != put:
        raise ValueError(
            f"the SAE was trained on texts {'with' if wanted else 'without'} a begin token, the pair's tokenizer puts "
            f"{'one' if put else 'none'}; use another SAE, or any_model=True to read it anyway"
        )


def _model(name: str) -> str:
    """A model's name without its organisation, revision and case."""
    return name.split("@")[0].split("/")[-1].lower()


@torch.inference_mode()
def _width(pair: Any, hook: str) -> int:
    """The width of what passes a hook, by letting one token through."""
    _, cache = pair.base.run_with_cache(
        torch.zeros((1, 1), dtype=torch.long, device=pair.device), names_filter=[hook], return_cache_object=False
    )
    return int(cache[hook].shape[-1])
