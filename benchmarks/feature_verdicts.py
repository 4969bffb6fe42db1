"""What is said of every strategy of every organism, beside what was planted: the rates of false verdicts.

    python benchmarks/feature_verdicts.py --out measured --write    # measures what is missing, writes the block

A cell is one strategy of one organism under one base seed and one SAE seed. Thresholds were set on the base seeds of
`DEVELOPMENT`; the others only confirm. Every measurement is kept in `--out`, so that a run that was interrupted
goes on where it stopped, and a changed rule is judged without measuring again. Two kinds of cell have a known
answer:

- "base had it": a strategy that base came with, in any organism. "new" and "token detector" are false; in null, noise
  and lower, which changed no strategy, "amplified" and "repurposed" are false too.
- "base lacked it": newskill's operation Z, as a strategy of its own; the four strategies where base is a model of
  shuffled weights; and two strategies dealt out by a coin. "Pre-existing" (amplified included) is false.
"""

import argparse
import time
from pathlib import Path

import pandas as pd
from feature_rates import CONFIRMATION, DEVELOPMENT, NOTHING_TUNED, block
from page import write_block

from interp.calibration.feature_cells import (
    D_SAE,
    LABELLED,
    N_PLACES,
    ORGANISMS,
    PER_PROBLEM,
    PRACTICE,
    SAMPLES,
    Cell,
    kept,
    measured,
)
from interp.claims.feature_standings import PRECEDES, standings
from interp.claims.features_precede import features_precede_tuning
from interp.measurement import Measurement
from interp.organisms.world import NEW_OP

SUPPORTED = ("rl", "sft", "upper")
"""Organisms of which the claim is true."""


def main() -> None:
    """Measure the cells that are missing, print the table and write the block."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--organisms", nargs="+", default=ORGANISMS)
    parser.add_argument("--base-seeds", type=int, nargs="+", default=[*DEVELOPMENT, *CONFIRMATION])
    parser.add_argument("--sae-seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--judge-only", action="store_true", help="judge what is there, measure nothing")
    parser.add_argument("--write", action="store_true", help="write the block of benchmarks/README.md")
    asked = parser.parse_args()
    rows, verdicts = [], []
    for sae_seed in asked.sae_seeds:
        for base_seed in asked.base_seeds:
            for organism in asked.organisms:
                cell = Cell(organism, base_seed, sae_seed, asked.out)
                if not cell.there or (asked.judge_only and not cell.done):
                    continue
                started = time.perf_counter()
                found = kept(cell) if asked.judge_only else measured(cell)
                told, verdict = judged(cell, found)
                rows += told
                verdicts.append(verdict)
                print(
                    organism, base_seed, sae_seed, f"{time.perf_counter() - started:.0f} s", verdict["says"], flush=True
                )
    table, claims = pd.DataFrame(rows), pd.DataFrame(verdicts)
    sizes = f"{PRACTICE * PER_PROBLEM} texts, SAEs of {D_SAE} features, {SAMPLES:,} vectors, {N_PLACES} places an edit"
    text = block(table, claims, list(asked.organisms), asked.base_seeds, asked.sae_seeds, sizes)
    print(table.drop(columns="because").to_string(), text, sep="\n")
    if asked.write:
        write_block("feature verdicts", "feature_verdicts.py", text)


def judged(cell: Cell, found: dict[str, Measurement]) -> tuple[list[dict[str, object]], dict[str, object]]:
    """A row per strategy, and the claim's verdict."""
    parts = {name: found[name] for name in ("features", "sae_quality", "causes", "attacks", "news") if name in found}
    what = {"organism": cell.organism, "base_seed": cell.base_seed, "sae_seed": cell.sae_seed}
    rows = []
    for one in standings(**parts):
        had = cell.organism not in LABELLED and one.strategy != NEW_OP
        wrong = ("new", "token detector") if had else PRECEDES
        if had and cell.organism in NOTHING_TUNED:
            wrong = (*wrong, "amplified", "pre-existing but inert in base (repurposed)")
        planted = "base had it" if had else "base lacked it"
        row = {"strategy": one.strategy, "planted": planted, "word": one.word, "carrier": one.carrier}
        rows.append(what | row | {"false": one.word in wrong, "because": one.because})
    verdict = features_precede_tuning(**parts, usage=found["usage"], steered=found.get("steered"))
    truth = "supported" if cell.organism in SUPPORTED else "not supported"
    return rows, what | {"truth": truth, "says": verdict.says, "because": verdict.because}


if __name__ == "__main__":
    main()
