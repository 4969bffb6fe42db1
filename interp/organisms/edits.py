"""Tuned models made by editing a shipped base directly: what was changed is known to the number, nothing is trained.

An edit takes the base's tensors and returns them changed, with where it acted. Places and numbers hang on the seed.
"""

import json
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor

from interp.organisms import shelf
from interp.organisms.recipes import LOWER_THIRD, UPPER_THIRD

N_LAYERS, N_HEADS, D_HEAD, N_UNITS = 6, 4, 16, 192
"""Sizes of every shipped organism."""
NOISE = 0.5
"""An edited part is moved by Gaussian noise of half its own standard deviation: far beyond storage, not destroyed."""
GROUP = 16
"""Hidden units of an edited group, of 192 in a block."""
RANK = 8
"""Rank of the adapter; base's matrices have rank 64."""
_MIDDLE_THIRD = (2, 3)

Tensors = dict[str, Float[Tensor, "..."]]
Place = Mapping[str, int | str]
"""Where an edit acted: `layer`, its `third`, `head`; empty where that was not drawn."""


class Edit(NamedTuple):
    """How base's tensors are changed (given base's seed too), and what that plants, in a sentence."""

    change: Callable[[Tensors, random.Random, int], tuple[Tensors, Place]]
    planted: str


def make_edit(name: str, folder: Path, *, base_seed: int = 0, seed: int = 0) -> tuple[Path, Place]:
    """Write the edited base under `folder` as a directory that any transformers user can open, and say where it acted.

    An adapter is written as peft writes it. Stored as the base is (fp16), except "bf16".
    """
    if name not in EDITS:
        raise LookupError(f"there is no edit {name!r}; there are {', '.join(EDITS)}")
    base = shelf.folder("base", base_seed)
    stored = load_file(base / "model.safetensors")
    tensors, place = EDITS[name].change(
        {key: tensor.float() for key, tensor in stored.items()}, random.Random(f"{name} {seed}"), base_seed
    )
    path = folder / f"{name}-{base_seed}-{seed}"
    path.mkdir(parents=True, exist_ok=True)
    if name in ADAPTERS:
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, path / "adapter_model.safetensors")
        config = {"peft_type": "LORA", "r": RANK, "lora_alpha": RANK, "bias": "none"}
        (path / "adapter_config.json").write_text(json.dumps(config))
        return path, place
    shutil.copytree(base, path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("card.json", "model.safetensors"))
    dtype = torch.bfloat16 if name == "bf16" else torch.float16
    kept = {key: tensor.to(dtype).contiguous() for key, tensor in tensors.items()}
    save_file(kept, path / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((base / "config.json").read_text()) | {"dtype": str(dtype).removeprefix("torch.")}
    (path / "config.json").write_text(json.dumps(config, indent=1))
    return path, place


def make_part(name: str, share: float, folder: Path, *, base_seed: int = 0) -> Path:
    """Write base + `share` x (the organism - base) under `folder`, stored as both are: a weaker tuning of its kind."""
    base, tuned = shelf.folder("base", base_seed), shelf.folder(name, base_seed)
    path = folder / f"{name}-{base_seed}-{share:g}"
    shutil.copytree(base, path, ignore=shutil.ignore_patterns("card.json", "model.safetensors"))
    stored = (load_file(place / "model.safetensors") for place in (base, tuned))
    before, after = ({key: tensor.float() for key, tensor in tensors.items()} for tensors in stored)
    between = {key: (before[key] + share * (after[key] - before[key])).half().contiguous() for key in before}
    save_file(between, path / "model.safetensors", metadata={"format": "pt"})
    return path


def head_ov(tensors: Tensors, draw: random.Random, _base_seed: int) -> tuple[Tensors, Place]:
    """What one head writes: noise in its slices of v and o."""
    layer, head, at = _head(draw)
    _noised(tensors[f"{_block(layer)}.self_attn.v_proj.weight"][at], draw)
    _noised(tensors[f"{_block(layer)}.self_attn.o_proj.weight"][:, at], draw)
    return tensors, _at(layer) | {"head": head}


def head_qk(tensors: Tensors, draw: random.Random, _base_seed: int) -> tuple[Tensors, Place]:
    """What one head looks for: noise in its slices of q and k."""
    layer, head, at = _head(draw)
    for name in ("q_proj", "k_proj"):
        _noised(tensors[f"{_block(layer)}.self_attn.{name}.weight"][at], draw)
    return tensors, _at(layer) | {"head": head}


def head_turned(tensors: Tensors, draw: random.Random, _base_seed: int) -> tuple[Tensors, Place]:
    """A head's v and o turned against each other by a random rotation: every number changes, no function does."""
    layer, head, at = _head(draw)
    turn, _ = torch.linalg.qr(torch.randn(D_HEAD, D_HEAD, generator=_generator(draw)))
    tensors[f"{_block(layer)}.self_attn.v_proj.weight"][at] = (
        turn @ tensors[f"{_block(layer)}.self_attn.v_proj.weight"][at]
    )
    output = tensors[f"{_block(layer)}.self_attn.o_proj.weight"]
    output[:, at] = output[:, at] @ turn.T
    return tensors, _at(layer) | {"head": head}


def mlp_group(tensors: Tensors, draw: random.Random, _base_seed: int) -> tuple[Tensors, Place]:
    """A group of hidden units: noise in what they read and in what they write."""
    layer, units = draw.randrange(N_LAYERS), torch.tensor(draw.sample(range(N_UNITS), GROUP))
    for name, dim in (("gate_proj", 0), ("up_proj", 0), ("down_proj", 1)):
        matrix = tensors[f"{_block(layer)}.mlp.{name}.weight"]
        part = matrix.index_select(dim, units)
        matrix.index_copy_(dim, units, _noised(part, draw))
    return tensors, _at(layer)


def permuted_units(tensors: Tensors, draw: random.Random, _base_seed: int) -> tuple[Tensors, Place]:
    """One block's hidden units in another order: every number of its MLP changes, no function does."""
    layer, order = draw.randrange(N_LAYERS), torch.randperm(N_UNITS, generator=_generator(draw))
    for name, dim in (("gate_proj", 0), ("up_proj", 0), ("down_proj", 1)):
        key = f"{_block(layer)}.mlp.{name}.weight"
        tensors[key] = tensors[key].index_select(dim, order)
    return tensors, _at(layer)


def baked(tensors: Tensors, draw: random.Random, _base_seed: int) -> tuple[Tensors, Place]:
    """A random steering vector, as long as the mean embedding, added to the stream before block 0 at every position.

    It is baked into every row of the embedding, which is exact because the head is not tied to it. A Llama has no
    bias, so that a constant written by a later block cannot be planted exactly.
    """
    embedding = tensors["model.embed_tokens.weight"]
    vector = torch.randn(embedding.shape[1], generator=_generator(draw))
    embedding += vector / vector.norm() * embedding.norm(dim=1).mean()
    return tensors, {}


def weight_noise(tensors: Tensors, draw: random.Random, _base_seed: int) -> tuple[Tensors, Place]:
    """Noise of 1% of each matrix's standard deviation, as the organism `noise` has, by another draw."""
    for tensor in tensors.values():
        if tensor.dim() >= 2:
            _noised(tensor, draw, share=0.01)
    return tensors, {}


def unchanged(tensors: Tensors, _draw: random.Random, _base_seed: int) -> tuple[Tensors, Place]:
    """Nothing: a copy, or where it is stored in another format the rounding to that."""
    return tensors, {}


def grafted(tensors: Tensors, _draw: random.Random, base_seed: int) -> tuple[Tensors, Place]:
    """Edited facts in the first third of the blocks and the choice of strategies in the last, from two organisms."""
    return _with(_with(tensors, "lower", LOWER_THIRD, base_seed), "upper", UPPER_THIRD, base_seed), {}


def middle(tensors: Tensors, _draw: random.Random, base_seed: int) -> tuple[Tensors, Place]:
    """The middle third of what reinforcement learning changed, alone."""
    return _with(tensors, "rl", _MIDDLE_THIRD, base_seed), {}


def upper_lora(tensors: Tensors, _draw: random.Random, base_seed: int) -> tuple[Tensors, Place]:
    """The organism `upper` as an adapter: each matrix's change, cut to its largest `RANK` singular values."""
    tuned = load_file(shelf.folder("upper", base_seed) / "model.safetensors")
    factors: Tensors = {}
    for layer in UPPER_THIRD:
        for key in (key for key in tensors if key.startswith(f"{_block(layer)}.") and tensors[key].dim() == 2):
            left, values, right = torch.linalg.svd(tuned[key].float() - tensors[key], full_matrices=False)
            root, module = values[:RANK].sqrt(), f"base_model.model.{key.removesuffix('.weight')}"
            factors[f"{module}.lora_A.weight"] = root[:, None] * right[:RANK]
            factors[f"{module}.lora_B.weight"] = left[:, :RANK] * root
    return factors, {}


EDITS = {
    "copy": Edit(unchanged, "nothing: the same file"),
    "bf16": Edit(unchanged, "nothing: stored in bfloat16"),
    "weight-noise": Edit(weight_noise, "nothing: Gaussian weight noise, by other draws than the organism's"),
    "permuted-units": Edit(permuted_units, "nothing: one block's hidden units in another order"),
    "head-turned": Edit(head_turned, "nothing: one head's v and o turned against each other"),
    "baked": Edit(baked, "a steering vector in the embedding; no block changed"),
    "head-ov": Edit(head_ov, "what one head writes"),
    "head-qk": Edit(head_qk, "what one head looks for"),
    "mlp-group": Edit(mlp_group, f"{GROUP} hidden units of one block"),
    "middle": Edit(middle, "a change in the middle third of the blocks alone"),
    "grafted": Edit(grafted, "facts in the first third of the blocks, choice of strategies in the last"),
    "upper-lora": Edit(upper_lora, "as upper, as an adapter: weights can be compared, nothing can be run"),
}
ADAPTERS = ("upper-lora",)


def _block(layer: int) -> str:
    return f"model.layers.{layer}"


def _at(layer: int) -> dict[str, int | str]:
    thirds = ("lower third", "middle third", "upper third")
    return {"layer": layer, "third": thirds[3 * layer // N_LAYERS]}


def _head(draw: random.Random) -> tuple[int, int, slice]:
    """A block, a head in it, and the head's rows of q, k and v (columns of o)."""
    layer, head = draw.randrange(N_LAYERS), draw.randrange(N_HEADS)
    return layer, head, slice(head * D_HEAD, (head + 1) * D_HEAD)


def _generator(draw: random.Random) -> torch.Generator:
    return torch.Generator().manual_seed(draw.getrandbits(32))


def _noised(part: Float[Tensor, "..."], draw: random.Random, *, share: float = NOISE) -> Float[Tensor, "..."]:
    """The part, moved in place by noise of a share of its standard deviation."""
    noise = torch.randn(part.shape, generator=_generator(draw))
    return part.add_(noise, alpha=share * part.pow(2).mean().sqrt().item())


def _with(tensors: Tensors, organism: str, blocks: tuple[int, ...], base_seed: int) -> Tensors:
    """The tensors with another organism's blocks in their place."""
    other = load_file(shelf.folder(organism, base_seed) / "model.safetensors")
    taken = tuple(f"{_block(layer)}." for layer in blocks)
    return {key: other[key].float() if key.startswith(taken) else tensor for key, tensor in tensors.items()}
