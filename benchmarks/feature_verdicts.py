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
import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from feature_rates import CONFIRMATION, DEVELOPMENT, NOTHING_TUNED, block
from page import write_block
from planted_labels import dealt, of_operation

from interp.claims.feature_standings import PRECEDES, standings
from interp.claims.features_precede import features_precede_tuning
from interp.measurement import Measurement, remembered, source_digest
from interp.organisms import shelf
from interp.organisms.world import NEW_OP
from interp.pair import Pair, load_pair
from interp.rollouts import readings, rollouts
from interp.sae.attacks import feature_attacks
from interp.sae.causes import feature_causes
from interp.sae.directions import reinitialised
from interp.sae.features import strategy_features
from interp.sae.matching import feature_news
from interp.sae.quality import sae_quality
from interp.sae.steering import steered_answers
from interp.sae.texts import repertoire
from interp.sae.train import train_sae
from interp.sae.trained import TrainedSAE
from interp.sae.usage import strategy_usage
from interp.tasks.organism import organism_task
from interp.tasks.task import Reading

ORGANISMS = ("rl", "newskill", "null", "coin", "untrained", "upper", "sft", "noise", "lower")
PLANTED = ("coin", "untrained")
"""Cells of the rl pair with labels dealt out by a coin, and of one model of shuffled weights beside itself."""
SAME_TEXT = ("rl", "null", "upper", "sft", "noise", "lower")
"""Organisms asked the same problems, so that base's text, SAE and features are the same."""
SUPPORTED = ("rl", "sft", "upper")
"""Organisms of which the claim is true."""
PRACTICE, PER_PROBLEM, SAMPLES, D_SAE, N_PLACES, N_TEXTS = 160, 4, 40_000, 256, 48, 12
"""640 texts, SAEs of 256 features, 48 places of an edit: about a quick report."""
SECOND = 100  # added to an SAE's seed for its second seed


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


@dataclass(frozen=True)
class Cell:
    """One organism of one base seed, under one SAE seed, and where its measurements are kept."""

    organism: str
    base_seed: int
    sae_seed: int
    out: Path

    @property
    def shelved(self) -> str:
        """The tuned organism that it needs."""
        return {"coin": "rl", "untrained": "rl"}.get(self.organism, self.organism)

    @property
    def there(self) -> bool:
        return self.shelved in shelf.names(self.base_seed)

    @property
    def folder(self) -> Path:
        return self.out / f"base{self.base_seed}" / self.organism / f"sae{self.sae_seed}"

    @property
    def of_base(self) -> Path:
        """What base solves, and what raises base's features, does not hang on tuned."""
        read_in = ORGANISMS[0] if self.organism in SAME_TEXT else self.organism
        return self.out / f"base{self.base_seed}" / "of base" / read_in

    @property
    def done(self) -> bool:
        return (self.folder / "causes.json").exists() and (
            self.organism in PLANTED or (self.folder / "news.json").exists()
        )


def kept(cell: Cell) -> dict[str, Measurement]:
    """The measurements in the folder, whatever code made them."""
    of_base = cell.of_base
    paths = [*(cell.folder / f"{name}.json" for name in ("sae_quality", "features", "causes", "news"))]
    paths += [cell.folder.parent / "usage.json", of_base / "steered.json", of_base / f"sae{cell.sae_seed}/attacks.json"]
    there = {path.stem: Measurement.load(path) for path in paths if path.exists()}
    return {name: found for name, found in there.items() if name != "steered" or cell.organism not in PLANTED}


