"""Everything this room measures of a pair of errands: each of their tasks asks one or two claims."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from interp.behaviour import in_errands
from interp.behaviour.abstention import answerability
from interp.behaviour.chains import chains, made_to_answer, scored_by
from interp.behaviour.choosing import biased, edited, under_grammar
from interp.behaviour.compression import compression, concise_vector, pushed, random_twin
from interp.behaviour.execution import execution, one_steps
from interp.behaviour.faithfulness import faithfulness
from interp.behaviour.feasibility import CONSTRAINED
from interp.behaviour.in_organisms import answer_ids, word_ids
from interp.behaviour.information import information
from interp.behaviour.keeping import keeper
from interp.behaviour.pass_at_k import pass_counts
from interp.decoding import Choose, greedy, sample
from interp.measurement import Measurement
from interp.organisms.errands import packs, trips
from interp.organisms.errands.tool import Tool, random_tool, with_tool
from interp.pair import Pair
from interp.rollouts import write
from interp.tasks.errands import errand_task
from interp.tasks.task import Task
from interp.written import together

PROBLEMS = {"full": 300, "quick": 60}
SAMPLES = {"full": 16, "quick": 6}
CATCH_UP = {"full": 64, "quick": 16}
"""Samples for pass@k, on a fifth of the problems."""
GAMMAS = (0.5, 1.0, 2.0, 4.0)
"""Strengths of steering towards concise, of which the one that is best on practice problems is judged on others."""
BIASES = (2.0, 4.0, 6.0, 8.0, 12.0, 16.0)
"""Added to the logit of the word that opens the answer: the plain way to shorten."""


def measure_errands(
    pair: Pair, *, folder: Path | None = None, quick: bool = False, seed: int = 0, batch_size: int = 256
) -> list[Measurement]:
    """All that the errands' tasks allow, one measurement per claim, kept in `folder`.

    `pass_counts`, `formats` (trips), `faithfulness`, `information` (trips with hints), `execution`, `one_steps` (with
    and without the tool), `abstention`, `answerability` (trips with a gap), `shifted` (one operation less),
    `feasibility`, `diversity` (packs), `wandering`, `switching` (searches), `lengths` (as the prompt asks) and
    `compression`.
    """
    size = "quick" if quick else "full"
    n, samples = PROBLEMS[size], SAMPLES[size]
    keep = keeper(pair, folder, code=["organisms/errands"], quick=quick, seed=seed)
    options: dict[str, Any] = {"seed": seed, "batch_size": batch_size}

    @cache
    def task(name: str) -> Task:
        return errand_task(name, n=n, seed=seed, practice=n)

    @cache
    def drawn(name: str) -> Measurement:
        return write(pair, task(name), samples=samples, **options)

    @cache
    def greedily(name: str) -> Measurement:
        return write(pair, task(name), temperature=None, **options)

    def often() -> Measurement:
        few = replace(task("trips"), problems=task("trips").problems[: max(2, n // 5)])
        written = write(pair, few, samples=CATCH_UP[size], **options)
        return pass_counts(written, answer_space=in_errands.ANSWER_SPACE)

    def packed() -> Measurement:
        one = drawn("packs")
        ids = {word: token for word in ("[", "]", *"0123456789") for token in word_ids(pair, [word])}
        ids["<eos>"] = pair.stop_ids[0]

        def allowed(text: Any) -> list[int]:
            return [ids[word] for word in packs.allowed(pair.words(text) if len(text) else [])]

        asked = len(task("packs").problems) * samples
        free = sample("base", seed=seed, n_prompts=asked, max_new_tokens=task("packs").max_new_tokens)
        choose = {CONSTRAINED: edited(free, "base", under_grammar(allowed))}
        formed = write(pair, task("packs"), samples=samples, arms={CONSTRAINED: "base"}, choose=choose, **options)
        return in_errands.pack_feasibility(together(one, formed), task("packs"))

    gaps = task("gaps").problems
    makers: dict[str, Callable[[], Measurement]] = {
        "pass_counts": often,
        "formats": lambda: in_errands.layout_formats(drawn("trips")),
        "execution": lambda: _execution(pair, task("tools"), greedily("tools"), options),
        "one_steps": lambda: one_steps(pair, in_errands.true_chains(pair, task("tools"), kind="one")),
        "abstention": lambda: in_errands.gap_abstention(drawn("gaps"), task("gaps")),
        "answerability": lambda: answerability(
            pair, [p.prompt for p in gaps], [p.kind == "unanswerable" for p in gaps], seed=seed
        ),
        "shifted": lambda: in_errands.cut_links(greedily("links"), task("links")),
        "feasibility": packed,
        "diversity": lambda: in_errands.pack_diversity(drawn("packs")),
        "wandering": lambda: in_errands.search_wandering(drawn("searches"), task("searches"), seed=seed),
        "switching": lambda: in_errands.search_switching(drawn("searches"), task("searches")),
        "lengths": lambda: in_errands.asked_lengths(greedily("sizes"), task("sizes")),
        "compression": lambda: _compression(pair, task("sizes"), options),
    }
    measured = [keep(name, make) for name, make in makers.items()]
    found, _ = chains(pair, task("hints"), greedily("hints"))
    if found:
        cue = word_ids(pair, ["ans"])
        readers = {m: made_to_answer(pair, m, cue, max_new_tokens=3, batch_size=batch_size) for m in pair.models}
        edits: dict[str, Any] = {
            "filler": word_ids(pair, [":"]),
            "paraphrase": in_errands.other_layout(pair),
            "corrupt": in_errands.carried_mistake(pair),
        }
        scores = {m: scored_by(pair, m, cue, batch_size=batch_size) for m in pair.models}
        ids = answer_ids(pair)
        gold = {chain.problem: ids(chain.gold) for chain in found}
        words = word_ids(pair, [*trips.LAYOUTS, ":", ";", *trips.OPS, *"0123456789"])
        measured += [
            keep("faithfulness", lambda: faithfulness(found, readers, seed=seed, **edits, **pair.made_with())),
            keep(
                "information",
                lambda: information(found, scores, gold, vocabulary=words, seed=seed, **pair.made_with()),
            ),
        ]
    return measured


def _execution(pair: Pair, task: Task, plain: Measurement, options: Mapping[str, Any]) -> Measurement:
    """Trips step by step, and the same ones with the interpreter, and with one that answers at random."""

    def run(tool: Tool) -> Measurement:
        choose = {arm: with_tool(greedy(arm), pair.tokenizer, tool=tool) for arm in pair.models}
        written = write(pair, task, temperature=None, choose=choose, **options)
        return in_errands.of_kinds(written, task, ["tool"])

    runs = {
        "none": in_errands.of_kinds(plain, task, ["one"]),
        "tool": run(trips.apply),
        "random tool": run(random_tool(options["seed"])),
    }
    return execution(runs, in_errands.sizes_of(task, kind="one"))


def _compression(pair: Pair, task: Task, options: Mapping[str, Any]) -> Measurement:
    """Trips asked step by step: as they are, steered by `all` - `one` of practice prompts, and with a bias on `ans`."""
    hook = f"blocks.{pair.n_layers // 2}.hook_out"
    one, judged = _step_by_step(task, task.practice), _step_by_step(task, task.problems)
    ans = word_ids(pair, ["ans"])[0]
    concise = [pair.encode("all" + problem.prompt.removeprefix("one")) for problem in one.problems]
    verbose = [pair.encode(problem.prompt) for problem in one.problems]
    vectors = {model: concise_vector(pair, model, hook, concise, verbose)[0] for model in pair.models}

    def written(asked: Task, choose: Mapping[str, Choose] | None = None) -> Measurement:
        return write(pair, asked, temperature=None, choose=choose, **options)

    def steered(asked: Task, gamma: float, *, twin: bool = False) -> Measurement:
        added = {m: random_twin(v, seed=options["seed"]) if twin else v for m, v in vectors.items()}
        return written(asked, {m: pushed(m, hook, gamma * v) for m, v in added.items()})

    gamma = max(GAMMAS, key=lambda g: _worth(written(one), steered(one, g)))
    brief = replace(
        judged, problems=tuple(replace(p, prompt="two" + p.prompt.removeprefix("one")) for p in judged.problems)
    )
    runs = {
        ("none", 0.0): written(judged),
        ("steered", gamma): steered(judged, gamma),
        ("random vector", gamma): steered(judged, gamma, twin=True),
        ("asked", 0.0): written(brief),
    }
    for bias in BIASES:
        choose = {m: edited(greedy(m), m, biased({ans: bias})) for m in pair.models}
        runs["biased", bias] = written(judged, choose)
    return compression(runs)


def _worth(plain: Measurement, steered: Measurement) -> float:
    """Accuracy of a strength that saves a tenth of the tokens; of one that does not, less than any."""
    lengths = [part.table["tokens"].map(len).mean() for part in (plain, steered)]
    return float(steered.table["strict"].mean()) if lengths[1] <= 0.9 * lengths[0] else -1.0


def _step_by_step(task: Task, problems: tuple[Any, ...]) -> Task:
    return replace(task, problems=tuple(problem for problem in problems if problem.kind == "one"), practice=())
