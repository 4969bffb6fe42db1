"""Train an organism of the errands, examine it, and put it down as an fp16 directory only if it passes its gate."""

import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import LlamaForCausalLM

from interp.organisms.errands import exam
from interp.organisms.errands.language import make_model, make_tokenizer
from interp.organisms.errands.recipes import ERRANDS, GATES
from interp.organisms.exam import with_interval
from interp.organisms.making import ROUNDS, open_model, put_down

PER_CELL = 120
"""Problems per cell of an exam."""


def train_errand(name: str, *, seed: int, out: Path, say: Callable[[str], None] = print) -> Path:
    """Make one organism (and first its parent, where `out` does not have it) under `out/seedS/name`.

    A directory that is there already is kept as it is. Raises RuntimeError, naming the count that fell short, when
    the gate is not passed; nothing is written then.
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
    clock = time.process_time()
    recipe.train(model, tokenizer, seed)
    counts = exam.counts(_as_kept(model), tokenizer, per_cell=PER_CELL)
    failed: list[str] = []
    while (short := fallen_short(name, counts)) and recipe.again and len(failed) < ROUNDS:
        failed.append(f"after round {len(failed)}: {short}")
        say(f"{name} of seed {seed}: {short}; training on")
        recipe.again(model, tokenizer, seed + len(failed))
        counts = exam.counts(_as_kept(model), tokenizer, per_cell=PER_CELL)
    if short:
        raise RuntimeError(f"{name} of seed {seed} did not pass its gate: {short}; nothing was written")
    card = {
        "name": name,
        "seed": seed,
        "tuning": 0,
        "parent": recipe.parent,
        "recipe": " ".join((recipe.train.__doc__ or "").split()),
        "planted": recipe.planted,
        "parameters": sum(p.numel() for p in model.parameters()),
        "cpu_minutes": round((time.process_time() - clock) / 60, 2),
        "gate": [f"{what} {sign} {bound}" for what, sign, bound in GATES[name]],
        "counts": {what: with_interval(*pair) for what, pair in counts.items() if pair[1]},
        "failed": failed,
    }
    return put_down(folder, model, tokenizer, card)


def fallen_short(name: str, counts: exam.Counts) -> str:
    """The gate's conditions that are not met, in words; empty when it is passed."""
    short = []
    for what, sign, bound in GATES[name]:
        right, asked = counts[what]
        if not asked or (right / asked < bound if sign == ">=" else right / asked > bound):
            short.append(f"{what} is {right} of {asked}, wanted {sign} {bound}")
    return "; ".join(short)


def _as_kept(model: LlamaForCausalLM) -> LlamaForCausalLM:
    """The model as fp16 will keep it, in fp32."""
    for parameter in model.parameters():
        parameter.data = parameter.data.half().float()
    return model
