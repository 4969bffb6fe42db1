"""What both models write to the practice problems, in units of a writer and some of the problems."""

from dataclasses import replace

from jaxtyping import Int
from torch import Tensor

from interp.backoff import backing_off
from interp.decoding import Choose, Turn, greedy, sample
from interp.rollouts import complete
from interp.units import opened
from interp.units.job import Job, shards_of
from interp.units.unit import Unit

BATCH = 256


def text_units(job: Job) -> list[Unit]:
    """Base's texts first, then tuned's, each in the order of the problems."""
    runs = shards_of(len(job.task.practice), job.shards)
    return [
        job.unit(
            "texts",
            f"{writer}, practice problems {start} to {stop}",
            code=__name__,
            flops=2.0 * job.parameters * (stop - start) * job.task.max_new_tokens,
            task=job.task.digest,
            **job.loaded,
            writer=writer,
            problems=[start, stop],
            seed=job.seed,
        )
        for writer in ("base", "tuned")
        for start, stop in runs
    ]


def texts(unit: Unit) -> list[list[int]]:
    """Prompt and response of the unit's problems, in tokens: base samples at temperature 1, tuned writes greedily."""
    pair, task, on = opened.pair(unit), opened.task(unit), unit.depends_on
    (start, stop), limit = on["problems"], task.max_new_tokens
    prompts = [pair.encode(problem.prompt) for problem in task.practice[start:stop]]
    drawn = sample("base", seed=on["seed"], n_prompts=len(task.practice), max_new_tokens=limit)
    choose = _from(start, drawn) if on["writer"] == "base" else greedy("tuned")
    done = backing_off(lambda size: complete(pair, prompts, choose, max_new_tokens=limit, batch_size=size), BATCH)[0]
    return [[*prompt, *text.tokens] for prompt, text in zip(prompts, done, strict=True)]


def _from(start: int, choose: Choose) -> Choose:
    """The same choice where the first prompt is number `start` of all: what is drawn hangs on the whole's numbering."""

    def shifted(turn: Turn) -> Int[Tensor, " batch"]:
        return choose(replace(turn, prompts=turn.prompts + start))

    return shifted
