"""A LoRA adapter as the checkpoint that it makes of its base, tensor by tensor; no model is built."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from interp.checkpoint import ADAPTER_CONFIG as CONFIG
from interp.checkpoint import Checkpoint, CheckpointError, MissingError, read_object

WEIGHTS = "adapter_model.safetensors"
_FACTOR = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_([AB])(?:\.default)?\.weight")


@dataclass(frozen=True, eq=False)
class Adapted(Checkpoint):
    """Base with W + scale * B A in place of every targeted W; made by `open_adapter`.

    `added` is the adapter's directory, `factors` the keys of A and B and the scale for every changed tensor.
    """

    base: Checkpoint
    added: Path
    factors: Mapping[str, tuple[str, str, float]] = field(repr=False)

    def read(self, name: str) -> Tensor:
        """One tensor: base's as stored, or in fp32 with the adapter's product added (never rounded to base's dtype)."""
        stored = self.base.read(name)
        if name not in self.factors:
            return stored
        a, b, scale = self.factors[name]
        with safe_open(self.added / WEIGHTS, framework="pt", device="cpu") as file:
            change = scale * (file.get_tensor(b).float() @ file.get_tensor(a).float())
        turned = change if stored.shape == change.shape else change.T  # GPT-2 stores [in, out]
        if turned.shape != stored.shape:
            raise CheckpointError(
                f"{self.name} changes {name} by {tuple(change.shape)}, but base's is {tuple(stored.shape)}; "
                "it belongs to another base"
            )
        return stored.float() + turned

    def told(self) -> dict[str, Any]:
        """What provenance says of the adapter."""
        scales = {scale for _, _, scale in self.factors.values()}
        return {"name": self.name, "on": self.base.name, "targets": len(self.factors), "scales": sorted(scales)}

    @cached_property
    def digest(self) -> str:
        """The first 16 hex digits of a SHA-256 over base's digest and the adapter's two files."""
        total = hashlib.sha256(self.base.digest.encode())
        for file in (CONFIG, WEIGHTS):
            total.update((self.added / file).read_bytes())
        return total.hexdigest()[:16]


def open_adapter(folder: str | Path, base: Checkpoint) -> Adapted:
    """The PEFT LoRA adapter in a directory, applied to `base`; scale is alpha / r, or alpha / sqrt(r) with rsLoRA.

    Refused with a `CheckpointError`: what is not plain LoRA (DoRA, another PEFT method, per-module ranks, trained
    biases, modules saved whole), a target that base does not have, a damaged file. With a `MissingError`: no adapter.
    """
    folder = Path(folder)
    for file in (CONFIG, WEIGHTS):
        if not (folder / file).is_file():
            raise MissingError(f"{folder.name} has no {file}; name the directory of an adapter saved by peft")
        if not (folder / file).resolve().is_relative_to(folder.resolve()):
            raise CheckpointError(f"{folder.name}/{file} is a link out of its directory; put the file itself there")
    config = read_object(folder, CONFIG, folder.name)
    plain = config.get("peft_type") == "LORA" and config.get("bias", "none") == "none" and not config.get("use_dora")
    for option in ("rank_pattern", "alpha_pattern", "modules_to_save", "layer_replication"):
        plain = plain and not config.get(option)
    if not plain:
        raise CheckpointError(
            f"{folder.name} is no plain LoRA adapter; merge it into its base first (merge_and_unload)"
        )
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not isinstance(rank, int) or rank < 1 or not isinstance(alpha, int | float):
        raise CheckpointError(
            f"{folder.name}/{CONFIG} gives r as {rank!r} and lora_alpha as {alpha!r}; "
            "both have to be numbers, and r at least 1"
        )
    scale = alpha / (rank**0.5 if config.get("use_rslora") else rank)
    try:
        with safe_open(folder / WEIGHTS, framework="pt", device="cpu") as opened:
            keys = list(opened.keys())
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{folder.name}/{WEIGHTS} is damaged or cut short ({error}); save it again") from error
    factors = _factors(folder.name, keys, base, scale)
    return Adapted(folder.name, base.folder, None, base.config, base.files, base, folder, factors)


def _factors(name: str, keys: list[str], base: Checkpoint, scale: float) -> dict[str, tuple[str, str, float]]:
    """By base's tensor: the keys of A and B, and the scale."""
    found: dict[str, dict[str, str]] = {}
    for key in keys:
        match = _FACTOR.fullmatch(key)
        if not match or f"{match[1]}.weight" not in base.files:
            raise CheckpointError(f"{name} holds {key!r}, which changes no matrix of {base.name}; it has another base")
        found.setdefault(f"{match[1]}.weight", {})[match[2]] = key
    if half := [target for target, pair in found.items() if len(pair) < 2]:
        raise CheckpointError(f"{name} has only one of the two factors for {half[0]}; save the adapter again")
    return {target: (pair["A"], pair["B"], scale) for target, pair in found.items()}
