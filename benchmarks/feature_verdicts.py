"""What is said of every strategy of every organism, beside what was planted: the rates of false verdicts.

    python benchmarks/feature_verdicts.py --out benchmarks/results rl sft upper null noise newskill

Every cell is (organism, base seed, SAE seed, strategy). In all organisms base came with its strategies, so "new" is
false; in newskill the operation Z is a strategy of its own, which base never saw, so "pre-existing" is false there;
in null and noise nothing was tuned, so "amplified" is false.
"""

import argparse
import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from interp.claims.features_precede import Standing, standings
from interp.measurement import Measurement, provenance
from interp.organisms import shelf
from interp.organisms.world import NEW_OP
from interp.pair import Pair, load_pair
from interp.rollouts import readings, rollouts
from interp.sae.attacks import feature_attacks
from interp.sae.causes import feature_causes
from interp.sae.features import strategy_features
from interp.sae.matching import feature_news
from interp.sae.quality import sae_quality
from interp.sae.texts import repertoire
from interp.sae.train import train_sae
from interp.tasks.organism import organism_task
from interp.tasks.task import Label, Reading

PRACTICE, PER_PROBLEM, SAMPLES, N_PLACES = 200, 6, 60_000, 32
PLANTED = {"null": ("amplified", "new"), "noise": ("amplified", "new")}
FALSE = ("new", "token detector")
"""What may not be said of a strategy that base came with."""
FALSE_OF_NEW = ("pre-existing and causal", "amplified")


def main() -> None:
    """Run what was asked, saving after every organism."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("organisms", nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--base-seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--sae-seeds", type=int, nargs="+", default=[0])
    asked = parser.parse_args()
    rows: list[dict[str, object]] = []
    for base_seed in asked.base_seeds:
        for organism in asked.organisms:
            if organism not in shelf.names(base_seed):
                print(f"organism:{organism}@{base_seed} is not on the shelf, left out")
                continue
            rows += cells(organism, base_seed, asked.sae_seeds)
            told = Measurement("feature_verdicts", "one word per strategy", pd.DataFrame(rows), provenance())
            told.save(asked.out)
    table = pd.DataFrame(rows)
    print(table[["organism", "base_seed", "sae_seed", "strategy", "word", "carrier", "false"]].to_string())
    print(rates(table).to_string())


def rates(table: pd.DataFrame) -> pd.DataFrame:
    """False verdicts per kind of cell: strategies base had, and the one it did not."""
    return table.groupby("planted").agg(cells=("false", "size"), false=("false", "sum"), rate=("false", "mean"))


def cells(organism: str, base_seed: int, sae_seeds: Sequence[int]) -> list[dict[str, object]]:
    """Every strategy of one organism under every SAE seed."""
    pair = load_pair(f"organism:base@{base_seed}", f"organism:{organism}@{base_seed}")
    task = organism_task(organism, n=30, practice=PRACTICE)
    written = rollouts(pair, task.practice, max_new_tokens=task.max_new_tokens)
    texts = {
        "base": repertoire(pair, task, per_problem=PER_PROBLEM),
        "tuned": readings(pair, task, written, writer="tuned"),
    }
    rows = []
    for seed in sae_seeds:
        found = told_of_base(pair, texts, seed)
        if organism == "newskill":
            found += told_of_new(pair, texts["tuned"], seed)
        for one in found:
            new = one.strategy == NEW_OP
            false = one.word in (FALSE_OF_NEW if new else PLANTED.get(organism, FALSE))
            what = {"organism": organism, "base_seed": base_seed, "sae_seed": seed, "strategy": one.strategy}
            planted = "new" if new else "base had it"
            rows.append(what | {"planted": planted, "word": one.word, "carrier": one.carrier, "false": false})
            print(what, one.word, "|", one.because)
    return rows


def told_of_base(pair: Pair, texts: dict[str, list[Reading]], seed: int) -> list[Standing]:
    """The strategies that base came with, in base's own text."""
    every = [*texts["base"], *texts["tuned"]]
    sae = train_sae(pair, every, samples=SAMPLES, seed=seed)
    features = strategy_features(pair, sae, texts, seed=seed)
    return standings(
        features,
        sae_quality(pair, sae, every, max_tokens=4_000),
        feature_causes(pair, sae, texts["base"], features, n_places=N_PLACES, seed=seed),
        feature_attacks(pair, sae, texts["base"], features, seed=seed),
    )


def told_of_new(pair: Pair, written: Sequence[Reading], seed: int) -> list[Standing]:
    """The operation that base never saw, as a strategy: the digits behind it against all others, in tuned's text."""
    texts = {"tuned": [of_operation(pair, reading) for reading in written]}
    train = functools.partial(train_sae, pair, texts["tuned"], samples=SAMPLES)
    base, second, tuned = train(seed=seed), train(seed=seed + 100), train(model="tuned", seed=seed)
    features = strategy_features(pair, base, texts, seed=seed)
    changed = functools.partial(feature_causes, at="content", strategies=[NEW_OP], n_places=N_PLACES, seed=seed)
    ours = strategy_features(pair, tuned, texts, chosen_in="tuned", seed=seed)
    news = feature_news(ours, changed(pair, tuned, texts["tuned"], ours, chosen_in="tuned"), tuned, base, second)
    print(news.table.to_string())
    told = standings(
        features,
        sae_quality(pair, base, texts["tuned"], max_tokens=4_000),
        changed(pair, base, texts["tuned"], features),
        feature_attacks(pair, base, texts["tuned"], features, seed=seed),
        news,
    )
    return [one for one in told if one.strategy == NEW_OP]


def of_operation(pair: Pair, reading: Reading) -> Reading:
    """Stretches that carry out the new operation become a strategy of their own; plans name it and do not count."""
    words = pair.words(reading.tokens)
    mine = {
        label.stretch
        for word, label in zip(words, reading.labels, strict=True)
        if label.role == "operation" and word == NEW_OP and label.strategy != "plan"
    }
    return replace(reading, labels=tuple(_renamed(label, mine) for label in reading.labels))


def _renamed(label: Label, mine: set[int]) -> Label:
    return replace(label, strategy=NEW_OP) if label.stretch in mine and label.role != "end" else label


if __name__ == "__main__":
    main()
