"""Everything this room measures of one pair and task by default: what the task's own language allows."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from interp.behaviour import errands_room
from interp.behaviour.chains import Chain, Tokens, chains, made_to_answer, scored_by
from interp.behaviour.faithfulness import faithfulness
from interp.behaviour.formats import formats
from interp.behaviour.in_organisms import (
    CUE,
    FILLER,
    answer_ids,
    carried_mistake,
    forced_steps,
    other_words,
    word_ids,
)
from interp.behaviour.information import information
from interp.behaviour.keeping import asked_for, keeper
from interp.behaviour.lengths import lengths
from interp.behaviour.pass_at_k import pass_counts, pass_curve
from interp.measurement import Measurement
from interp.pair import Pair
from interp.rollouts import write
from interp.tasks.task import Task

ANSWER_SPACE = 1000
"""Answers of the organisms' language: three digits."""


@dataclass(frozen=True)
class Sizes:
    """Problems, samples of each by either model (half of them is the largest k of pass@k), and chains read again."""

    problems: int
    samples: int
    chains: int


FULL, QUICK = Sizes(150, 64, 100), Sizes(40, 16, 30)


def measure_behaviour(
    pair: Pair, task: Task, *, folder: Path | None = None, quick: bool = False, seed: int = 0, batch_size: int = 256
) -> list[Measurement]:
    """What claims about texts need of this pair, by the world that its task belongs to; kept in `folder`.

    Errands are asked all of their own tasks, whichever of them `task` is.
    """
    if task.name.startswith("errands:"):
        sizes = errands_room.QUICK if quick else errands_room.FULL
        return errands_room.measure_errands(pair, folder=folder, sizes=sizes, seed=seed, batch_size=batch_size)
    return measure_texts(pair, task, folder=folder, sizes=QUICK if quick else FULL, seed=seed, batch_size=batch_size)


def measure_texts(
    pair: Pair,
    task: Task,
    *,
    folder: Path | None = None,
    sizes: Sizes = FULL,
    only: Collection[str] = (),
    seed: int = 0,
    batch_size: int = 256,
) -> list[Measurement]:
    """`pass_counts`, `pass_at_k`, `formats` and `lengths`; of organisms also `faithfulness`, `information`, `forced`.

    Both models are sampled at temperature 1 with the same random numbers, so that a copy of base writes the same texts.
    What is measured is kept in `folder`; the texts themselves are not. Formats are told by what opens a text, so a task
    without openers has none. Chains are read again only where the task's language says how one is cut, answered at once
    and carries a mistake on, and texts forced on only where it says what a further step is: that of the organisms.
    """
    few = replace(task, problems=task.problems[: sizes.problems])
    organism = task.name.startswith("organism:")
    keep = keeper(pair, folder, task=few.digest, sizes=[sizes.problems, sizes.samples, sizes.chains], seed=seed)

    @cache
    def written() -> Measurement:
        return write(pair, few, samples=sizes.samples, seed=seed, batch_size=batch_size)

    @cache
    def again() -> list[Chain]:
        found, _ = chains(pair, few, written())
        return [
            chain for writer in ("base", "tuned") for chain in [c for c in found if c.writer == writer][: sizes.chains]
        ]

    @cache
    def counts() -> Measurement:
        space = ANSWER_SPACE if organism else None
        return keep("pass_counts", lambda: pass_counts(written(), answer_space=space))

    makers: dict[str, Callable[[], Measurement]] = {
        "pass_counts": counts,
        "pass_at_k": lambda: pass_curve(counts()),
        "lengths": lambda: lengths(written()),
    }
    if task.label is not None:
        makers["formats"] = lambda: formats(written())
    if organism:
        makers["faithfulness"] = lambda: _faithfulness(pair, again(), seed, batch_size)
        makers["information"] = lambda: _information(pair, again(), seed, batch_size)
        if any(problem.kind == "run" for problem in few.problems):
            makers["forced"] = lambda: forced_steps(pair, few, seed=seed, batch_size=batch_size)
    wanted = asked_for(makers, only, task.name, folder, again)
    return [counts() if name == "pass_counts" else keep(name, makers[name]) for name in wanted]


def _faithfulness(pair: Pair, found: Sequence[Chain], seed: int, batch_size: int) -> Measurement:
    cue = word_ids(pair, [CUE])
    readers = {name: made_to_answer(pair, name, cue, max_new_tokens=4, batch_size=batch_size) for name in pair.models}
    met = any(pair.words(step)[0] == "check" for chain in found for step in chain.steps)
    return faithfulness(
        found,
        readers,
        filler=word_ids(pair, [FILLER]),
        paraphrase=other_words(pair) if met else None,
        corrupt=carried_mistake(pair),
        seed=seed,
        **pair.made_with(),
    )


def _information(pair: Pair, found: Sequence[Chain], seed: int, batch_size: int) -> Measurement:
    cue, ids = word_ids(pair, [CUE]), answer_ids(pair)
    answers: dict[str, Tokens] = {chain.problem: ids(chain.gold) for chain in found}
    readers = {name: scored_by(pair, name, cue, batch_size=batch_size) for name in pair.models}
    words = word_ids(pair, ["step", "back", *"RLSABCDE", *"0123456789"])
    return information(found, readers, answers, vocabulary=words, seed=seed, **pair.made_with())
