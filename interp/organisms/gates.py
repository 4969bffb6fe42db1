"""Train a model by its recipe, examine it, and put it down as an fp16 directory only if it passes its gate."""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaForCausalLM, PreTrainedTokenizerBase

from interp.intervals import wilson
from interp.organisms.recipes import Recipe

Counts = dict[str, tuple[int, int]]
"""What an exam counted: how many, of how many."""
Gate = tuple[str, str, float]
"""What is counted, `>=` or `<=`, and the bound on its share."""
PER_CELL = 120
"""Problems per cell of an exam."""
ROUNDS = 5
"""How often a model that fails its gate is trained on before it is given up."""


class FellShort(RuntimeError):
    """What was to be planted does not show, or more was changed than was to be."""


def put_through(
    recipe: Recipe,
    gate: Sequence[Gate],
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    examine: Callable[[LlamaForCausalLM], Counts],
    *,
    card: dict[str, Any],
    drawn: int,
    folder: Path,
    say: Callable[[str], None],
) -> Path:
    """Train the model in place from the seed `drawn`, on again while it falls short, and write it into `folder`.

    `card` says what is to be written, `name` and `seed` first; parent, recipe, minutes, gate, counts and what fell
    short on the way are added. Raises FellShort, naming the counts, when the gate is not passed; nothing is written.
    """
    clock, named = time.process_time(), f"{card['name']} of seed {card['seed']}"
    recipe.train(model, tokenizer, drawn)
    counts = examine(_as_kept(model))
    failed: list[str] = []
    while (short := fallen_short(gate, counts)) and recipe.again and len(failed) < ROUNDS:
        failed.append(f"after round {len(failed)}: {short}")
        say(f"{named}: {short}; training on")
        recipe.again(model, tokenizer, drawn + len(failed))
        counts = examine(_as_kept(model))
    if short:
        raise FellShort(f"{named} did not pass its gate: {short}; nothing was written")
    card = card | {
        "parent": recipe.parent,
        "recipe": " ".join((recipe.train.__doc__ or "").split()),
        "planted": recipe.planted,
        "parameters": sum(p.numel() for p in model.parameters()),
        "cpu_minutes": round((time.process_time() - clock) / 60, 2),
        "gate": [f"{what} {sign} {bound}" for what, sign, bound in gate],
        "counts": {what: with_interval(*pair) for what, pair in counts.items() if pair[1]},
        "failed": failed,
    }
    return _put_down(folder, model, tokenizer, card)


def fallen_short(gate: Sequence[Gate], counts: Counts) -> str:
    """The gate's conditions that are not met, in words; empty when it is passed."""
    short = []
    for what, sign, bound in gate:
        right, asked = counts[what]
        if not asked or (right / asked < bound if sign == ">=" else right / asked > bound):
            short.append(f"{what} is {right} of {asked}, wanted {sign} {bound}")
    return "; ".join(short)


def with_interval(right: int, asked: int) -> dict[str, Any]:
    """A proportion as a card states it: value, n, and its 95% Wilson interval."""
    low, high = wilson(right, asked)
    return {"value": round(right / asked, 4), "n": asked, "low": round(low, 4), "high": round(high, 4)}


def open_model(folder: Path) -> LlamaForCausalLM:
    """The organism in a folder, in fp32 for training on."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)


def _as_kept(model: LlamaForCausalLM) -> LlamaForCausalLM:
    """The model as fp16 will keep it, in fp32."""
    for parameter in model.parameters():
        parameter.data = parameter.data.half().float()
    return model


def _put_down(folder: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, card: dict[str, Any]) -> Path:
    """Write the directory beside its place and move it there whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        model.half().save_pretrained(work)
        tokenizer.save_pretrained(work)
        (Path(work) / "card.json").write_text(json.dumps(card, indent=1) + "\n")
        shutil.copytree(work, folder, dirs_exist_ok=True)
    return folder
