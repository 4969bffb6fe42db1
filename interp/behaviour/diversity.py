"""How varied is what an arm writes to one problem, in form and in meaning, at equal numbers of valid answers?"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from interp.measurement import Measurement, provenance
from interp.written import Row, read_written, rows_by

Meaning = Callable[[Mapping[str, Any]], str]
"""A valid row to its meaning: two texts of one meaning are the same answer in different words."""


def diversity(
    written: Measurement,
    *,
    meaning: Meaning = lambda row: str(row["answer"]),
    valid: Callable[[Mapping[str, Any]], bool] = lambda row: bool(row["strict"]),
) -> Measurement:
    """`diversity`: a row per problem and arm, of N samples V valid:

    - `form`: distinct bigrams / bigrams of all samples (distinct-2); `form_valid` of the valid ones alone
    - `meanings`: distinct meanings of valid samples / N (`Div_fixed`); falls where fewer are valid
    - `pairs`: share of the pairs of samples that are both valid and differ in meaning (`Div_pair`)
    - `matched`: distinct meanings expected among m valid samples, m = the fewest valid in any arm for this problem, by
      rarefaction: sum over meanings of 1 - C(V - v, m) / C(V, m). NaN where m < 2. This is the quality-matched number:
      it does not grow because more samples are valid. `m` is its column.

    Formulas of Shypula et al. (arXiv 2504.12522), where meaning is a program's behaviour. An arm sampled at a matched
    temperature is an arm like the others. ValueError below two samples.
    """
    table = read_written(written, "text", "kind", samples=2)
    rows = []
    grouped: dict[str, dict[str, list[Row]]] = {}
    for (problem, arm), of in rows_by(table, "problem", "arm").items():
        grouped.setdefault(problem, {})[arm] = of
    for problem, arms in grouped.items():
        meant = {arm: [meaning(row) for row in texts if valid(row)] for arm, texts in arms.items()}
        fewest = min(map(len, meant.values()))
        rows += [
            {
                "problem": problem,
                "kind": texts[0]["kind"],
                "arm": arm,
                "n": len(texts),
                "valid": len(meant[arm]),
                "form": distinct_bigrams([row["text"] for row in texts]),
                "form_valid": distinct_bigrams([row["text"] for row in texts if valid(row)]),
                "meanings": len(set(meant[arm])) / len(texts),
                "pairs": differing_pairs(meant[arm], len(texts)),
                "m": fewest,
                "matched": rarefied(meant[arm], fewest) if fewest > 1 else math.nan,
            }
            for arm, texts in arms.items()
        ]
    made_with = provenance(rollouts=dict(written.made_with))
    return Measurement("diversity", "diversity of form and meaning per problem", pd.DataFrame(rows), made_with)


def distinct_bigrams(texts: Sequence[str]) -> float:
    """Different pairs of neighbouring words / all pairs (distinct-2); NaN where no text has two words."""
    pairs = [pair for text in texts for pair in zip(text.split(), text.split()[1:], strict=False)]
    return len(set(pairs)) / len(pairs) if pairs else math.nan


def differing_pairs(meanings: Sequence[str], n: int) -> float:
    """Of the pairs of `n` samples, the share in which both are valid and their meanings differ."""
    total = len(meanings)
    same = sum(math.comb(count, 2) for count in Counter(meanings).values())
    return (math.comb(total, 2) - same) / math.comb(n, 2)


def rarefied(meanings: Sequence[str], m: int) -> float:
    """Distinct meanings expected in `m` of these, drawn without replacement (Hurlbert 1971)."""
    total = len(meanings)
    if not 1 <= m <= total:
        raise ValueError(f"{m} meanings cannot be drawn out of {total}")
    return sum(1 - math.comb(total - count, m) / math.comb(total, m) for count in Counter(meanings).values())
