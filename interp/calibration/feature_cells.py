"""What verdicts about features read: measured on one organism of one base seed under one SAE seed, and kept on disk.

A cell takes a minute or more. Cells of one base seed share what hangs on base alone, and cells of one organism that
differ by the number of vectors an SAE is fitted on share the texts and whatever no SAE enters.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from interp.calibration.labels import dealt, of_operation
from interp.measurement import Measurement, remembered, source_digest
from interp.organisms import shelf
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
LABELLED = ("coin", "untrained")
"""Cells of the rl pair with labels dealt out by a coin, and of one model of shuffled weights beside itself."""
SAME_TEXT = ("rl", "null", "upper", "sft", "noise", "lower")
"""Organisms asked the same problems, so that base's text, SAE and features are the same."""
PRACTICE, PER_PROBLEM, SAMPLES, D_SAE, N_PLACES, N_TEXTS = 380, 4, 40_000, 256, 48, 12
"""1,520 texts, in which base opens 100 held-out times with the strategy that it uses least; SAEs of 256 features, 48
places of an edit."""
SECOND = 100  # added to an SAE's seed for its second seed
PARTS = ("sae_quality", "features", "causes", "news")


@dataclass(frozen=True)
class Cell:
    """One organism of one base seed, under one SAE seed, and where its measurements are kept.

    `samples` is the number of vectors that each of its SAEs is fitted on.
    """

    organism: str
    base_seed: int
    sae_seed: int
    out: Path
    samples: int = SAMPLES

    @property
    def shelved(self) -> str:
        """The tuned organism that it needs."""
        return {"coin": "rl", "untrained": "rl"}.get(self.organism, self.organism)

    @property
    def there(self) -> bool:
        """Whether that is on the shelf."""
        return self.shelved in shelf.names(self.base_seed)

    @property
    def sae(self) -> str:
        """What the folders of this SAE are called."""
        return f"sae{self.sae_seed}" + (f" of {self.samples}" if self.samples != SAMPLES else "")

    @property
    def folder(self) -> Path:
        """Where its own measurements are kept."""
        return self.out / f"base{self.base_seed}" / self.organism / self.sae

    @property
    def of_base(self) -> Path:
        """What base solves, and what raises base's features, does not hang on tuned."""
        read_in = ORGANISMS[0] if self.organism in SAME_TEXT else self.organism
        return self.out / f"base{self.base_seed}" / "of base" / read_in

    @property
    def done(self) -> bool:
        """Whether everything that a verdict needs has been measured."""
        last = self.folder / ("causes.json" if self.organism in LABELLED else "news.json")
        return (self.folder / "causes.json").exists() and last.exists()


def kept(cell: Cell) -> dict[str, Measurement]:
    """The measurements in the folder, whatever code made them."""
    paths = [*(cell.folder / f"{name}.json" for name in PARTS), cell.folder.parent / "usage.json"]
    paths += [cell.of_base / "steered.json", cell.of_base / cell.sae / "attacks.json"]
    there = {path.stem: Measurement.load(path) for path in paths if path.exists()}
    return {name: found for name, found in there.items() if name != "steered" or cell.organism not in LABELLED}


def measured(cell: Cell) -> dict[str, Measurement]:
    """All that a verdict is made of, from the folder where it is there."""
    pair, n = opened(cell.organism, cell.shelved, cell.base_seed), cell.samples
    of_base: dict[str, object] = {"base": pair.base_checkpoint.digest, "code": source_digest(["sae"])}
    of_base |= {"read in": cell.of_base.name, "sizes": [PRACTICE, PER_PROBLEM, SAMPLES, D_SAE, N_PLACES, N_TEXTS]}
    of_pair = of_base | {"tuned": pair.tuned_checkpoint.digest, "cell": cell.organism}
    seeded: dict[str, object] = {"seed": cell.sae_seed, **({"samples": n} if n != SAMPLES else {})}

    new, seed = cell.organism == "newskill", cell.sae_seed
    every = functools.cache(lambda: texts(cell.organism, cell.shelved, cell.base_seed))
    # Only Z is looked for in what tuned wrote: base never wrote it.
    looked = functools.cache(lambda: every()["tuned" if new else "base"])
    sae = functools.cache(lambda: trained(pair, tuple(looked()), "base", seed, n))
    above, own = cell.folder.parent, cell.folder
    shared, read_in = cell.of_base, cell.of_base.name
    found = {"usage": remembered(above, "usage", of_pair, lambda: strategy_usage(pair, every()["base"]))}
    if cell.organism not in LABELLED:
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
        tuned, second = (trained(pair, tuple(looked()), *of, n) for of in (("tuned", seed), ("base", seed + SECOND)))
        told = strategy_features(pair, tuned, {"tuned": looked()}, chosen_in="tuned", seed=seed)
        return feature_news(pair, looked(), told, tuned, sae(), second, n_texts=N_TEXTS * (4 if new else 1))

    found["sae_quality"] = remembered(own, "sae_quality", of_pair | seeded, quality)
    found["features"] = remembered(own, "features", of_pair | seeded, features)
    found["attacks"] = remembered(shared / cell.sae, "attacks", of_base | seeded, attacks)
    found["causes"] = remembered(own, "causes", of_pair | seeded, causes)
    if cell.organism not in LABELLED:
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


def trained(pair: Pair, read: tuple[Reading, ...], model: str, seed: int, samples: int = SAMPLES) -> TrainedSAE:
    """An SAE, which is kept while the same texts are read: base's is one for all organisms of a base seed."""
    checkpoint = pair.base_checkpoint if model == "base" else pair.tuned_checkpoint
    key = (id(pair.base) if model == "base" else checkpoint.digest, hash(tuple(r.tokens for r in read)), seed, samples)
    if key not in _saes:
        _saes.clear() if len(_saes) > 6 else None
        _saes[key] = train_sae(pair, read, model=model, samples=samples, d_sae=D_SAE, seed=seed)  # type: ignore[arg-type]
    return _saes[key]
