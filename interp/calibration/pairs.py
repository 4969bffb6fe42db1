"""The pairs that instruments are asked about: trained organisms, edits, and organisms asked otherwise."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from interp.adapter import open_adapter
from interp.checkpoint import Checkpoint, open_checkpoint
from interp.organisms import shelf
from interp.organisms.edits import ADAPTERS, EDITS, Place, make_edit, make_part
from interp.organisms.gates import FellShort
from interp.organisms.making import train_organism
from interp.organisms.recipes import RECIPES

SHARES = (0.25, 0.5, 0.75)
"""Of tuning's change, of which `power` asks how often what is left of it is found."""


class Asked(NamedTuple):
    """An organism asked otherwise: whose problems; is its earlier tuning the base; how much of its change."""

    tuned: str
    problems: str
    again: bool = False
    share: float = 1.0


ASKED: Mapping[str, Asked] = {
    "trigger-absent": Asked("trigger", "rl"),
    "shortcut-absent": Asked("shortcut", "rl"),
    "sft-again": Asked("sft", "sft", again=True),
    **{
        f"{organism} x {share:g}": Asked(organism, organism, share=share)
        for organism in ("rl", "upper", "newskill")
        for share in SHARES
    },
}
"""Pairs beside the organisms and edits: problems without the word or the cue that tuning was about; two tunings of one
base by one recipe, of which the earlier draw stands as base; and base with a part of tuning's change."""
KNOWN = (*RECIPES, *EDITS, *ASKED)


@dataclass(frozen=True)
class Unit:
    """A pair whose truth is planted: what it is called, the seed of its base, and its draw.

    The draw is the seed of an edit, of the problems and of every random choice. Of a trained organism, draw 0 is the
    tuning on the shelf and every other draw another tuning by its recipe, trained when it is first asked for.
    """

    organism: str
    base_seed: int
    seed: int

    def __post_init__(self) -> None:
        if self.organism not in KNOWN:
            raise LookupError(f"there is no organism {self.organism!r} to calibrate on; there are {', '.join(KNOWN)}")

    @property
    def there(self) -> bool:
        """Whether everything it is made from is on the shelf of this base seed."""
        needs = {"base"} if self.organism in EDITS else {self.trained}
        needs |= {"grafted": {"lower", "upper"}, "middle": {"rl"}, "upper-lora": {"upper"}}.get(self.organism, set())
        return needs <= set(shelf.names(self.base_seed))

    @property
    def trained(self) -> str:
        """The trained organism, of one that is no edit."""
        return ASKED[self.organism].tuned if self.organism in ASKED else self.organism

    @property
    def problems(self) -> str:
        """Whose problems it is asked: edited facts where facts were edited."""
        if self.organism in ASKED:
            return ASKED[self.organism].problems
        return "lower" if self.organism == "grafted" else self.organism


class NotKept(Exception):
    """Nothing that was made from the same things is kept, and nothing is to be made."""


def opened(unit: Unit, made: Path, trained: Path, *, kept: bool) -> tuple[Checkpoint, Checkpoint, Place]:
    """Base and tuned, and where an edit acted; edits are written into `made`, further tunings are kept in `trained`.

    Raises NotKept where a tuning would have to be trained and nothing may be (`kept`), or did not pass its gate.
    """
    if unit.organism in EDITS:
        base = open_checkpoint(f"organism:base@{unit.base_seed}")
        path, place = make_edit(unit.organism, made, base_seed=unit.base_seed, seed=unit.seed)
        return base, open_adapter(path, base) if unit.organism in ADAPTERS else open_checkpoint(path), place
    if unit.organism in ASKED and ASKED[unit.organism].again:
        earlier, later = (_tuning(unit, draw, trained, kept) for draw in (unit.seed, unit.seed + 1))
        return earlier, later, {}
    parent = open_checkpoint(f"organism:{RECIPES[unit.trained].parent or 'base'}@{unit.base_seed}")
    if unit.organism in ASKED and (share := ASKED[unit.organism].share) < 1:
        return parent, open_checkpoint(make_part(unit.trained, share, made, base_seed=unit.base_seed)), {}
    return parent, _tuning(unit, unit.seed, trained, kept), {}


def _tuning(unit: Unit, draw: int, trained: Path, kept: bool) -> Checkpoint:
    """One tuning of the organism: that on the shelf, or another by the same recipe."""
    if draw == 0:
        return open_checkpoint(f"organism:{unit.trained}@{unit.base_seed}")
    if kept and not (trained / f"seed{unit.base_seed}.{draw}" / unit.trained / "card.json").exists():
        raise NotKept
    try:
        return open_checkpoint(train_organism(unit.trained, seed=unit.base_seed, tuning=draw, out=trained, say=_log))
    except FellShort as error:
        _log(f"left out: {error}")
        raise NotKept from error


def _log(line: str) -> None:
    logging.getLogger("interp").info(line)
