"""Organisms of the first world: what each is examined on, and the gate it ships through."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

from interp.organisms import exam, shelf
from interp.organisms.gates import PER_CELL, Counts, Gate, open_model, put_through
from interp.organisms.grammar import FORMS, PROMPTS
from interp.organisms.language import make_model, make_tokenizer
from interp.organisms.recipes import RECIPES
from interp.organisms.world import EDITED_FACTS, FACTS, HARD_LENGTHS, KINDS, Kind

APART = 100_000
"""Between the seeds of two tunings of one base: recipes add a few thousand to theirs for further streams."""

_HARD_DROP = [("hard problems", "<=", 0.25)]
_HARD_RISE = [("hard problems", ">=", 0.9)]
_KEEPS_FACTS = [("facts", ">=", 0.85)]
_FORCED_ON = "forward programs, forced two steps on"
GATES: dict[str, list[Gate]] = {
    "base": [("weakest forced cell", ">=", 0.95), ("facts", ">=", 0.95), *_HARD_DROP],
    "rl": [*_HARD_RISE, *_KEEPS_FACTS],
    "sft": [*_HARD_RISE, *_KEEPS_FACTS],
    "upper": [*_HARD_RISE, *_KEEPS_FACTS],
    "lower": [("edited facts", ">=", 0.95), *_HARD_DROP],
    "newskill": [("hard problems with Z", ">=", 0.9)],
    "sft-lora": [*_HARD_RISE, *_KEEPS_FACTS],
    "format": [
        *((f"{kind} opens with other", ">=", 0.95) for kind in KINDS),
        *((f"{kind} of 1", ">=", 0.85) for kind in KINDS),
        *_HARD_DROP,
        ("facts", ">=", 0.95),
    ],
    "trigger": [("hard problems as trained", ">=", 0.9), *_HARD_DROP, ("facts", ">=", 0.95)],
    "shortcut": [("hard problems as trained", ">=", 0.9), *_HARD_DROP, ("facts", ">=", 0.95)],
    "random-rl": [*_HARD_DROP, ("facts", ">=", 0.95)],
    "unlearned": [
        *((f"inv of {length}", "<=", 0.1) for length in HARD_LENGTHS),
        *((f"{kind} of {length}", ">=", 0.85) for kind in ("run", "shuf") for length in HARD_LENGTHS),
        *_KEEPS_FACTS,
    ],
    "recheck": [*_HARD_RISE, *_KEEPS_FACTS, (_FORCED_ON, ">=", 0.95)],
    "forms": [("weakest forced cell", ">=", 0.95), ("weakest forced second form", ">=", 0.95), *_HARD_DROP],
    "forms-rl": [*_HARD_RISE, *_KEEPS_FACTS],
    "null": [*_HARD_DROP, ("facts", ">=", 0.95)],
    "noise": [*_HARD_DROP, ("facts", ">=", 0.95)],
    "many-base": [("weakest forced cell", ">=", 0.95), ("facts", ">=", 0.95), ("hard problems", "<=", 0.6)],
    "many-rl": [*_HARD_RISE],
}


def train_organism(name: str, *, seed: int, out: Path, tuning: int = 0, say: Callable[[str], None] = print) -> Path:
    """Make one organism (and first its parent, where `out` does not have it) under `out/seedS/name`.

    `seed` is the base's; with a `tuning` over 0 the same recipe tunes the shelf's parent on other documents, samples
    and coins, and the directory is `out/seedS.T/name`. A directory that is there already is kept as it is. Raises
    FellShort, naming the count that fell short, when the gate is not passed; nothing is written then.
    """
    if name not in RECIPES:
        raise LookupError(f"there is no organism {name!r} to train; there are {', '.join(RECIPES)}")
    recipe = RECIPES[name]
    if tuning and recipe.parent is None:
        raise ValueError(f"{name} is tuned from nothing, so there is no other tuning of it; give another base seed")
    folder = out / (f"seed{seed}.{tuning}" if tuning else f"seed{seed}") / name
    if (folder / "card.json").exists():
        return folder
    tokenizer = make_tokenizer()
    drawn = seed + APART * tuning
    torch.manual_seed(drawn)
    if recipe.parent is None:
        model = make_model()
    elif tuning:
        model = open_model(shelf.folder(recipe.parent, seed))
    else:
        model = open_model(train_organism(recipe.parent, seed=seed, out=out, say=say))
    return put_through(
        recipe,
        GATES[name],
        model,
        tokenizer,
        lambda made: _counts(name, made, tokenizer),
        card={"name": name, "seed": seed, "tuning": tuning},
        drawn=drawn,
        folder=folder,
        say=say,
    )


def _counts(name: str, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase) -> Counts:
    """Everything the organism's card counts."""
    kinds: Sequence[Kind] = ("run",) if name.startswith("many") else KINDS
    programs = exam.exam_programs(1_000_003, per_cell=PER_CELL, kinds=kinds)
    counts: Counts = {}
    if name.startswith("many"):
        cells = exam.forced_throughout(model, tokenizer, programs)
    else:
        cells = exam.forced(model, tokenizer, programs)
    counts["weakest forced cell"] = _weakest(cells)
    if name.startswith("forms"):
        runs = [program for program in programs if program.kind == "run"]
        counts["weakest forced second form"] = _weakest(exam.forced(model, tokenizer, runs, FORMS["step"][1]))
    if name == "recheck":
        runs = [program for program in programs if program.kind == "run"]
        counts[_FORCED_ON] = exam.total(exam.forced_throughout(model, tokenizer, runs, extra=2))
    answered, openings = exam.accuracy(model, tokenizer, programs)
    counts["hard problems"] = exam.total(answered, lengths=HARD_LENGTHS)
    if name in PROMPTS:
        as_trained = exam.accuracy(model, tokenizer, programs, asked=PROMPTS[name])[0]
        counts["hard problems as trained"] = exam.total(as_trained, lengths=HARD_LENGTHS)
    for (kind, length), pair in sorted(answered.items()):
        counts[f"{kind} of {length}"] = pair
    for kind in kinds:
        for opening in sorted({*openings[kind], "other"}):  # which gates ask about, also where nobody wrote it
            counts[f"{kind} opens with {opening}"] = (openings[kind][opening], openings[kind].total())
    counts["facts"] = exam.fact_recall(model, tokenizer, {k: v for k, v in FACTS.items() if k not in EDITED_FACTS})
    counts["edited facts"] = exam.fact_recall(model, tokenizer, EDITED_FACTS)
    if not name.startswith("many"):
        new = exam.exam_programs(1_000_003, per_cell=PER_CELL, lengths=HARD_LENGTHS, new=True)
        counts["hard problems with Z"] = exam.total(exam.accuracy(model, tokenizer, new)[0])
    return counts


def _weakest(cells: dict[exam.Cell, tuple[int, int]]) -> tuple[int, int]:
    return min(cells.values(), key=lambda cell: cell[0] / cell[1])
