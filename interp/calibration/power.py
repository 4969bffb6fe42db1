"""How often would a planted answer be missed with fewer problems, a smaller gap, or a weaker tuning?

Fewer problems and smaller gaps need no model: problems of kept measurements are drawn again. Weaker tunings are base
with a part of tuning's change, measured like any other pair.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from interp.calibration.expected import CONFIRMATION, UNDECIDED, expected, outcome, part
from interp.calibration.instruments import INSTRUMENTS, Has
from interp.calibration.measuring import measure
from interp.calibration.pairs import SHARES, Unit
from interp.calibration.record import MEASURED, gap
from interp.claims.locus import INTO_BASE
from interp.measurement import Measurement, provenance

PROBLEMS = (25, 50, 100, 200, 400)
REACHED = (1.0, 0.3, 0.1, 0.05)
"""Share of the problems on which tuning did anything: the gap shrinks by it."""
RESAMPLES = 200
"""Of each number of problems and gap, dealt out over the pairs in which the answer is planted."""
PLANTED: Mapping[str, tuple[str, ...]] = {
    "when or how": ("rl", "sft", "sft-lora", "upper", "trigger", "newskill", "shortcut"),
    "upper third": ("upper", "newskill"),
    "behaviour above knowledge": ("grafted",),
}
"""The verdicts of the page that are made of answers to problems, and organisms in which there is something to find."""
SAID = 200
"""The number of problems that is told of in a line."""
UNIT = "resamples in which the planted answer was given"


def fewer_problems(
    folder: Path, *, base_seeds: Sequence[int] = CONFIRMATION, resamples: int = RESAMPLES, seed: int = 0
) -> Measurement:
    """`power`: how often each verdict is the planted one with fewer problems and smaller gaps, from kept measurements.

    One row per instrument, pair, number of problems `n` and share `reached`: the mean `gap` (tuned - base in answers)
    and of `resamples` how many were `right`, `undecided` and `wrong`. A resample draws n of the pair's problems with
    replacement (and, for an axis of facts, n facts); on each problem that tuning is not to have reached, drawn by a
    coin of chance 1 - reached, every arm answers as base does. More problems than were measured are thus drawn from
    those that were. LookupError where nothing is kept.
    """
    rows = []
    for instrument, organisms in PLANTED.items():
        pairs = _kept(instrument, organisms, base_seeds, folder)
        each = math.ceil(resamples / max(1, len(pairs)))
        for unit, has in tqdm(pairs, desc=instrument, unit="pair", disable=None):
            rng = np.random.default_rng([seed, unit.base_seed, organisms.index(unit.organism)])
            for n in PROBLEMS:
                for reached in REACHED:
                    told = [_asked(instrument, unit, has, n, reached, rng) for _ in range(each)]
                    rows.append(_cell(instrument, unit, told) | {"n": n, "reached": reached})
    if not rows:
        raise LookupError(f"no measurement of a planted answer is kept in {folder.name}; run interp calibrate first")
    made_with = provenance(base_seeds=list(base_seeds), seed=seed)
    return Measurement("power", UNIT, pd.DataFrame(rows), made_with)


def weaker(folder: Path, *, base_seeds: Sequence[int] = CONFIRMATION, kept: bool = False) -> Measurement:
    """`weaker`: what each verdict says of base with a part of tuning's change, beside what was planted with all of it.

    One row per instrument, organism, base seed and `share` of the change: `gap` (tuned - base in answers), `expected`
    of the whole change, `given`, `outcome`. A weak change may do nothing at all, which `gap` says.
    """
    rows = list[dict[str, object]]()
    for base_seed in base_seeds:
        for organism in ("rl", "upper", "newskill"):
            for share in (*SHARES, 1.0):
                unit = Unit(organism if share == 1 else f"{organism} x {share:g}", base_seed, 0)
                if not unit.there:
                    continue
                mine = [name for name, of in PLANTED.items() if organism in of]
                has, _ = measure(unit, [INSTRUMENTS[name] for name in mine], folder, kept=kept)
                for name in mine:
                    if not set(INSTRUMENTS[name].needs) <= has.keys():
                        continue
                    wanted, given = expected(name, organism, {}), INSTRUMENTS[name].says(has)
                    assert wanted is not None
                    rows.append(
                        {
                            "instrument": name,
                            "organism": organism,
                            "base_seed": base_seed,
                            "part": part(base_seed, name),
                            "share": share,
                            "gap": gap(has[MEASURED[name]]),
                            "expected": wanted,
                            "given": given,
                            "outcome": outcome(wanted, given),
                        }
                    )
    if not rows:
        raise LookupError(f"no weaker tuning is kept in {folder.name}; measure them first")
    unit_of = "what is said of a part of tuning's change"
    return Measurement("weaker", unit_of, pd.DataFrame(rows), provenance(base_seeds=list(base_seeds)))


def lines(power: Measurement) -> list[str]:
    """How often each verdict is missed at `SAID` problems, gap by gap, as text."""
    told = []
    for (name, _), of in power.table[power.table["n"] == SAID].groupby(["instrument", "reached"], sort=False):
        n, gap_of = of["resamples"].sum(), of["gap"].mean()
        told.append(f"{name}, {SAID} problems, gap {gap_of:.2f}: missed in {n - of['right'].sum()} of {n} resamples")
    return told


def resampled(measured: Measurement, n: int, reached: float, rng: np.random.Generator) -> Measurement:
    """The measurement on `n` problems drawn with replacement, of which tuning reached a share."""
    parts = []
    axes = measured.table.groupby("axis", sort=False) if "axis" in measured.table else [("answers", measured.table)]
    for axis, table in axes:
        if axis not in ("answers", "facts"):
            continue
        rows = {problem: where for problem, where in table.groupby("problem", sort=False).indices.items()}
        drawn = [rows[problem] for problem in rng.choice(np.array(list(rows), dtype=object), n)]
        copy = np.repeat(np.arange(n), [len(where) for where in drawn])
        mine = table.iloc[np.concatenate(drawn)].assign(problem=[f"{axis} {i}" for i in copy])
        spared = (rng.random(n) >= reached)[copy]
        base = _is_base(mine)
        for column in [name for name in ("correct", "flexible") if name in mine]:
            values = mine[column].to_numpy().copy()
            of_base = np.empty(n, dtype=values.dtype)
            of_base[copy[base]] = values[base]
            values[spared] = of_base[copy[spared]]
            mine = mine.assign(**{column: values})
        parts.append(mine)
    table = pd.concat(parts, ignore_index=True)
    return Measurement(measured.name, measured.unit, table, dict(measured.made_with))


def _kept(instrument: str, organisms: Sequence[str], base_seeds: Sequence[int], folder: Path) -> list[tuple[Unit, Has]]:
    """The pairs with this answer planted whose measurements are in the folder."""
    found = list[tuple[Unit, Has]]()
    for base_seed in base_seeds:
        for unit in (Unit(organism, base_seed, 0) for organism in organisms):
            has = measure(unit, [INSTRUMENTS[instrument]], folder, kept=True)[0] if unit.there else {}
            if set(INSTRUMENTS[instrument].needs) <= has.keys():
                found.append((unit, has))
    return found


def _asked(
    instrument: str, unit: Unit, has: Has, n: int, reached: float, rng: np.random.Generator
) -> tuple[str, float]:
    """The outcome on one resample, and its gap."""
    drawn = resampled(has[MEASURED[instrument]], n, reached, rng)
    wanted = expected(instrument, unit.organism, {})
    assert wanted is not None
    given = INSTRUMENTS[instrument].says({**has, drawn.name: drawn})
    return outcome(wanted, given), gap(drawn)


def _cell(instrument: str, unit: Unit, told: Sequence[tuple[str, float]]) -> dict[str, object]:
    said = [word for word, _ in told]
    return {
        "instrument": instrument,
        "organism": unit.organism,
        "base_seed": unit.base_seed,
        "gap": float(np.mean([size for _, size in told])),
        "resamples": len(said),
        **{word: said.count(word) for word in ("right", UNDECIDED, "wrong")},
    }


def _is_base(table: pd.DataFrame) -> np.ndarray:
    """Rows that say what base answers."""
    if "arm" in table:
        return (table["arm"] == "base").to_numpy()
    return ((table["swapped"] == "nothing") & (table["direction"] == INTO_BASE)).to_numpy()
