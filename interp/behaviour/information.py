"""How many bits on the answer does each step bring? On answer tokens alone, beside the published formula."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from interp.behaviour.chains import Chain, Scores, Tokens
from interp.measurement import Measurement, provenance

OWN, SHUFFLED, FOREIGN, RANDOM = "own", "shuffled", "foreign", "random"


def information(
    chains: Sequence[Chain],
    readers: Mapping[str, Scores],
    answers: Mapping[str, Tokens],
    *,
    vocabulary: Sequence[int] = (),
    seed: int = 0,
    **facts: Any,
) -> Measurement:
    """`information`: log2 p(right answer | x, s_<=i), in `bits`, after each of the i = 0..n steps, by every reader.

    A step's gain is IG_i = bits_i - bits_(i-1); all of a chain's gains sum to bits_n - bits_0. `answers` are the right
    answers' tokens by problem, which every chain is scored on. Chains: "own" as written; the nulls "shuffled" (its
    steps in another order; left out for one step), "foreign" (the steps of the same writer's chain on another problem,
    as many where there is one: these should bring nothing) and, with a `vocabulary`, "random" (as many random tokens).
    `perplexity` is that of the whole string, which the published formula takes. Readers: the model that wrote, and a
    fixed one for both. Columns: problem, writer, reader, chain, i, n_steps, tokens (so far), bits, perplexity.
    """
    if not chains:
        raise ValueError("there is no chain to score; no text parsed into a step before its answer")
    rng = np.random.default_rng(seed)
    kinds = [(chain, kind, steps) for chain in chains for kind, steps in _versions(chain, chains, vocabulary, rng)]
    keys = [(chain, kind, steps, i) for chain, kind, steps in kinds for i in range(len(steps) + 1)]
    texts = [chain.prompt + sum(steps[:i], ()) for chain, _, steps, i in keys]
    rows = []
    for reader, scores in readers.items():
        bits, perplexity = scores(texts, [answers[chain.problem] for chain, *_ in keys])
        for (chain, kind, steps, i), b, p in zip(keys, bits, perplexity, strict=True):
            rows.append(
                {
                    "problem": chain.problem,
                    "writer": chain.writer,
                    "reader": reader,
                    "chain": kind,
                    "i": i,
                    "n_steps": len(steps),
                    "tokens": sum(map(len, steps[:i])),
                    "bits": float(b),
                    "perplexity": float(p),
                }
            )
    made_with = provenance(seed=seed, chains=len(chains), **facts)
    return Measurement("information", "log2 p of the right answer after each step", pd.DataFrame(rows), made_with)


def telescoped(perplexity: Sequence[float]) -> float:
    """The released formula of arXiv 2506.02126: (PPL_0 - PPL_n) / (n + 1), PPL_i of the whole string up to step i.

    The sum of the steps' drops telescopes, so that what every step between brought drops out, and n stands in the
    denominator: a chain of twice as many steps that says the same scores half. And a perplexity averages over all
    tokens, so that easy words in the steps count as information. The released file reads other fields than the steps
    and cannot have made the published numbers as it is.
    """
    if len(perplexity) < 2:
        raise ValueError(f"the formula needs the perplexity before and after a step, got {len(perplexity)} of them")
    return (perplexity[0] - perplexity[-1]) / len(perplexity)


def _versions(
    chain: Chain, chains: Sequence[Chain], vocabulary: Sequence[int], rng: np.random.Generator
) -> list[tuple[str, tuple[Tokens, ...]]]:
    """The chain's steps, and those of its nulls."""
    found = [(OWN, chain.steps)]
    if len(chain.steps) > 1:
        order = rng.permutation(len(chain.steps))
        while (order == np.arange(len(order))).all():
            order = rng.permutation(len(order))
        found.append((SHUFFLED, tuple(chain.steps[i] for i in order)))
    others = [other for other in chains if other.problem != chain.problem and other.writer == chain.writer]
    same = [other for other in others if len(other.steps) == len(chain.steps)] or others
    if same:
        found.append((FOREIGN, same[int(rng.integers(len(same)))].steps))
    if len(vocabulary):
        drawn = [tuple(int(t) for t in rng.choice(list(vocabulary), len(step))) for step in chain.steps]
        found.append((RANDOM, tuple(drawn)))
    return found
