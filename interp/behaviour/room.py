"""Everything this room measures of one pair and task by default: what the task's own language allows."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from interp.behaviour.chains import Chain, Tokens, chains, made_to_answer, scored_by
from interp.behaviour.faithfulness import faithfulness
from interp.behaviour.formats import formats
from interp.behaviour.in_organisms import CUE, FILLER, answer_ids, carried_mistake, other_words, word_ids
from interp.behaviour.information import information
from interp.behaviour.keeping import keeper
from interp.behaviour.lengths import lengths
from interp.behaviour.pass_at_k import pass_counts, pass_curve
from interp.measurement import Measurement
from interp.pair import Pair
from interp.rollouts import write
from interp.tasks.task import Task

PROBLEMS = {"full": 150, "quick": 40}
SAMPLES = {"full": 64, "quick": 16}
"""Samples per problem and model: half of them is the largest k of pass@k."""
CHAINS = {"full": 100, "quick": 30}
"""Chains per writer that are edited and read again."""
ANSWER_SPACE = 1000
"""Answers of the organisms' language: three digits."""


def measure_behaviour(
    pair: Pair, task: Task, *, folder: Path | None = None, quick: bool = False, seed: int = 0, batch_size: int = 256
) -> list[Measurement]:
    """`pass_counts`, `pass_at_k`, `formats` and `lengths`; of organisms also `faithfulness` and `information`.

    Both models are sampled at temperature 1 with the same random numbers, so that a copy of base writes the same texts.
    What is measured is kept in `folder`; the texts themselves are not. Formats are told by what opens a text, so a task
    without openers has none. Chains are read again only where the task's language says how one is cut, answered at once
    and carries a mistake on: that of the organisms.
    """
    size = "quick" if quick else "full"
    few = replace(task, problems=task.problems[: PROBLEMS[size]])
    organism = task.name.startswith("organism:")
    keep = keeper(pair, folder, task=few.digest, quick=quick, seed=seed)

    @cache
    def written() -> Measurement:
        return write(pair, few, samples=SAMPLES[size], seed=seed, batch_size=batch_size)

    @cache
    def again() -> list[Chain]:
        found, _ = chains(pair, few, written())
        return [
            chain for writer in ("base", "tuned") for chain in [c for c in found if c.writer == writer][: CHAINS[size]]
        ]

    space = ANSWER_SPACE if organism else None
    counts = keep("pass_counts", lambda: pass_counts(written(), answer_space=space))
    measured = [counts, keep("pass_at_k", lambda: pass_curve(counts)), keep("lengths", lambda: lengths(written()))]
    if task.label is not None:
        measured.append(keep("formats", lambda: formats(written())))
    if organism and again():
        measured.append(keep("faithfulness", lambda: _faithfulness(pair, again(), seed, batch_size)))
        measured.append(keep("information", lambda: _information(pair, again(), seed, batch_size)))
    return measured


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
