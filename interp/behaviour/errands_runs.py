"""Measurements of errands that take several decodings: a tool, a vector, a penalty, a grammar, another temperature."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from torch import Tensor

from interp.behaviour import in_errands
from interp.behaviour.choosing import biased, edited, penalised, under_grammar
from interp.behaviour.compression import compression, concise_vector, pushed, random_twin
from interp.behaviour.execution import execution
from interp.behaviour.feasibility import CONSTRAINED
from interp.behaviour.in_organisms import word_ids
from interp.behaviour.switching import METHODS, penalties
from interp.behaviour.temperature import HOT, MATCHED, TEMPERATURES, entropies, nearest
from interp.decoding import Choose, greedy, sample
from interp.measurement import Measurement
from interp.organisms.errands import packs, trees, trips
from interp.organisms.errands.tool import Tool, random_tool, with_tool
from interp.pair import Pair
from interp.rollouts import write
from interp.tasks.task import Task
from interp.written import together

ARMS = ("base", "tuned")
Way = tuple[str, float]
"""Where a vector is added, and how strong."""
GAMMAS = (0.5, 1.0, 2.0, 4.0)
"""Strengths of steering towards concise. Strength and block, one from the middle on as in the paper, are chosen on
practice problems and judged on others: the paper steers each of its models at another depth, from 0.6 to 0.9."""
BIASES = (2.0, 4.0, 6.0, 8.0, 12.0, 16.0)
"""Added to the logit of the word that opens the answer: the plain way to shorten."""
ALPHAS, BETAS = (1.0, 3.0), (4, 600)
"""Strengths and lengths of the penalty on going back, chosen on practice problems. The published best are 3 and 600; a
thought of these searches has a few words."""
WATCHED = 60
"""Problems along which the entropy of a temperature is measured."""


def execution_by_tool(pair: Pair, task: Task, plain: Measurement, options: Mapping[str, Any]) -> Measurement:
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


def compression_by_way(pair: Pair, task: Task, options: Mapping[str, Any]) -> Measurement:
    """Trips asked step by step: as they are, steered by `all` - `one` of practice prompts, and with a bias on `ans`."""
    one, judged = _step_by_step(task, task.practice), _step_by_step(task, task.problems)
    ans = word_ids(pair, ["ans"])[0]
    concise = [pair.encode("all" + problem.prompt.removeprefix("one")) for problem in one.problems]
    verbose = [pair.encode(problem.prompt) for problem in one.problems]

    def written(asked: Task, choose: Mapping[str, Choose] | None = None, arms: Sequence[str] = ARMS) -> Measurement:
        return write(pair, asked, temperature=None, choose=choose, arms={arm: arm for arm in arms}, **options)

    @cache
    def vector(model: str, hook: str) -> Tensor:
        return concise_vector(pair, model, hook, concise, verbose)[0]

    def steered(asked: Task, how: Way, arms: Sequence[str] = ARMS, *, twin: bool = False) -> Measurement:
        hook, gamma = how
        added = {m: random_twin(vector(m, hook), seed=options["seed"]) if twin else vector(m, hook) for m in arms}
        return written(asked, {m: pushed(m, hook, gamma * v) for m, v in added.items()}, arms)

    plain = written(one, arms=("tuned",))
    hooks = [f"blocks.{block}.hook_out" for block in range(pair.n_layers // 2, pair.n_layers)]
    tried: list[Way] = [(hook, gamma) for hook in hooks for gamma in GAMMAS]
    best = max(tried, key=lambda how: _worth(plain, steered(one, how, ("tuned",))))
    brief = replace(
        judged, problems=tuple(replace(p, prompt="two" + p.prompt.removeprefix("one")) for p in judged.problems)
    )
    runs = {
        ("none", 0.0): written(judged),
        ("steered", best[1]): steered(judged, best),
        ("random vector", best[1]): steered(judged, best, twin=True),
        ("asked", 0.0): written(brief),
    }
    for bias in BIASES:
        choose = {m: edited(greedy(m), m, biased({ans: bias})) for m in pair.models}
        runs["biased", bias] = written(judged, choose)
    return compression(runs)


def _worth(plain: Measurement, steered: Measurement) -> tuple[float, float]:
    """Accuracy, then brevity, of a steering that saves a tenth of the tokens; of one that does not, less than any."""
    lengths = [part.table["tokens"].map(len).mean() for part in (plain, steered)]
    right = float(steered.table["strict"].mean()) if lengths[1] <= 0.9 * lengths[0] else -1.0
    return right, -float(lengths[1])


def _step_by_step(task: Task, problems: tuple[Any, ...]) -> Task:
    return replace(task, problems=tuple(problem for problem in problems if problem.kind == "one"), practice=())


def formed_packs(pair: Pair, task: Task, drawn: Measurement, samples: int, options: Mapping[str, Any]) -> Measurement:
    """`feasibility` of packs as drawn, and of base under the grammar of their form."""
    ids = {word: token for word in ("[", "]", *"0123456789") for token in word_ids(pair, [word])}
    ids["<eos>"] = pair.stop_ids[0]

    def allowed(text: Any) -> list[int]:
        return [ids[word] for word in packs.allowed(pair.words(text) if len(text) else [])]

    asked = len(task.problems) * samples
    free = sample("base", seed=options["seed"], n_prompts=asked, max_new_tokens=task.max_new_tokens)
    choose = {CONSTRAINED: edited(free, "base", under_grammar(allowed))}
    formed = write(pair, task, samples=samples, arms={CONSTRAINED: "base"}, choose=choose, **options)
    return in_errands.pack_feasibility(together(drawn, formed), task)


def matched_packs(pair: Pair, task: Task, drawn: Measurement, samples: int, options: Mapping[str, Any]) -> Measurement:
    """`diversity` of packs as drawn, and of tuned at the temperature at which it is as uncertain as base."""
    few = replace(task, problems=task.practice[:WATCHED], practice=())
    hot = nearest(entropies(pair, few, temperatures=(*TEMPERATURES, *HOT), **options))
    arm: dict[str, Any] = {"samples": samples, "temperature": hot, "arms": {MATCHED: "tuned"}}
    return in_errands.pack_diversity(together(drawn, write(pair, task, **arm, **options)))


def penalised_searches(pair: Pair, task: Task, options: Mapping[str, Any]) -> Measurement:
    """`penalties`: searches without a penalty, with one on `back`, and with one on a node that is about as frequent."""
    back = word_ids(pair, ["back"])[0]
    practice = replace(task, problems=task.practice, practice=())
    plain = write(pair, practice, temperature=None, **options)
    counts = plain.table["tokens"].explode().value_counts()
    twin = min(word_ids(pair, trees.NODES), key=lambda node: abs(counts.get(node, 0) - counts.get(back, 0)))

    def run(asked: Task, token: int, alpha: float, beta: int) -> Measurement:
        choose = {m: edited(greedy(m), m, penalised([token], alpha=alpha, beta=beta)) for m in pair.models}
        return write(pair, asked, temperature=None, choose=choose, **options)

    def worth(strength: tuple[float, int]) -> float:
        table = run(practice, back, *strength).table
        return float(table.loc[table["arm"] == "tuned", "strict"].mean())

    best = max([(alpha, beta) for alpha in ALPHAS for beta in BETAS], key=worth)
    runs = (write(pair, task, temperature=None, **options), run(task, back, *best), run(task, twin, *best))
    return penalties(dict(zip(METHODS, runs, strict=True)))
