"""The rates of false verdicts as a block of benchmarks/README.md, from the cells of feature_verdicts.py."""

from collections.abc import Collection, Sequence

import pandas as pd

from interp.claims.feature_standings import PRECEDES
from interp.intervals import wilson
from interp.organisms.world import NEW_OP

DEVELOPMENT, CONFIRMATION = (0, 1, 2, 3, 4), (5, 7)
"""Base seeds on which rules and thresholds were set, and those that had no part in that (base 6 failed its gate).

Seeds 1 and 2 confirmed first, and 42 of 88 cells were found; then 3 and 4, and 60 of 96 were. Each time they were
looked at afterwards to find out why, so that they count as development now.
"""
CHANCE = "left to chance"
ANSWER = "ans"
"""The opener of an answer, which base writes where a problem's steps are over, or at once: mostly a matter of how far
the text has come. Base had it, so it counts among the cells that base had, but "undecided" is often the right word, and
the cells are also counted without it."""
NOTHING_TUNED = ("lower", "null", "noise")
"""Organisms whose tuning left the choice of strategies alone."""


def block(
    table: pd.DataFrame,
    claims: pd.DataFrame,
    organisms: Sequence[str],
    base_seeds: Sequence[int],
    sae_seeds: Sequence[int],
    sizes: str,
) -> str:
    """The rates as Markdown: false verdicts by what was planted, on development and on the other seeds."""
    had = "base had it"
    kinds = {
        'false "pre-existing" (amplified included), base lacked it': (table.planted != had, PRECEDES),
        'false "new", base had it': (table.planted == had, ("new",)),
        'false "token detector", base had it': (table.planted == had, ("token detector",)),
        'false "amplified" or "repurposed", nothing was tuned': (
            (table.planted == had) & table.organism.isin(NOTHING_TUNED),
            ("amplified", "pre-existing but inert in base (repurposed)"),
        ),
        'found: "pre-existing", base had it': (table.planted == had, PRECEDES),
        'found: "pre-existing", base had it, without the answer': (
            (table.planted == had) & (table.strategy != ANSWER),
            PRECEDES,
        ),
        'found: "pre-existing", base had it, "left to chance" apart': (
            (table.planted == had) & (table.word != CHANCE),
            PRECEDES,
        ),
        '"left to chance", base had it': (table.planted == had, (CHANCE,)),
        'found: "pre-existing", the answer': ((table.planted == had) & (table.strategy == ANSWER), PRECEDES),
        'found: "new", operation Z': (table.strategy == NEW_OP, ("new",)),
        "SAE invalid": (table.planted == had, ("SAE invalid",)),
    }
    lines = [
        "## What is said of strategies (`python benchmarks/feature_verdicts.py --out FOLDER --write`)",
        "",
        f"Cells of organism, base seed, SAE seed and strategy; rules and thresholds were set on base seeds "
        f"{_of(DEVELOPMENT)}. {sizes}. Intervals are Wilson's over cells, which share their base "
        "seed's text and are not independent.",
        "",
        f"| said | {_of(DEVELOPMENT, 'development: base seeds ')} | {_of(CONFIRMATION, 'confirmation: base seeds ')} |",
        "|---|---|---|",
    ]
    for name, (cells, words) in kinds.items():
        told = [
            _rate(table[cells & table.base_seed.isin(part)].word.isin(words)) for part in (DEVELOPMENT, CONFIRMATION)
        ]
        lines.append(f"| {name} | {told[0]} | {told[1]} |")
    for truth, right in (("supported", "supported"), ("not supported", "supported")):
        said = "the claim of pairs of which it is " + ("true: supported" if truth == right else "not true: supported")
        told = [
            _rate(claims[(claims.truth == truth) & claims.base_seed.isin(part)].says == right)
            for part in (DEVELOPMENT, CONFIRMATION)
        ]
        lines.append(f"| {said} | {told[0]} | {told[1]} |")
    lines += ["", "| organism | " + " | ".join(_WORDS) + " |", "|---|" + "---|" * len(_WORDS)]
    for organism in [name for name in organisms if name in set(table.organism)]:
        words = table[table.organism == organism].word.value_counts()
        lines.append(f"| {organism} | " + " | ".join(str(words.get(word, 0)) for word in _WORDS) + " |")
    have = set(zip(claims.organism, claims.base_seed, claims.sae_seed, strict=True))
    lines += ["", _measured(have, len(organisms) * len(base_seeds) * len(sae_seeds))]
    return "\n".join(lines)


_WORDS = (
    "pre-existing and causal",
    "amplified",
    "pre-existing but inert in base (repurposed)",
    "new",
    "token detector",
    "left to chance",
    "undecided",
    "too few tokens",
    "SAE invalid",
)


def _rate(hits: pd.Series) -> str:
    k, n = int(hits.sum()), len(hits)
    if not n:
        return "no cell"
    low, high = wilson(k, n)
    return f"{k} of {n}: {k / n:.2f} ({low:.2f} to {high:.2f})"


def _of(seeds: Sequence[int], before: str = "") -> str:
    return before + (f"{', '.join(map(str, seeds[:-1]))} and {seeds[-1]}" if len(seeds) > 1 else str(seeds[0]))


def _measured(have: Collection[tuple[str, int, int]], asked: int) -> str:
    """Which of the cells asked for were measured, seeds of the same organisms together."""
    seeds: dict[tuple[int, int], list[str]] = {}
    for organism, base, sae in have:
        seeds.setdefault((sae, base), []).append(organism)
    alike: dict[tuple[int, str], list[int]] = {}
    for (sae, base), organisms in sorted(seeds.items()):
        alike.setdefault((sae, ", ".join(sorted(organisms))), []).append(base)
    told = [f"SAE seed {sae} of base seeds {_of(bases)}: {names}" for (sae, names), bases in alike.items()]
    return f"{len(have)} of {asked} of organism x base seed x SAE seed were measured. {'; '.join(told)}."
