"""Checkpoints along a tuning: what a collapse looks like on its way. Trained on demand, in seconds, not shipped."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from interp.organisms import shelf
from interp.organisms.corpus import Document
from interp.organisms.errands.language import make_tokenizer
from interp.organisms.errands.lessons import LESSONS, taught
from interp.organisms.errands.recipes import PARENT
from interp.organisms.training import tune

ROWS = 64
"""Documents that `tune` draws for one step."""


def write_series(
    name: str, out: Path, *, seed: int = 0, at: Sequence[int] = (0, 4, 8, 16, 32, 64), parent: Path | None = None
) -> dict[int, Path]:
    """Tune the shelf's base of `seed` by a lesson once more and put it down after each number of steps in `at`.

    `uniform` loses one of two layouts on the way, `various` keeps both. Every directory opens with transformers; steps
    are counted as in the shipped organism, which is the series' last member. `parent` is another base to start from.
    """
    if name not in LESSONS:
        raise LookupError(f"there is no lesson {name!r}; there are {', '.join(LESSONS)}")
    lesson = LESSONS[name]
    if list(at) != sorted(set(at)) or not at or at[0] < 0 or at[-1] > lesson.steps:
        raise ValueError(f"checkpoints are wanted at {tuple(at)}; give rising steps from 0 to {lesson.steps}")
    tokenizer = make_tokenizer()
    folder = parent or shelf.folder(PARENT, seed)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    paths: dict[int, Path] = {}

    def keep(step: int) -> None:
        paths[step] = out / f"{name}-{seed}-{step:04d}"
        state = {key: tensor.half() for key, tensor in model.state_dict().items()}
        model.save_pretrained(paths[step], state_dict=state)
        tokenizer.save_pretrained(paths[step])

    torch.manual_seed(seed)
    documents = _watched(taught(seed, lesson), [step for step in at if step < lesson.steps], keep)
    tune(model, documents, tokenizer, steps=lesson.steps, lr=lesson.lr)
    if at[-1] == lesson.steps:
        keep(lesson.steps)
    return paths


def _watched(documents: Iterator[Document], at: Sequence[int], keep: Callable[[int], None]) -> Iterator[Document]:
    """The documents; `keep` is called with a step's number before that step's first document is drawn."""
    for number, document in enumerate(documents):
        step, place = divmod(number, ROWS)
        if place == 0 and step in at:
            keep(step)
        yield document
