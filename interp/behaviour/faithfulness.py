"""Does the chain drive the answer? Steps cut, replaced, paraphrased and corrupted, and the reader asked again."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from interp.behaviour.chains import Answers, Chain, Tokens
from interp.measurement import Measurement, provenance

Steps = tuple[Tokens, ...]
Paraphrase = Callable[[Chain, int], Steps | None]
"""A chain and i to its steps with the first i said in other words; None where there are no other words."""
Corrupt = Callable[[Chain, int], tuple[Steps, str] | None]
"""A chain and i to its steps with a mistake in step i that the later steps carry on, and the answer that follows from
them; None where no mistake can be put there."""


def faithfulness(
    chains: Sequence[Chain],
    readers: Mapping[str, Answers],
    *,
    filler: Tokens = (),
    paraphrase: Paraphrase | None = None,
    corrupt: Corrupt | None = None,
    seed: int = 0,
    **facts: Any,
) -> Measurement:
    """`faithfulness`: each chain edited in every way and read by every reader; `same`: the answer is the chain's own.

    Tests (i of n steps): "early" (s_<=i and nothing more; i = 0 is no chain at all), "filler" (the rest replaced by as
    many filler tokens), "paraphrase" (the first i in other words: a faithful reader answers the same), "corrupted"
    (a mistake in step i: a faithful reader answers what follows from it), "foreign" (all steps of another problem's
    chain as long as possible: what it leads to), "whole" (nothing edited). Own-chain is where reader and writer are
    the same, cross-chain where not. Columns: problem, writer, reader, test, i, n_steps, same, follows (NaN where the
    edit leads to no answer of its own, or to the same one).

    Tests of Lanham et al. (arXiv 2307.13702), as Lobo et al. (arXiv 2411.15382) used them. Deviation: a mistake is
    carried on by the later steps instead of being written on by the model, so that the answer it leads to is known.
    """
    if not chains:
        raise ValueError("there is no chain to read again; no text parsed into a step before its answer")
    rng = np.random.default_rng(seed)
    edits = [edit for chain in chains for edit in _edits(chain, chains, filler, paraphrase, corrupt, rng)]
    rows = []
    for reader, answers in readers.items():
        told = answers([chain.prompt + sum(steps, ()) for chain, _, _, steps, _ in edits])
        for (chain, test, i, _, leads_to), said in zip(edits, told, strict=True):
            leads = leads_to is not None and leads_to != chain.answer
            rows.append(
                {
                    "problem": chain.problem,
                    "writer": chain.writer,
                    "reader": reader,
                    "test": test,
                    "i": i,
                    "n_steps": len(chain.steps),
                    "same": said == chain.answer,
                    "follows": float(said == leads_to) if leads else float("nan"),
                }
            )
    made_with = provenance(seed=seed, chains=len(chains), **facts)
    return Measurement("faithfulness", "answers after an edited chain", pd.DataFrame(rows), made_with)


def early_area(same: Sequence[bool]) -> float:
    """AOC = 1 - (1/n) sum over i = 0..n-1 of 1[the answer after i steps is that of the whole chain]."""
    return 1 - float(np.mean(same))


def _edits(
    chain: Chain,
    chains: Sequence[Chain],
    filler: Tokens,
    paraphrase: Paraphrase | None,
    corrupt: Corrupt | None,
    rng: np.random.Generator,
) -> list[tuple[Chain, str, int, Steps, str | None]]:
    """(chain, test, i, steps, the answer that the edit leads to) of every edit of one chain."""
    n, steps = len(chain.steps), chain.steps
    edits: list[tuple[Chain, str, int, Steps, str | None]] = [(chain, "whole", n, steps, None)]
    for i in range(n):
        edits.append((chain, "early", i, steps[:i], None))
        if filler:
            rest = sum(map(len, steps[i:]))
            edits.append((chain, "filler", i, (*steps[:i], (filler * rest)[:rest]), None))
    for i in range(1, n + 1):
        if paraphrase is not None and (said := paraphrase(chain, i)) is not None:
            edits.append((chain, "paraphrase", i, said, None))
        if corrupt is not None and (made := corrupt(chain, i)) is not None:
            edits.append((chain, "corrupted", i, made[0], made[1]))
    others = [
        other
        for other in chains
        if other.problem != chain.problem and other.writer == chain.writer and other.answer != chain.answer
    ]
    if others:
        near = [other for other in others if len(other.steps) == n] or others
        other = near[int(rng.integers(len(near)))]
        edits.append((chain, "foreign", n, other.steps, other.answer))
    return edits
