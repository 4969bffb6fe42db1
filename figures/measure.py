"""How every table below `data/` is measured again: `TABLES[name](n)` on the first `n` problems, or on all for None.

Everything heavy is imported when a table is asked for.
"""

from functools import cache, partial

PROBLEMS = 600
PRACTICE = 600
CLAIMED = 300
SWEPT = 180
"""Problems of a sweep that asks hundreds of hybrids."""


@cache
def _pair(tuned):
    from interp.organisms import shelf
    from interp.workbench import open_pair

    return open_pair(f"organism:{shelf.card(tuned, 0)['parent']}", f"organism:{tuned}")


def _task(tuned, n):
    from interp.tasks.organism import organism_task

    return organism_task(tuned, n=n or PROBLEMS, practice=PRACTICE)


@cache
def _texts(tuned, n):
    from interp.layers.room import evenly
    from interp.rollouts import readings, rollouts

    pair, task = _pair(tuned), _task(tuned, n)
    return evenly(readings(pair, task, rollouts(pair, task.practice, max_new_tokens=task.max_new_tokens, seed=0)))


def _activations(name, tuned, n):
    from interp.layers.activations import activation_change
    from interp.layers.rivals import activation_nulls

    if name == "activations":
        return activation_change(_pair(tuned), _texts(tuned, n), draws=99)
    return activation_nulls(_pair(tuned), _texts(tuned, n))


def _planted(n):
    from interp.layers.nulls import planted
    from interp.layers.parts import activation_parts
    from interp.workbench import open_pair

    pair = open_pair("organism:base", "organism:base")
    with planted(pair.tuned, 0, size=0.1):
        return activation_parts(pair, _texts("rl", n), draws=2)


@cache
def _store(tuned):
    from interp.layers.written import Store

    return Store()


def _causes(name, tuned, n):
    from interp.layers.divergence import first_divergence
    from interp.layers.patches import component_patches
    from interp.layers.swaps import depth_sweep

    measure = {"depth_sweep": depth_sweep, "divergence": first_divergence, "patches": component_patches}[name]
    return measure(_pair(tuned), _task(tuned, n or SWEPT), store=_store(tuned))


def _singular_values(tuned, n):
    from interp.layers.spectra import singular_values

    return singular_values(_pair(tuned).base_checkpoint, _pair(tuned).tuned_checkpoint)


@cache
def _features_room(tuned, n):
    """How everything of the room is made; it is when it is asked for, but for `features`, which others need."""
    from interp.rollouts import readings, rollouts
    from interp.sae import room

    pair, task = _pair(tuned), _task(tuned, n)
    texts = rollouts(pair, task.practice, max_new_tokens=task.max_new_tokens, seed=0)
    makers = {}

    @cache
    def written(writer=None):
        return readings(pair, task, texts, writer=writer)

    def keep(name, make):
        makers[name] = cache(make)
        return makers[name]() if name == "features" else None

    room.strategies(pair, task, written, keep)
    return makers


def _of_features(name, tuned, n):
    return _features_room(tuned, n)[name]()


def _swaps(tuned, n):
    from interp.layers.swaps import block_swaps

    return block_swaps(_pair(tuned), _task(tuned, n))


def _weights(tuned, n):
    from interp.layers.weights import weight_change

    return weight_change(_pair(tuned).base_checkpoint, _pair(tuned).tuned_checkpoint)


def _answers(tuned, seed, n):
    import runpy
    from pathlib import Path

    from interp.tasks.organism import organism_task
    from interp.workbench import open_pair

    unit = runpy.run_path(str(Path(__file__).parent.parent / "benchmarks" / "routing_seeds.py"))
    at = f"@{seed}" if seed else ""
    pair = open_pair(f"organism:{unit['ORGANISMS'][tuned]}{at}", f"organism:{tuned}{at}")
    task = organism_task(tuned, n=n or unit["PROBLEMS"], practice=unit["PRACTICE"])
    return unit["answers"](pair, task, unit["arms_of"](tuned))


def _audit(file, judge, n):
    import os
    from dataclasses import replace
    from pathlib import Path

    from interp.audit.graded import graded
    from interp.audit.logs import read_rollouts

    folder = os.environ.get("INTERP_PUBLISHED")
    if folder is None:
        raise LookupError("INTERP_PUBLISHED names no folder with the published rollouts, which are not ours to ship")
    (log,) = read_rollouts([str(Path(folder) / file)])
    found = graded(log, totals=judge)
    return replace(found, table=found.table.drop(columns="found"))  # what was read is text of theirs


