"""Everything this room measures of one pair and task, in the order of its page: the SAE, features, attacks, causes."""

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal

from interp.keeping import Keep
from interp.measurement import Measurement
from interp.pair import Pair
from interp.sae.attacks import feature_attacks
from interp.sae.causes import feature_causes
from interp.sae.clusters import strategy_clusters
from interp.sae.contexts import feature_contexts
from interp.sae.crosscoder import crosscoder
from interp.sae.directions import reinitialised
from interp.sae.features import strategy_features
from interp.sae.fitted import fitted_vectors
from interp.sae.matching import feature_news
from interp.sae.quality import sae_quality, sae_quality_by_layer
from interp.sae.steering import steered_answers
from interp.sae.texts import repertoire
from interp.sae.train import train_sae, train_saes
from interp.sae.trained import TrainedSAE
from interp.sae.usage import strategy_usage
from interp.tasks.task import Reading, Task
from interp.tasks.text import readings as worked_readings

Written = Callable[..., list[Reading]]
"""What both models wrote to the practice problems, or the one of them that is named."""
Trained = Callable[[Literal["base", "tuned"], int], TrainedSAE]
"""The SAE of a model under a seed, trained when it is first asked for."""

SAMPLES = {"full": 100_000, "quick": 50_000}
"""Activations that an SAE is trained on."""
PER_PROBLEM = {"full": 3, "quick": 6}
"""Responses of base to each practice problem in which strategies are looked for."""
N_PLACES = {"full": 64, "quick": 40}
"""Places at which a feature is changed, per strategy."""
STEERED = 90
"""Problems that a model is asked while a direction is added."""
LAYERS, LAYER_SAMPLES = 6, 20_000
"""Layers with an SAE of their own, spread over all, and the activations it is trained on: only its quality is told."""
LATENT_SAMPLES = 35_000
"""Pairs of activations that a crosscoder of both models is trained on; its null is trained on as many."""

_log = logging.getLogger("interp")


def strategies(
    pair: Pair, task: Task, written: Written, keep: Keep, *, quick: bool = False, seed: int = 0
) -> list[Measurement]:
    """What tells strategies apart in base, whether it reads more than words, whether the models use it.

    What needs answers (`steered`) needs a parser; that, `usage` and `fitted` need texts in which strategies open.
    """
    size = "quick" if quick else "full"
    texts = _texts(pair, task, written, PER_PROBLEM[size], seed)
    trained = _trainer(pair, written, texts, SAMPLES[size])
    first = "base" if task.label else "task"
    n_places = N_PLACES[size]

    def sae() -> TrainedSAE:
        return trained("base", seed)

    def read() -> list[Reading]:
        return texts()[first]

    def found() -> Measurement:
        fresh = train_sae(pair, written(), shuffled=seed, samples=SAMPLES[size], seed=seed)
        others: dict[str, tuple[Any, TrainedSAE]] = {"untrained model": (reinitialised(pair.base, seed=seed), fresh)}
        if not quick:
            others["second seed"] = (None, trained("base", seed + 1))
        return strategy_features(pair, sae(), texts(), others=others, seed=seed)

    def attacked() -> Measurement:
        return feature_attacks(pair, sae(), read(), features, paraphrase=task.paraphrase, seed=seed)

    def caused() -> Measurement:
        prompts = [pair.encode(fact.prompt) for fact in task.facts[:n_places]]
        unrelated = [ids for ids in prompts if len(ids) > 1] or None  # an edit is made behind a first token
        return feature_causes(pair, sae(), read(), features, n_places=n_places, unrelated=unrelated, seed=seed)

    def steering(model: Literal["base", "tuned"]) -> Measurement:
        return steered_answers(pair, task, read(), model=model, n=STEERED, seed=seed)

    quality = keep("sae_quality", lambda: sae_quality(pair, sae(), written(), max_tokens=4_000, seed=seed))
    features = keep("features", found)
    measured = [quality, features, keep("contexts", lambda: feature_contexts(pair, sae(), read(), features))]
    measured += [keep("attacks", attacked), keep("causes", caused)]
    if "onset" in set(features.table["at"]):
        measured.append(keep("usage", lambda: strategy_usage(pair, read())))
        if task.label:
            measured.append(keep("steered", lambda: steering("base")))
    if quick:
        return measured
    if "onset" in set(features.table["at"]):
        if task.label:
            measured.append(keep("steered_tuned", lambda: steering("tuned")))
        measured.append(keep("fitted", lambda: fitted_vectors(pair, read(), hook=sae().hook, seed=seed)))
    return [
        *measured,
        keep("news", lambda: _news(pair, first, read(), trained, seed)),
        keep("sae_quality_by_layer", lambda: _by_layer(pair, written(), seed)),
        keep("crosscoder", lambda: crosscoder(pair, written(), samples=LATENT_SAMPLES, seed=seed)),
        *_where_there_are(lambda: keep("clusters", lambda: strategy_clusters(pair, task, read()[::2], seed=seed))),
    ]


def _texts(
    pair: Pair, task: Task, written: Written, per_problem: int, seed: int
) -> Callable[[], dict[str, list[Reading]]]:
    """The labelled texts by who wrote them, first those in which features are sought; written when first asked for."""

    @functools.cache
    def texts() -> dict[str, list[Reading]]:
        if not task.label:
            return {"task": worked_readings(task, pair.tokenizer)}
        return {"base": repertoire(pair, task, per_problem=per_problem, seed=seed), "tuned": written("tuned")}

    return texts


def _trainer(pair: Pair, written: Written, texts: Callable[[], dict[str, list[Reading]]], samples: int) -> Trained:
    """An SAE of either model reading all of it."""

    @functools.cache
    def trained(model: Literal["base", "tuned"], seed: int) -> TrainedSAE:
        read = [*written(), *(reading for name in texts() if name != "tuned" for reading in texts()[name])]
        return train_sae(pair, read, model=model, samples=samples, seed=seed)

    return trained


def _news(pair: Pair, name: str, read: Sequence[Reading], trained: Trained, seed: int) -> Measurement:
    """Whether what tells a strategy in tuned is in base too."""
    tuned = trained("tuned", seed)
    told = strategy_features(pair, tuned, {name: list(read)}, chosen_in="tuned", seed=seed)
    return feature_news(pair, read, told, tuned, trained("base", seed), trained("base", seed + 1))


def _by_layer(pair: Pair, read: Sequence[Reading], seed: int) -> Measurement:
    """An SAE of base at up to `LAYERS` layers, the first and the last among them, read in both models."""
    last, n = pair.n_layers - 1, min(LAYERS, pair.n_layers)
    layers = sorted({round(number * last / max(1, n - 1)) for number in range(n)})
    hooks = [f"blocks.{layer}.hook_out" for layer in layers]
    saes = train_saes(pair, read, hooks=hooks, samples=LAYER_SAMPLES, seed=seed)
    return sae_quality_by_layer(pair, list(saes.values()), read, seed=seed)


def _where_there_are(measure: Callable[[], Measurement]) -> list[Measurement]:
    """The measurement of steps that not every text has enough of; told where it is left out."""
    try:
        return [measure()]
    except ValueError as error:
        _log.warning("left out: %s", error)
        return []
