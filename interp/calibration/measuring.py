"""What the instruments read, measured on one organism of one base seed and one measuring seed, and kept on disk."""

import contextlib
import functools
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from interp.calibration.instruments import Instrument
from interp.calibration.pairs import NotKept, Unit, opened
from interp.checkpoint import Checkpoint
from interp.layers.activations import activation_change
from interp.layers.gauge import hidden_unit_gauge
from interp.layers.heads import head_change
from interp.layers.room import DRAWS
from interp.layers.swaps import block_swaps
from interp.layers.weights import weight_change
from interp.measurement import Measurement, digest, remembered, source_digest
from interp.organisms.edits import Place
from interp.pair import Pair, load_pair
from interp.rollouts import readings, rollouts
from interp.routing.arms import DECISION, Arm, route
from interp.routing.decisions import task_decisions
from interp.routing.routers import decision_tokens, every_disagreement
from interp.tasks.organism import organism_task
from interp.tasks.task import Task

SWAPPED, ROUTED = 60, 150
"""Problems that swaps and arms are asked: fewer than a report's, so that all pairs of all seeds take minutes."""
READ = 40
"""Practice problems whose texts, of both writers, activations are compared on."""
FROM_FILES = ("weights", "heads", "gauge")
"""Measurements for which no model is loaded."""
_ROOM = {"answers": "routing"}
_GROUND = ("checkpoint", "decoding", "distances", "loading", "pair", "rollouts")
"""Files of the ground floor that a measurement hangs on; the command line and the page are not among them."""


def measure(
    unit: Unit, instruments: Sequence[Instrument], folder: Path, *, quick: bool = False, kept: bool = False
) -> tuple[dict[str, Measurement], Place]:
    """The measurements that these instruments read, from `folder` where they are there, and where an edit acted.

    What is kept hangs on both checkpoints, the source of the room and of the ground floor, and the seed. With `kept`
    nothing is measured nor trained: what was measured on these checkpoints counts, whatever code measured it, and what
    is not there is left out. So is a tuning that did not pass its gate, since nothing is planted in it. With `quick`
    activations are held against as few random changes as in a quick report.
    """
    draws = DRAWS["quick" if quick else "full"]
    needs = dict.fromkeys(name for instrument in instruments for name in instrument.needs)
    here = folder / unit.organism / f"base{unit.base_seed}" / f"seed{unit.seed}"
    with tempfile.TemporaryDirectory() as made:
        try:
            base, tuned, place = opened(unit, Path(made), folder / "organisms", kept=kept)
        except NotKept:
            return {}, {}
        has, makers = dict[str, Measurement](), _makers(unit, base, tuned, draws)
        for name in needs:
            with contextlib.suppress(NotKept):
                if kept:
                    has[name] = _kept(here / f"{name}.json", base, tuned)
                else:
                    has[name] = remembered(here, name, _depends(unit, base, tuned, name, draws), makers[name])
        return has, place


def _kept(path: Path, base: Checkpoint, tuned: Checkpoint) -> Measurement:
    """The measurement saved there, if it is of these checkpoints."""
    if not path.exists():
        raise NotKept
    measurement = Measurement.load(path)
    made_on = [measurement.made_with[model]["digest"] for model in ("base", "tuned")]
    if made_on != [base.digest, tuned.digest]:
        raise NotKept
    return measurement


def _depends(unit: Unit, base: Checkpoint, tuned: Checkpoint, name: str, draws: int) -> dict[str, object]:
    code = source_digest([_ROOM.get(name, "layers"), "tasks"])
    return {"base": base.digest, "tuned": tuned.digest, "seed": unit.seed, "code": [code, _ground()]} | {
        "sizes": [SWAPPED, ROUTED, READ, draws if name == "activations" else None]
    }


@functools.cache
def _ground() -> str:
    root = Path(__file__).parent.parent
    return digest("".join((root / f"{name}.py").read_text() for name in _GROUND))


def _makers(unit: Unit, base: Checkpoint, tuned: Checkpoint, draws: int) -> dict[str, Callable[[], Measurement]]:
    """How each measurement is made; the models are loaded when the first of them needs a forward pass."""

    @functools.cache
    def pair() -> Pair:
        return load_pair(base, tuned)

    def asked(n: int | None) -> Task:
        task = organism_task(unit.problems, n=max(SWAPPED, ROUTED), seed=unit.seed, practice=READ)
        return replace(task, problems=task.problems[:n])

    def activations() -> Measurement:
        task = asked(None)
        written = rollouts(pair(), task.practice, max_new_tokens=task.max_new_tokens, seed=unit.seed)
        return activation_change(pair(), readings(pair(), task, written), draws=draws, seed=unit.seed)

    def answers() -> Measurement:
        task = asked(ROUTED)
        decisions = task_decisions(pair(), task)
        arms = [Arm("every disagreement", every_disagreement), Arm(DECISION, decision_tokens(decisions))]
        return route(pair(), task, arms=arms, seed=unit.seed)

    return {
        "weights": lambda: weight_change(base, tuned),
        "heads": lambda: head_change(base, tuned),
        "gauge": lambda: hidden_unit_gauge(base, tuned),
        "activations": activations,
        "swaps": lambda: block_swaps(pair(), asked(SWAPPED)),
        "answers": answers,
    }