def _ledger(n):
    """What `interp claims` says of pairs of the first world, of what was planted in the errands, and of one of them in
    which nothing was."""
    import pandas as pd

    from interp.calibration.expected import CLAIMS_EXPECTED
    from interp.claims.ledger import ledger, ledger_table
    from interp.measurement import Measurement, provenance
    from interp.workbench import measure_claims

    def asked(tuned, pair, keys=None):
        rows = ledger_table(ledger(measure_claims(_pair(tuned), _task(tuned, n or CLAIMED))))
        rows.insert(0, "pair", pair)
        rows.insert(1, "organism", tuned)
        return rows if keys is None else rows[rows["key"].isin(keys)]

    true_of = {}
    for key, known in CLAIMS_EXPECTED.items():
        of_errands = [name for name, says in known.items() if name.startswith("errands-") and says == "supported"]
        for tuned in of_errands[:1]:
            true_of.setdefault(tuned, []).append(key)
    parts = [asked(tuned, tuned) for tuned in ("rl", "sft", "newskill", "null")]
    parts += [asked(tuned, "errands, where planted", keys) for tuned, keys in true_of.items()]
    parts.append(asked("errands-various", "errands, nothing planted"))
    unit = "one claim of one pair per row: as reported, as estimated with its interval, and what is said of it"
    return Measurement("ledger", unit, pd.concat(parts, ignore_index=True), provenance(seed=0))


def _shipped(name, n):
    """The calibration's record as it ships; `interp calibrate` measures it, in an hour or two."""
    from interp.calibration.record import SHIPPED
    from interp.measurement import Measurement

    return Measurement.load(SHIPPED / f"{name}.json")


TABLES = {
    **{
        f"{tuned}{f'@{seed}' if seed else ''}/answers": partial(_answers, tuned, seed)
        for tuned in ("rl", "newskill", "many-rl")
        for seed in (0, 1, 2)
    },
    "claims/ledger": _ledger,
    **{f"calibration/{name}": partial(_shipped, name) for name in ("record", "power")},
    "llama-gsm8k/audit": partial(_audit, "llama-3.1-8b_gsm8k.jsonl", {"base": 119, "tuned": 253, "hybrid": 188}),
    "qwen-math500/audit": partial(_audit, "qwen2.5-14b_math500.jsonl", {"base": 192, "tuned": 288, "hybrid": 251}),
    **{f"{tuned}/swaps": partial(_swaps, tuned) for tuned in ("rl", "newskill", "lower", "upper")},
    **{f"{tuned}/weights": partial(_weights, tuned) for tuned in ("rl", "lower")},
    **{
        f"{tuned}/{name}": partial(_activations, name, tuned)
        for tuned in ("rl", "lower")
        for name in ("activations", "activation_nulls")
    },
    **{f"rl/{name}": partial(_causes, name, "rl") for name in ("depth_sweep", "divergence", "patches")},
    "rl/singular_values": partial(_singular_values, "rl"),
    "planted/activation_parts": _planted,
    **{
        f"rl/{name}": partial(_of_features, name, "rl")
        for name in ("features", "sae_quality", "attacks", "causes", "sae_quality_by_layer")
    },
}
SAMPLED = {
    name for name in TABLES if name == "rl/answers" or name.endswith(("/swaps", "/weights", "/divergence", "/patches"))
}
"""Tables whose rows do not hang on the other problems, so that a sample can be compared with them."""

SECONDS = {
    **{"calibration/power": 0.1, "calibration/record": 0.2, "llama-gsm8k/audit": 2.9, "qwen-math500/audit": 17.6},
    **{"lower/weights": 0.4, "rl/weights": 0.4, "rl/singular_values": 0.9, "planted/activation_parts": 6.3},
    **{"rl/activation_nulls": 14.7, "lower/activation_nulls": 7.2, "rl/activations": 13.0, "lower/activations": 14.3},
    **{"rl/divergence": 7.7, "rl/patches": 2.9, "rl/swaps": 39.3, "rl/sae_quality_by_layer": 20.7},
    **{"rl/sae_quality": 54.5, "rl/features": 0.1, "rl/attacks": 8.2, "rl/causes": 33.0},
}
"""Of one core's time, all measured in one run; tables that share their texts and autoencoders are timed where those are
first made. A table that is not here has not been timed."""
