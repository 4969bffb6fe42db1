"""At which temperature is one model as uncertain as the other? So that a colder model is not called less diverse."""

from collections.abc import Sequence

import pandas as pd
import torch

from interp.behaviour.choosing import edited
from interp.decoding import Turn, sample
from interp.measurement import Measurement
from interp.pair import Pair
from interp.rollouts import complete
from interp.tasks.task import Task

TEMPERATURES = (0.7, 0.85, 1.0, 1.2, 1.4, 1.7, 2.0, 2.5, 3.0)
"""Tried in turn; the one whose entropy is nearest counts, so that a match is as good as the next one is near."""
HOT = (4.0, 6.0, 8.0)
"""Beyond them, for tuned models that hardly vary: at 8 next tokens of a small vocabulary are all but equally likely."""
MATCHED = "tuned, matched"
"""The arm of tuned at base's entropy."""


def entropies(
    pair: Pair, task: Task, *, temperatures: Sequence[float] = TEMPERATURES, seed: int = 0, batch_size: int = 256
) -> Measurement:
    """`entropies`: mean entropy of the next token, in nats, along texts that each model samples at each temperature.

    Base at 1, tuned at each of `temperatures`; columns model, temperature, entropy, tokens. The entropy is that of the
    tempered distribution which the text was drawn from. `nearest` reads the match out of it.
    """
    rows = []
    for model, temperature in [("base", 1.0), *(("tuned", t) for t in temperatures)]:
        total, tokens = _entropy(pair, task, model, temperature, seed, batch_size)
        rows.append({"model": model, "temperature": temperature, "entropy": total / tokens, "tokens": tokens})
    made_with = pair.made_with(task=task.name, asked=task.digest, seed=seed)
    return Measurement("entropies", "nats per token", pd.DataFrame(rows), made_with)


def nearest(measured: Measurement) -> float:
    """The temperature of tuned whose entropy is nearest to base's; ValueError where all of them are colder than base.

    An end of the grid is no match: at the hottest one tuned may still be colder.
    """
    table = measured.table
    base = float(table.loc[table["model"] == "base", "entropy"].iloc[0])
    tuned = table[table["model"] == "tuned"].sort_values("temperature")
    if tuned["entropy"].max() < base:
        raise ValueError(
            f"tuned has at most {tuned['entropy'].max():.3f} nats a token, base {base:.3f}; give higher temperatures"
        )
    return float(tuned.loc[(tuned["entropy"] - base).abs().idxmin(), "temperature"])


def _entropy(pair: Pair, task: Task, model: str, temperature: float, seed: int, batch_size: int) -> tuple[float, int]:
    """The sum of the entropies of all tokens drawn, and their number."""
    prompts = [pair.encode(problem.prompt) for problem in task.problems]
    total, tokens = 0.0, 0

    def watched(turn: Turn, logits: torch.Tensor) -> torch.Tensor:
        nonlocal total, tokens
        told = torch.log_softmax(logits.double() / temperature, -1)
        total -= float((told.exp() * told).sum())
        tokens += len(told)
        return logits

    drawn = sample(
        model, seed=seed, n_prompts=len(prompts), max_new_tokens=task.max_new_tokens, temperature=temperature
    )
    choose = edited(drawn, model, watched)
    complete(pair, prompts, choose, max_new_tokens=task.max_new_tokens, batch_size=batch_size)
    return total, tokens
