"""Every instrument asked of every organism whose answer is known to it: one row per answer."""

import functools
import multiprocessing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm.auto import tqdm

from interp.calibration import claim_cells, feature_cells
from interp.calibration.claim_cells import ClaimCell, claim_rows
from interp.calibration.expected import (
    CLAIMS_EXPECTED,
    CONFIRMATION,
    DEVELOPMENT,
    EXPECTED,
    expected,
    marked,
)
from interp.calibration.feature_answers import FEATURE_INSTRUMENTS, FeatureInstrument, feature_rows
from interp.calibration.feature_cells import Cell
from interp.calibration.instruments import INSTRUMENTS, Instrument
from interp.calibration.measuring import FROM_FILES, measure
from interp.calibration.pairs import KNOWN, Unit
from interp.calibration.rates import claim_name
from interp.measurement import Measurement, provenance, source_digest
from interp.organisms.edits import EDITS
from interp.units.engines import end_with_driver, workers

UNIT = "one answer of an instrument per row, beside what was planted"
BASE_SEEDS, QUICK_SEEDS = (*DEVELOPMENT, *CONFIRMATION), (0, 1)
DEAR = ("upper", "lower", "grafted", "newskill", "noise", "bf16")
"""Organisms that a quick run loads and asks; of the others it reads the weights only."""


def calibrate(
    instruments: Sequence[str] | None = None,
    organisms: Sequence[str] | None = None,
    *,
    base_seeds: Sequence[int] | None = None,
    draws: int = 1,
    quick: bool = False,
    kept: bool = False,
    features: bool = False,
    claims: bool = False,
    folder: Path,
    jobs: int = 1,
) -> Measurement:
    """`record`, as `interp calibrate` asks for it by names, saved in `folder/record.json`.

    All instruments and organisms by default, but those of features only with `features` or by name: a cell of theirs
    takes minutes. With `claims` verdicts on claims about texts are asked instead, and saved as `claims.json`. `quick`
    asks the organisms of `DEAR` and, where nothing has to be run, the edits, of base seeds 0 and 1.
    """
    every = (*INSTRUMENTS, *FEATURE_INSTRUMENTS, *map(claim_name, CLAIMS_EXPECTED))
    pairs = tuple(dict.fromkeys((*KNOWN, *feature_cells.ORGANISMS, *claim_cells.ORGANISMS)))
    for what, given, there in (("instrument", instruments, every), ("organism", organisms, pairs)):
        if unknown := set(given or ()) - set(there):
            raise LookupError(f"there is no {what} {sorted(unknown)[0]!r} to calibrate; there are {', '.join(there)}")
    if claims and instruments is None:
        instruments = [claim_name(key) for key in CLAIMS_EXPECTED]
    keys = [key for key in CLAIMS_EXPECTED if claim_name(key) in (instruments or ())]
    chosen = {name: one for name, one in INSTRUMENTS.items() if instruments is None or name in instruments}
    asked_of_features = {
        name: one
        for name, one in FEATURE_INSTRUMENTS.items()
        if (features if instruments is None else name in instruments)
    }
    of = tuple(organisms) if organisms else (*DEAR, *EDITS) if quick else pairs
    found = matrix(
        chosen,
        features=asked_of_features,
        claims=keys,
        organisms=tuple(dict.fromkeys(of)),
        run=DEAR if quick and not organisms else KNOWN,
        base_seeds=base_seeds or (QUICK_SEEDS if quick else BASE_SEEDS),
        seeds=range(draws),
        quick=quick,
        kept=kept,
        folder=folder,
        jobs=jobs,
    )
    found = replace(found, name="claims") if claims else found
    found.save(folder)
    return found


