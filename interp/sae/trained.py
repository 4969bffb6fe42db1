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

_TOKENS_AT_ONCE = 8_192


@dataclass(frozen=True, eq=False)
class TrainedSAE:
    """An SAE of sae-lens, the hook whose activations it reads, and what it was trained on.

    `trained_on` is JSON: model, checkpoint and its digest, hook, tokens, samples, seed and options.
    """

    sae: Any
    hook: str
    trained_on: Mapping[str, Any]

    def __post_init__(self) -> None:
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
        """Feature activations; the same numbers as sae-lens' own `encode`, in pieces."""
        if x.shape[1] != self.d_in:
            raise ValueError(f"the SAE reads width {self.d_in}, the activations at {self.hook!r} have {x.shape[1]}")
        return torch.cat([self.sae.encode(part) for part in x.split(_TOKENS_AT_ONCE)])

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