def measured(cell: Cell) -> dict[str, Measurement]:
    """All that a verdict is made of, from the folder where it is there."""
    pair = opened(cell.organism, cell.shelved, cell.base_seed)
    of_base: dict[str, object] = {"base": pair.base_checkpoint.digest, "code": source_digest(["sae"])}
    of_base |= {"read in": cell.of_base.name, "sizes": [PRACTICE, PER_PROBLEM, SAMPLES, D_SAE, N_PLACES, N_TEXTS]}
    of_pair = of_base | {"tuned": pair.tuned_checkpoint.digest, "cell": cell.organism}
    seeded = {"seed": cell.sae_seed}

    new, seed = cell.organism == "newskill", cell.sae_seed
    every = functools.cache(lambda: texts(cell.organism, cell.shelved, cell.base_seed))
    # Only Z is looked for in what tuned wrote: base never wrote it.
    looked = functools.cache(lambda: every()["tuned" if new else "base"])
    sae = functools.cache(lambda: trained(pair, tuple(looked()), "base", seed))
    above, own = cell.folder.parent, cell.folder
    shared, read_in = cell.of_base, cell.of_base.name
    found = {"usage": remembered(above, "usage", of_pair, lambda: strategy_usage(pair, every()["base"]))}
    if cell.organism not in PLANTED:
        found["steered"] = remembered(shared, "steered", of_base, lambda: answers(pair, read_in, every()["base"]))

    def quality() -> Measurement:
        return sae_quality(pair, sae(), looked(), max_tokens=3_000)

    def features() -> Measurement:
        return strategy_features(pair, sae(), {"base": looked()}, seed=seed)

    def attacks() -> Measurement:
        return feature_attacks(pair, sae(), looked(), found["features"], seed=seed)

    def causes() -> Measurement:
        return feature_causes(pair, sae(), looked(), found["features"], n_places=N_PLACES, seed=seed)

    def news() -> Measurement:
        tuned, second = (trained(pair, tuple(looked()), *of) for of in (("tuned", seed), ("base", seed + SECOND)))
        told = strategy_features(pair, tuned, {"tuned": looked()}, chosen_in="tuned", seed=seed)
        return feature_news(pair, looked(), told, tuned, sae(), second, n_texts=N_TEXTS * (4 if new else 1))

    found["sae_quality"] = remembered(own, "sae_quality", of_pair | seeded, quality)
    found["features"] = remembered(own, "features", of_pair | seeded, features)
    found["attacks"] = remembered(shared / f"sae{seed}", "attacks", of_base | seeded, attacks)
    found["causes"] = remembered(own, "causes", of_pair | seeded, causes)
    if cell.organism not in PLANTED:
        found["news"] = remembered(own, "news", of_pair | seeded, news)
    return found


def answers(pair: Pair, organism: str, read: Sequence[Reading]) -> Measurement:
    """What base solves of the organism's own problems when a strategy's direction is added once."""
    return steered_answers(pair, organism_task(organism, n=36, practice=1), read, doses=[2.0], n_random=20)


@functools.lru_cache(maxsize=1)
def opened(organism: str, shelved: str, base_seed: int) -> Pair:
    """The pair; of "untrained" one model of shuffled weights twice."""
    pair = load_pair(f"organism:base@{base_seed}", f"organism:{shelved}@{base_seed}")
    if organism != "untrained":
        return pair
    # A copy of a model holds weak references to parts of the model it was made from, which has to stay.
    _originals.append(pair.base)
    fresh = reinitialised(pair.base, seed=base_seed)
    return replace(pair, base=fresh, tuned=fresh)  # an SAE of untrained weights would not describe a trained tuned


@functools.lru_cache(maxsize=1)
def texts(organism: str, shelved: str, base_seed: int) -> dict[str, list[Reading]]:
    """What base writes when it may write anything, and what tuned writes, labelled as the cell needs it."""
    pair = load_pair(f"organism:base@{base_seed}", f"organism:{shelved}@{base_seed}")
    task = organism_task(shelved, n=3, practice=PRACTICE)
    base = repertoire(pair, task, per_problem=PER_PROBLEM)
    if organism == "coin":
        rng = np.random.default_rng(base_seed)
        base = [dealt(reading, rng) for reading in base]
    if organism != "newskill":
        return {"base": base}
    more = organism_task(shelved, n=3, practice=2 * PRACTICE)
    written = rollouts(pair, more.practice, max_new_tokens=task.max_new_tokens)
    tuned = readings(pair, more, written, writer="tuned")
    return {"base": base, "tuned": [of_operation(pair, reading) for reading in tuned]}


_originals: list[object] = []
_saes: dict[tuple[object, ...], TrainedSAE] = {}


def trained(pair: Pair, read: tuple[Reading, ...], model: str, seed: int) -> TrainedSAE:
    """An SAE, which is kept while the same texts are read: base's is one for all organisms of a base seed."""
    checkpoint = pair.base_checkpoint if model == "base" else pair.tuned_checkpoint
    key = (id(pair.base) if model == "base" else checkpoint.digest, hash(tuple(r.tokens for r in read)), seed)
    if key not in _saes:
        _saes.clear() if len(_saes) > 6 else None
        _saes[key] = train_sae(pair, read, model=model, samples=SAMPLES, d_sae=D_SAE, seed=seed)  # type: ignore[arg-type]
    return _saes[key]


def judged(cell: Cell, found: dict[str, Measurement]) -> tuple[list[dict[str, object]], dict[str, object]]:
    """A row per strategy, and the claim's verdict."""
    parts = {name: found[name] for name in ("features", "sae_quality", "causes", "attacks", "news") if name in found}
    what = {"organism": cell.organism, "base_seed": cell.base_seed, "sae_seed": cell.sae_seed}
    rows = []
    for one in standings(**parts):
        had = cell.organism not in PLANTED and one.strategy != NEW_OP
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
