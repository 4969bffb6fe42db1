"""Does a model solve more or less when a strategy's direction is added where it begins to answer, and nowhere else?"""

from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd
import torch

from interp.decoding import greedy
from interp.measurement import Measurement
from interp.pair import Pair
from interp.rollouts import complete
from interp.sae.activations import activations, digest_of
from interp.sae.directions import mean_difference, random_directions
from interp.sae.intervene import add, edited_logprobs, nothing
from interp.sae.sites import onset_sites
from interp.tasks.task import Reading, Task


def steered_answers(
    pair: Pair,
    task: Task,
    readings: Sequence[Reading],
    *,
    model: Literal["base", "tuned"] = "base",
    hook: str | None = None,
    doses: Sequence[float] = (1.0, 2.0, 4.0),
    n_random: int = 5,
    n: int | None = None,
    seed: int = 0,
) -> Measurement:
    """A model's greedy answers when its first token is chosen with a strategy's direction added, and it goes on alone.

    The direction is the strategy's difference of means at its onsets in base (search half of `readings`), at each of
    `doses` times its length, added at `hook` (by default what the middle block gives out) to the prompt's last token.
    All later tokens are the model's own, unchanged: what base solves then, it could do; what `model` "tuned" no longer
    solves hung on its choice of strategy. "twin" arms add a random direction of the same length. Rows: `arm`
    ("nothing", "steered", "twin"), `strategy`, `dose`, `draw`, `kind`, `problem`, `opened` (whether the first token is
    one that opens the strategy in the readings), `correct` (strict). The first `n` problems are asked, of each kind in
    turn as the task lists them.
    """
    hook = hook or f"blocks.{pair.n_layers // 2}.hook_out"
    sites = onset_sites(readings)
    x = activations(pair.base, readings, hook)[torch.from_numpy(sites.row)]
    search = torch.from_numpy(~sites.held_out)
    problems = task.problems[:n]
    prompts = [pair.encode(problem.prompt) for problem in problems]
    arms: list[tuple[str, str, float, int, Any]] = [("nothing", "", 0.0, 0, nothing)]
    openers: dict[str, set[int]] = {"": set()}
    for strategy in sites.strategies:
        positive = torch.from_numpy(sites.strategy == strategy)
        vector = mean_difference(x[search], positive[search][:, None])[:, 0]
        twins = random_directions(len(vector), n_random, seed=seed).to(vector.device) * vector.norm()
        arms += [("steered", strategy, dose, 0, add(dose * vector)) for dose in doses]
        arms += [("twin", strategy, d, draw, add(d * twins[:, draw])) for d in doses for draw in range(n_random)]
        own = [i for i in range(len(sites.row)) if sites.strategy[i] == strategy]
        openers[strategy] = {readings[sites.reading[i]].tokens[sites.position[i] + 1] for i in own}
    first = (
        edited_logprobs(pair.models[model], prompts, hook, [edit for *_, edit in arms], pad=pair.pad_id)
        .argmax(-1)
        .tolist()
    )
    # Arms that choose the same first token go on the same way, so each continuation is written once.
    starts = sorted({(row, token) for chosen in first for row, token in enumerate(chosen)})
    done = complete(
        pair,
        [(*prompts[row], token) for row, token in starts],
        greedy(model),
        max_new_tokens=task.max_new_tokens - 1,
    )
    said = {start: pair.text((start[1], *completion.tokens)) for start, completion in zip(starts, done, strict=True)}
    rows = [
        {"arm": arm, "strategy": strategy, "dose": dose, "draw": draw, "kind": problem.kind, "problem": problem.id}
        | {"opened": token in openers[strategy], "correct": task.grade(problem, said[row, token]).strict}
        for (arm, strategy, dose, draw, _), chosen in zip(arms, first, strict=True)
        for row, (problem, token) in enumerate(zip(problems, chosen, strict=True))
    ]
    options = {"model": model, "hook": hook, "doses": list(doses), "n_random": n_random, "n": n, "seed": seed}
    name = "steered" if model == "base" else "steered_tuned"
    made_with = pair.made_with(task=task.digest, readings=digest_of(readings), options=options)
    return Measurement(name, "answered correctly", pd.DataFrame(rows), made_with)
