"""Is a long problem lost in executing its steps or in choosing them? One step at a time, and with a tool."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from interp.behaviour.chains import Chain
from interp.decoding import greedy
from interp.measurement import Measurement, provenance
from interp.pair import Pair
from interp.rollouts import complete
from interp.written import read_written

TOOLS = ("none", "tool", "random tool")


def execution(runs: Mapping[str, Measurement], sizes: Mapping[str, int]) -> Measurement:
    """`execution`: accuracy per problem, arm and tool ("none", "tool", "random tool"), with the problem's `size`.

    `runs` are the rollouts under each tool on the same problems, `sizes` the steps that the oracle needs for each.
    Columns: problem, arm, size, tool, correct (mean over samples). ValueError for a tool of another name or a problem
    without a size.
    """
    if unknown := set(runs) - set(TOOLS):
        raise ValueError(f"{min(unknown)!r} is no kind of run; they are {', '.join(TOOLS)}")
    rows = []
    for tool, written in runs.items():
        table = read_written(written, "strict")
        if lost := sorted(set(table["problem"]) - sizes.keys()):
            raise ValueError(f"problem {lost[0]!r} has no size; give the steps that each problem needs")
        means = table.assign(correct=table["strict"].astype(float)).groupby(["problem", "arm"], as_index=False)
        rows.append(means["correct"].mean().assign(tool=tool))
    joined = pd.concat(rows, ignore_index=True)
    joined["size"] = joined["problem"].map(sizes)
    made_with = provenance(rollouts={tool: dict(written.made_with) for tool, written in runs.items()})
    return Measurement("execution", "accuracy by size and tool", joined, made_with)


def one_steps(pair: Pair, true: Sequence[Chain], *, batch_size: int = 256) -> Measurement:
    """`one_steps`: after each true prefix, does a model write exactly the next true step, greedily?

    `true` are oracle's chains; 1 - `correct` is the error eps per step, which under independence predicts an accuracy
    of (1 - eps)^N on N steps. Columns: problem, arm, size (steps of the chain), i (step asked for), correct.
    """
    asked = [(chain, i) for chain in true for i in range(len(chain.steps))]
    longest = max(len(step) for chain in true for step in chain.steps)
    rows = []
    for arm in pair.models:
        texts = [chain.after(i) for chain, i in asked]
        done = complete(pair, texts, greedy(arm), max_new_tokens=longest, batch_size=batch_size)
        for (chain, i), one in zip(asked, done, strict=True):
            step = chain.steps[i]
            said = tuple(one.tokens[: len(step)])
            row = {"problem": chain.problem, "arm": arm, "size": len(chain.steps), "i": i, "correct": said == step}
            rows.append(row)
    return Measurement("one_steps", "next step right after a true prefix", pd.DataFrame(rows), pair.made_with())


def independent(errors: Mapping[int, float]) -> dict[int, float]:
    """(1 - eps_N)^N for each size N: the accuracy that independent errors of one step would give."""
    return {size: float(np.power(1 - error, size)) for size, error in errors.items()}
