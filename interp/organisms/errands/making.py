"""Organisms of the errands, made and examined."""

from collections.abc import Callable
from pathlib import Path

import torch

from interp.organisms.errands import exam
from interp.organisms.errands.language import make_model, make_tokenizer
from interp.organisms.errands.recipes import ERRANDS, GATES
from interp.organisms.gates import PER_CELL, open_model, put_through


def train_errand(name: str, *, seed: int, out: Path, say: Callable[[str], None] = print) -> Path:
    """Make one organism (and first its parent, where `out` does not have it) under `out/seedS/name`.

    A directory that is there already is kept as it is. Raises FellShort, naming the count that fell short, when the
    gate is not passed; nothing is written then.
    """
    if name not in ERRANDS:
        raise LookupError(f"there is no organism {name!r} to train; there are {', '.join(ERRANDS)}")
    folder = out / f"seed{seed}" / name
    if (folder / "card.json").exists():
        return folder
    recipe, tokenizer = ERRANDS[name], make_tokenizer()
    torch.manual_seed(seed)
    model = (
        make_model() if recipe.parent is None else open_model(train_errand(recipe.parent, seed=seed, out=out, say=say))
    )
    return put_through(
        recipe,
        GATES[name],
        model,
        tokenizer,
        lambda made: exam.counts(made, tokenizer, per_cell=PER_CELL),
        card={"name": name, "seed": seed, "tuning": 0},
        drawn=seed,
        folder=folder,
        say=say,
    )
