"""What the ledger says of claims about texts on organisms whose answer is known: measured, kept on disk, decided.

An organism of either world is asked as any pair is, on fewer problems than `interp claims` asks. Two more cells need
only weights: two tunings that were confined to different blocks, and one tuning beside itself. Elicitation is asked of
forward programs alone: one word opens the right strategy for all of them, so that telling base that word has to do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from interp.behaviour import errands_room, room
from interp.behaviour.core_overlap import core_overlap
from interp.calibration.expected import CLAIMS_EXPECTED, marked
from interp.calibration.rates import claim_name
from interp.checkpoint import open_checkpoint
from interp.claims.ledger import DECIDED, decide
from interp.measurement import Measurement, remembered, source_digest
from interp.organisms import shelf
from interp.pair import Pair, load_pair
from interp.routing.arms import route
from interp.routing.ceiling import base_samples
from interp.routing.elicited import elicited_arms
from interp.tasks.organism import organism_task

TEXTS, ERRANDS = room.Sizes(80, 64, 100), errands_room.Sizes(150, 6, 16)
"""Fewer problems and samples than by default, so that a cell takes less than a minute."""
PACKS, OF_PACKS = errands_room.Sizes(150, 16, 16), ("feasibility", "diversity")
"""A share that did not move has to lie within 0.04 with its whole interval, which takes twice as many samples; packs
are short."""
FORCED_ON = room.Sizes(480, 1, 1)
"""Forward programs alone are forced on, a third of these; that not one in twenty fell takes more than 100 of them."""
AT_ONCE = 1024
"""Texts decoded at once: models this small take no longer over them than over a quarter."""
ELICITED = 240
"""Problems of all three kinds, a third of which are forward programs."""
ELICITATION = ("answers", "ceiling")
"""Measurements of the routing room, which one claim about texts is decided on."""
COPIES = {"copy": "base", "errands-copy": "errands-base"}
"""A base as its own tuned."""
APART, TWICE = "upper, lower", "rl, rl"
"""Tunings confined to different blocks, and one tuning twice."""
ORGANISMS = tuple(dict.fromkeys(name for answers in CLAIMS_EXPECTED.values() for name in answers))


@dataclass(frozen=True)
class ClaimCell:
    """One organism of one base seed and the claims that it is asked about; `out` is where measurements are kept."""

    organism: str
    base_seed: int
    keys: tuple[str, ...]
    out: Path

    @property
    def shelved(self) -> tuple[str, ...]:
        """The tuned organisms it takes."""
        return tuple(dict.fromkeys(COPIES.get(self.organism, self.organism).split(", ")))

    @property
    def there(self) -> bool:
        """Whether they are on the shelf."""
        return set(self.shelved) <= set(shelf.names(self.base_seed))

    @property
    def needs(self) -> list[str]:
        """The measurements that the claims are decided on."""
        needed = [DECIDED[key][1] for key in self.keys]
        return [*needed, "ceiling"] if "answers" in needed else needed

    @property
    def folder(self) -> Path:
        """Where its measurements are kept."""
        return self.out / f"base{self.base_seed}" / self.organism


def cells(keys: Sequence[str], organisms: Sequence[str], base_seeds: Sequence[int], out: Path) -> list[ClaimCell]:
    """The cells that are on the shelf, each with the claims whose answer is known there."""
    found = []
    for base_seed in base_seeds:
        for organism in organisms:
            known = tuple(key for key in keys if organism in CLAIMS_EXPECTED[key])
            cell = ClaimCell(organism, base_seed, known, out)
            if known and cell.there:
                found.append(cell)
    return found


def measured(cell: ClaimCell, *, kept: bool = False) -> dict[str, Measurement]:
    """The measurements by name; with `kept` those in the folder, whatever code made them, and nothing is measured."""
    if kept:
        paths = [cell.folder / f"{name}.json" for name in cell.needs]
        return {path.stem: Measurement.load(path) for path in paths if path.exists()}
    if cell.organism in (APART, TWICE):
        return {"core_overlap": _cores(cell)}
    tuned = cell.shelved[0]
    errands = tuned.startswith("errands-")
    parent = shelf.card(tuned, cell.base_seed)["parent"] if cell.organism not in COPIES else tuned
    pair = load_pair(f"organism:{parent}@{cell.base_seed}", f"organism:{tuned}@{cell.base_seed}")
    if errands:
        return {measurement.name: measurement for measurement in _of_errands(pair, cell)}
    found = _elicited(pair, tuned, cell.folder) if "answers" in cell.needs else []
    for sizes, forced in ((FORCED_ON, True), (TEXTS, False)):
        if only := [name for name in cell.needs if name not in ELICITATION and (name == "forced") == forced]:
            task = organism_task(tuned, n=sizes.problems, practice=1)
            found += room.measure_texts(pair, task, folder=cell.folder, sizes=sizes, only=only, batch_size=AT_ONCE)
    return {measurement.name: measurement for measurement in found}


def claim_rows(cell: ClaimCell, *, kept: bool = False) -> list[dict[str, object]]:
    """One row per claim, with the columns of `matrix.matrix`; `about` is empty."""
    has, told = measured(cell, kept=kept), []
    for key in cell.keys:
        if DECIDED[key][1] not in has:
            continue
        wanted, given = CLAIMS_EXPECTED[key][cell.organism], decide(key, has).says
        told.append(marked(claim_name(key), wanted, given, organism=cell.organism, base_seed=cell.base_seed))
    return told


def _of_errands(pair: Pair, cell: ClaimCell) -> list[Measurement]:
    """The cell's measurements of errands, those of packs on more samples."""
    found = list[Measurement]()
    for sizes, packs in ((PACKS, True), (ERRANDS, False)):
        if only := [name for name in cell.needs if (name in OF_PACKS) == packs]:
            found += errands_room.measure_errands(pair, folder=cell.folder, sizes=sizes, only=only, batch_size=AT_ONCE)
    return found


def _elicited(pair: Pair, tuned: str, folder: Path) -> list[Measurement]:
    """`answers` of base under each elicitor and its `ceiling`, both on forward programs."""
    whole = organism_task(tuned, n=ELICITED, practice=1)
    task = replace(whole, problems=tuple(problem for problem in whole.problems if problem.kind == "run"))
    depends_on: Mapping[str, object] = {
        "models": [pair.base_checkpoint.digest, pair.tuned_checkpoint.digest],
        "task": task.digest,
        "code": source_digest(["", "tasks", "routing"]),
    }
    asked = remembered(
        folder, "answers", depends_on, lambda: route(pair, task, arms=(), others=elicited_arms(pair, task))
    )
    return [asked, remembered(folder, "ceiling", depends_on, lambda: base_samples(pair, task))]


def _cores(cell: ClaimCell) -> Measurement:
    """`core_overlap` of the two tunings that the cell is called by."""
    base = open_checkpoint(f"organism:base@{cell.base_seed}")
    tuned = [open_checkpoint(f"organism:{name}@{cell.base_seed}") for name in cell.organism.split(", ")]
    labels = [f"{place}: {one.name}" for place, one in enumerate(tuned)]
    depends_on: Mapping[str, object] = {"base": base.digest, "tunings": [one.digest for one in tuned]}
    tunings = dict(zip(labels, tuned, strict=True))
    return remembered(cell.folder, "core_overlap", depends_on, lambda: core_overlap(base, tunings))
