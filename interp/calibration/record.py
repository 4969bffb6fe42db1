"""How often was the instrument behind a verdict right where the answer was planted? One sentence for the page."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from interp.calibration.rates import claim_name, failing
from interp.claims import features_precede, routing_recovers, upper_layers, upper_third
from interp.claims.locus import INTO_BASE, INTO_TUNED
from interp.claims.register import REGISTER
from interp.claims.verdict import listed
from interp.measurement import Measurement

SHIPPED = Path(__file__).parent
"""The folder of the `record.json` that `interp calibrate` wrote for this version."""
CLAIMS = "claims.json"
"""The file beside it with the verdicts on claims about texts, which `interp calibrate --claims` wrote."""
INSTRUMENT_OF = {
    **{paper.claim: claim_name(key) for key, paper in REGISTER.items()},
    upper_third.CLAIM: "upper third",
    upper_layers.CLAIM: "behaviour above knowledge",
    routing_recovers.CLAIM: "when or how",
    features_precede.CLAIM: "features precede tuning",
}
"""Which instrument decides a published claim."""
MEASURED = {"when or how": "answers", "upper third": "swaps", "behaviour above knowledge": "swaps"}
"""The measurement whose problems decide an instrument's answer."""
FITTED = {"feature standing": "sae_quality", "features precede tuning": "sae_quality"}
"""The measurement that says on how many vectors the SAE behind an answer was fitted."""


def record(instrument: str, folder: Path = SHIPPED) -> str:
    """`Where the answer was planted, this verdict was right in 20 of 21, wrong in 0, undecided in 1 (base seeds ...).`

    `instrument` is a name in the matrix, or the sentence of a claim that one of them decides. Base seeds on which
    rules were chosen do not count. An instrument that falls short there is said not to be trusted. LookupError for
    what was not calibrated: nothing is known then, and that has to be said.
    """
    name, file = _asked(instrument, folder)
    matrix = Measurement.load(folder / file)
    cells = _confirmed(matrix.table, name)
    if cells.empty:
        known = ", ".join(dict.fromkeys(matrix.table["instrument"]))
        raise LookupError(f"{instrument!r} was not calibrated on confirmation seeds; there are {known}")
    counts, n = cells["outcome"].value_counts(), len(cells)
    nothing = cells[~cells["planted"].astype(bool)]
    alarms = int((nothing["outcome"] != "right").sum())
    seeds = listed([str(seed) for seed in sorted(set(cells["base_seed"]))])
    short = failing(replace(matrix, table=cells)).get(name)
    warned = f" It is not to be trusted for this question: {short}." if short else ""
    where = f"; {alarms} of {len(nothing)} were findings where nothing was planted" if len(nothing) else ""
    return (
        f"Where the answer was planted, this verdict was right in {counts.get('right', 0)} of {n}, wrong in "
        f"{counts.get('wrong', 0)}, undecided in {counts.get('undecided', 0)} (base seeds {seeds}, kept for "
        f"confirmation{where}).{warned}"
    )


def in_short(instruments: Sequence[str], folder: Path = SHIPPED) -> list[str]:
    """`found 4 of 4; false 0 of 18`: the same counts, each for a cell of a table, or that nothing was confirmed."""
    matrices = dict[str, Measurement]()
    told = []
    for instrument in instruments:
        name, file = _asked(instrument, folder)
        if file not in matrices:
            matrices[file] = Measurement.load(folder / file)
        told.append(_counts(_confirmed(matrices[file].table, name)))
    return told


def _counts(cells: pd.DataFrame) -> str:
    if cells.empty:
        return "not confirmed"
    planted, right = cells["planted"].astype(bool), cells["outcome"] == "right"
    told = [f"found {int(right[planted].sum())} of {int(planted.sum())}"] if planted.any() else []
    told += [f"false {int((~right[~planted]).sum())} of {int((~planted).sum())}"] if not planted.all() else []
    return "; ".join(told)


def _asked(instrument: str, folder: Path) -> tuple[str, str]:
    """The instrument's name in the matrix, and the file that holds its cells."""
    name = INSTRUMENT_OF.get(instrument, instrument)
    about_texts = name.startswith(claim_name("")) and (folder / CLAIMS).exists()
    return name, CLAIMS if about_texts else "record.json"


def _confirmed(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The instrument's cells of confirmation seeds."""
    return table[(table["instrument"] == name) & (table["part"] == "confirmation")]


def missed(instrument: str, has: Mapping[str, Measurement], folder: Path = SHIPPED) -> str:
    """`With 200 problems and a gap of 0.10 ... the planted answer was missed in 34 of 80 (here: 180 and 0.12).`

    How often the verdict misses what is planted when the organisms are asked about as many problems as this pair was,
    with about as large a gap: the nearest cell of `power.json`. Of a verdict about features, when their autoencoders
    are fitted on about as many vectors as this pair's: the nearest number of `vectors.json`. Empty where the
    instrument has no such curve, or the pair's measurement is not among `has`.
    """
    name = INSTRUMENT_OF.get(instrument, instrument)
    if FITTED.get(name) in has and (folder / "vectors.json").exists():
        return _missed_by_vectors(name, has[FITTED[name]], Measurement.load(folder / "vectors.json").table)
    if MEASURED.get(name) not in has or not (folder / "power.json").exists():
        return ""
    mine = has[MEASURED[name]]
    table = Measurement.load(folder / "power.json").table
    cells = table[table["instrument"] == name].groupby(["n", "reached"], as_index=False)
    curve = cells.agg({"gap": "mean", "resamples": "sum", "right": "sum"})
    if curve.empty:
        return ""
    n, size = _problems(mine), gap(mine)
    near = curve[curve["n"] == min(curve["n"], key=lambda at: abs(math.log(at / n)))]
    smallest = float(near["gap"].abs().min())
    row = near.loc[(near["gap"].abs() / max(abs(size), smallest)).map(math.log).abs().idxmin()]
    return (
        f"With {row['n']:.0f} problems and a gap of {abs(row['gap']):.2f} in answers, the planted answer was missed in "
        f"{row['resamples'] - row['right']:.0f} of {row['resamples']:.0f} resamples (here: {n} problems, gap "
        f"{size:.2f})."
    )


def _missed_by_vectors(name: str, quality: Measurement, table: pd.DataFrame) -> str:
    """The sentence of an instrument whose answers hang on an SAE; base seeds on which its rules were chosen are out."""
    asked = (table["instrument"] == name) & table["planted"].astype(bool) & (table["part"] == "confirmation")
    here, cells = int(quality.made_with["sae"]["samples"]), table[asked]
    if cells.empty:
        return ""
    samples = min(cells["samples"], key=lambda at: abs(math.log(at / here)))
    near = cells[cells["samples"] == samples]
    return (
        f"With autoencoders fitted on {samples:,} vectors the planted answer was missed in "
        f"{int((near['outcome'] != 'right').sum())} of {len(near)} (here: {here:,} vectors)."
    )


def gap(measured: Measurement) -> float:
    """Tuned - base in answers, of routed arms or of swaps."""
    table = measured.table
    if "arm" in table:
        base, tuned = (table.loc[table["arm"] == arm, "correct"] for arm in ("base", "tuned"))
    else:
        nothing = table[(table["axis"] == "answers") & (table["swapped"] == "nothing")]
        base, tuned = (nothing.loc[nothing["direction"] == way, "correct"] for way in (INTO_BASE, INTO_TUNED))
    return float(tuned.mean() - base.mean())


def _problems(measured: Measurement) -> int:
    table = measured.table
    return int(table.loc[table["axis"] == "answers" if "axis" in table else slice(None), "problem"].nunique())
