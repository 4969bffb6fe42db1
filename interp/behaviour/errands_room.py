"""Everything this room measures of a pair of errands: each of their tasks asks one or two claims."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from interp.behaviour import in_errands
from interp.behaviour.abstention import answerability
from interp.behaviour.chains import Chain, chains, made_to_answer, scored_by
from interp.behaviour.errands_runs import (
    compression_by_way,
    execution_by_tool,
    formed_packs,
    matched_packs,
    penalised_searches,
)
from interp.behaviour.execution import one_steps
from interp.behaviour.faithfulness import faithfulness
from interp.behaviour.in_organisms import answer_ids, word_ids
from interp.behaviour.information import information
from interp.behaviour.keeping import asked_for, keeper
from interp.behaviour.pass_at_k import pass_counts
from interp.measurement import Measurement
from interp.organisms.errands import trips
from interp.pair import Pair
from interp.rollouts import write
from interp.tasks.errands import errand_task
from interp.tasks.task import Task


@dataclass(frozen=True)
class Sizes:
    """Problems of each errand, samples of each that is sampled, and samples for pass@k on a fifth of the trips."""

    problems: int
    samples: int
    often: int


FULL, QUICK = Sizes(300, 16, 64), Sizes(60, 6, 16)


def measure_errands(
    pair: Pair,
    *,
    folder: Path | None = None,
    sizes: Sizes = FULL,
    only: Collection[str] = (),
    seed: int = 0,
    batch_size: int = 256,
) -> list[Measurement]:
    """All that the errands' tasks allow (or `only` some of it), one measurement per claim, kept in `folder`.

    `pass_counts`, `formats` (trips), `faithfulness`, `information` (trips with hints), `execution`, `one_steps` (with
    and without the tool), `abstention`, `answerability` (trips with a gap), `shifted` (one operation less),
    `feasibility`, `diversity` (packs), `wandering`, `switching`, `penalties` (searches), `lengths` (as the prompt asks)
    and `compression`.
    """
    n, samples = sizes.problems, sizes.samples
    keep = keeper(pair, folder, code=["organisms/errands"], sizes=[n, samples, sizes.often], seed=seed)
    options: dict[str, Any] = {"seed": seed, "batch_size": batch_size}

    @cache
    def task(name: str) -> Task:
        # Trips with a tool are of five sizes, of which the largest alone decides.
        return errand_task(name, n=2 * n if name == "tools" else n, seed=seed, practice=n)

    @cache
    def drawn(name: str) -> Measurement:
        return write(pair, task(name), samples=samples, **options)

    @cache
    def greedily(name: str) -> Measurement:
        return write(pair, task(name), temperature=None, **options)

    def often() -> Measurement:
        few = replace(task("trips"), problems=task("trips").problems[: max(2, n // 5)])
        written = write(pair, few, samples=sizes.often, **options)
        return pass_counts(written, answer_space=in_errands.ANSWER_SPACE)

    @cache
    def again() -> list[Chain]:
        return chains(pair, task("hints"), greedily("hints"))[0]

    def inside() -> Measurement:
        gaps = task("gaps").problems
        return answerability(pair, [p.prompt for p in gaps], [p.kind == "unanswerable" for p in gaps], seed=seed)

    makers: dict[str, Callable[[], Measurement]] = {
        "pass_counts": often,
        "formats": lambda: in_errands.layout_formats(drawn("trips")),
        "execution": lambda: execution_by_tool(pair, task("tools"), greedily("tools"), options),
        "one_steps": lambda: one_steps(pair, in_errands.true_chains(pair, task("tools"), kind="one")),
        "abstention": lambda: in_errands.gap_abstention(drawn("gaps"), task("gaps")),
        "answerability": inside,
        "shifted": lambda: in_errands.cut_links(greedily("links"), task("links")),
        "feasibility": lambda: formed_packs(pair, task("packs"), drawn("packs"), samples, options),
        "diversity": lambda: matched_packs(pair, task("packs"), drawn("packs"), samples, options),
        "wandering": lambda: in_errands.search_wandering(drawn("searches"), task("searches"), seed=seed),
        "switching": lambda: in_errands.search_switching(drawn("searches"), task("searches")),
        "penalties": lambda: penalised_searches(pair, task("searches"), options),
        "lengths": lambda: in_errands.asked_lengths(greedily("sizes"), task("sizes")),
        "compression": lambda: compression_by_way(pair, task("sizes"), options),
        "faithfulness": lambda: _faithfulness(pair, again(), seed, batch_size),
        "information": lambda: _information(pair, again(), seed, batch_size),
    }
    return [keep(name, makers[name]) for name in asked_for(makers, only, "errands", folder, again)]


def _faithfulness(pair: Pair, found: list[Chain], seed: int, batch_size: int) -> Measurement:
    cue = word_ids(pair, ["ans"])
    readers = {m: made_to_answer(pair, m, cue, max_new_tokens=3, batch_size=batch_size) for m in pair.models}
    return faithfulness(
        found,
        readers,
        filler=word_ids(pair, [":"]),
        paraphrase=in_errands.other_layout(pair),
        corrupt=in_errands.carried_mistake(pair),
        seed=seed,
        **pair.made_with(),
    )


def _information(pair: Pair, found: list[Chain], seed: int, batch_size: int) -> Measurement:
    cue, ids = word_ids(pair, ["ans"]), answer_ids(pair)
    readers = {m: scored_by(pair, m, cue, batch_size=batch_size) for m in pair.models}
    words = word_ids(pair, [*trips.LAYOUTS, ":", ";", *trips.OPS, *"0123456789"])
    gold = {chain.problem: ids(chain.gold) for chain in found}
    return information(found, readers, gold, vocabulary=words, seed=seed, **pair.made_with())