def matrix(
    instruments: Mapping[str, Instrument] = INSTRUMENTS,
    *,
    features: Mapping[str, FeatureInstrument] | None = None,
    claims: Sequence[str] = (),
    organisms: Sequence[str] = KNOWN,
    run: Sequence[str] = KNOWN,
    base_seeds: Sequence[int] = BASE_SEEDS,
    seeds: Sequence[int] = (0,),
    quick: bool = False,
    kept: bool = False,
    folder: Path,
    jobs: int = 1,
) -> Measurement:
    """`record`: what each instrument says of each organism of each base seed, and whether that was planted.

    One row per answer: `instrument`, `beside` (the instrument whose question a usual reading answers; empty for our
    own), `organism`, `about` (the strategy, where each is asked about by itself; else empty), `base_seed`, `seed` (the
    draw: of the tuning or the edit, the problems, the SAE and every random choice), `part` ("development" or
    "confirmation"), `expected`, `given`, `planted` (whether there was something to find), `outcome` ("right", "wrong",
    "undecided"). Organisms that are not on the shelf for a seed are left out; of those not in `run` only what the
    weights say is asked. `features` are asked of the cells of `feature_cells`, kept in `folder/features`, and `claims`,
    keys of the register, of those of `claim_cells`, kept in `folder/claims`.

    Measurements are kept in `folder`, so that a run that was interrupted goes on, and a changed rule is judged without
    measuring again; with `kept` nothing is measured and what is not there is left out; `quick` is `measure`'s. `jobs`
    processes work on different organisms. LookupError where nothing is known to be right.
    """
    if unknown := set(instruments) - set(EXPECTED):
        raise LookupError(f"nothing is known to be right for {', '.join(sorted(unknown))}; see calibration.expected")
    units = [
        Unit(organism, base_seed, seed)
        for base_seed in base_seeds
        for seed in seeds
        for organism in organisms
        if asked(organism, instruments, run) and Unit(organism, base_seed, seed).there
    ]
    cells = [
        Cell(organism, base_seed, seed, folder / "features")
        for base_seed in base_seeds
        for seed in seeds
        for organism in feature_cells.ORGANISMS
        if features and organism in organisms
    ]
    cells = [cell for cell in cells if cell.there and (cell.done or not kept)]
    of_claims = claim_cells.cells(claims, organisms, base_seeds, folder / "claims")
    if not units and not cells and not of_claims:
        raise LookupError(
            f"no instrument asked for has a known answer on {', '.join(organisms)} of base seeds "
            f"{', '.join(map(str, base_seeds))}"
        )
    told = functools.partial(rows, instruments=instruments, run=run, quick=quick, kept=kept, folder=folder)
    found = [row for of_unit in _each(told, units, jobs) for row in of_unit]
    told_of = functools.partial(of_features, instruments=features or {}, kept=kept)
    found += [row for of_cell in _each(told_of, cells, jobs) for row in of_cell]
    found += [row for of_cell in _each(functools.partial(claim_rows, kept=kept), of_claims, jobs) for row in of_cell]
    if not found:
        raise LookupError(f"nothing that was asked for is kept in {folder.name}; measure first")
    table = pd.DataFrame(found)
    order = {name: place for place, name in enumerate((*instruments, *(features or ()), *map(claim_name, claims)))}
    table = table.sort_values("instrument", key=lambda names: names.map(order), kind="stable").reset_index(drop=True)
    rooms = source_digest(["layers", "routing", "sae", "behaviour", "claims", "calibration", "tasks"])
    made_with = provenance(code=rooms, base_seeds=list(base_seeds), seeds=list(seeds), kept=kept)
    return Measurement("record", UNIT, table, made_with)


def asked(organism: str, instruments: Mapping[str, Instrument], run: Sequence[str]) -> dict[str, Instrument]:
    """The instruments whose answer on this organism is known, and may be had."""
    return {
        name: one
        for name, one in instruments.items()
        if organism in EXPECTED[name] and (organism in run or set(one.needs) <= set(FROM_FILES))
    }


def rows(
    unit: Unit,
    *,
    instruments: Mapping[str, Instrument],
    run: Sequence[str],
    folder: Path,
    quick: bool = False,
    kept: bool = False,
) -> list[dict[str, object]]:
    """What these instruments say of one organism."""
    mine = asked(unit.organism, instruments, run)
    has, place = measure(unit, list(mine.values()), folder, quick=quick, kept=kept)
    told = []
    for name, instrument in mine.items():
        if not set(instrument.needs) <= has.keys():
            continue
        wanted, given = expected(name, unit.organism, place), instrument.says(has)
        assert wanted is not None
        told.append(
            marked(
                name,
                wanted,
                given,
                organism=unit.organism,
                base_seed=unit.base_seed,
                seed=unit.seed,
                beside=instrument.beside,
            )
        )
    return told


def of_features(
    cell: Cell, *, instruments: Mapping[str, FeatureInstrument], kept: bool = False
) -> list[dict[str, object]]:
    """What is said of the features of one organism."""
    has = feature_cells.kept(cell) if kept else feature_cells.measured(cell)
    return feature_rows(cell, has, instruments)


def _each(
    told: Callable[[Any], list[dict[str, object]]],
    units: Sequence[Unit] | Sequence[Cell] | Sequence[ClaimCell],
    jobs: int,
) -> Iterable[list[dict[str, object]]]:
    """The rows of every unit, in order."""
    if not units:
        return
    bar = functools.partial(tqdm, total=len(units), desc="calibration", unit="pair", disable=None)
    if jobs == 1:
        yield from bar(map(told, units))
        return
    # A forked child would inherit torch's threads in whatever state they are in; models this small need one each.
    spawn = multiprocessing.get_context("spawn")
    with workers(jobs, spawn, _begin) as pool:
        yield from bar(pool.map(told, units))


def _begin() -> None:
    """How a worker begins: with one thread, and to end when the run that started it is killed."""
    torch.set_num_threads(1)
    end_with_driver()
