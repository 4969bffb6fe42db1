"""'The upper layers carry behaviour, knowledge sits below': U(behaviour) - U(knowledge) of the upper half."""

import math

from interp.claims.locus import INTO_BASE, INTO_TUNED
from interp.claims.verdict import Says, Verdict, listed, outcomes, rows_of, shown
from interp.intervals import Interval, Recovered, gap_recovered, independent_difference
from interp.measurement import Measurement

CLAIM = "Fine-tuning's upper layers carry behaviour; knowledge sits below"
HALF = "upper half"
BEHAVIOUR, KNOWLEDGE = "answers", "facts"
BESIDE = ("output format", "strategy onset")

LITTLE = 0.20
"""A difference of indices that stays under this is about none."""
MOST = 0.50
"""An upper half that brings less than this of the change in behaviour does not carry it."""


def upper_layers_carry_behaviour(swaps: Measurement) -> Verdict:
    """Does the upper half of the blocks bring more of tuned's change in behaviour than of its change in knowledge?

    U(axis) = (axis of base with tuned's upper half - base) / (tuned - base), over the axis' own problems. `estimate`
    is U(answers) - U(facts), with its interval (problems and facts are independent).

    - supported: the interval lies above 0, and that of U(answers) above 50%
    - contradicted: the interval stays under 20%: what the upper half does for answers it does for facts too
    - undecided: an axis did not move (then U is no number), or anything between

    Output format and strategy onset are reported beside it where they moved. Format is easily moved by any part, so it
    does not enter.
    """
    found = {axis: _index(swaps, axis) for axis in (BEHAVIOUR, KNOWLEDGE, *BESIDE)}
    behaviour, knowledge = found[BEHAVIOUR], found[KNOWLEDGE]
    if behaviour is None:
        raise ValueError(f"measurement {swaps.name!r} has no axis {BEHAVIOUR!r}; swap blocks on problems first")
    sentences = [_brought(axis, index) for axis, index in found.items() if index is not None]
    if behaviour.refused or knowledge is None or knowledge.refused:
        because = " ".join([_unmoved(behaviour, knowledge), *sentences, _SETTLES])
        return Verdict(CLAIM, None, None, None, None, behaviour.n, "undecided", because)
    apart = independent_difference(behaviour, knowledge)
    says, why = _decide(behaviour, apart)
    because = " ".join([why, *sentences, _SETTLES if says == "undecided" else _MIND])
    return Verdict(CLAIM, None, apart.estimate, apart.low, apart.high, apart.n, says, because)


_SETTLES = "What would settle it: a pair whose tuning changed both answers and facts, on more problems of either."
_MIND = "What would change our mind: another seed, task or cut of the depth that gives the other sign."


def _decide(behaviour: Recovered, apart: Interval) -> tuple[Says, str]:
    between = f"U(answers) - U(facts) of the {HALF} is {shown(apart.estimate, apart.low, apart.high)}"
    if apart.low > 0 and behaviour.low > MOST:
        return "supported", f"The {HALF} of the blocks brings the change in answers more than that in facts: {between}."
    if apart.high < LITTLE:
        return "contradicted", f"The {HALF} of the blocks brings answers no more than facts: {between}."
    return "undecided", f"The two indices are not clearly apart, or the {HALF} brings too little of answers: {between}."


def _index(swaps: Measurement, axis: str) -> Recovered | None:
    """U of the upper half on an axis; None where the axis was not read."""
    table = rows_of(swaps, "swapped", "direction", "axis", "problem", "correct")
    rows = table[(table["axis"] == axis) & table["swapped"].isin([HALF, "nothing"])]
    if rows.empty:
        return None
    if (missing := {HALF, "nothing"} - set(rows["swapped"])) or rows["direction"].nunique() < 2:
        raise ValueError(f"measurement {swaps.name!r} lacks {listed(sorted(missing))} on the axis {axis!r}; swap it")
    right = outcomes(rows.assign(arm=rows["direction"] + ": " + rows["swapped"]), "arm")
    hybrid, base, tuned = (
        right[arm].to_numpy() for arm in (f"{INTO_BASE}: {HALF}", f"{INTO_BASE}: nothing", f"{INTO_TUNED}: nothing")
    )
    return gap_recovered(hybrid, base, tuned)


def _unmoved(behaviour: Recovered, knowledge: Recovered | None) -> str:
    if knowledge is None:
        return "Knowledge is untested: the task has no closed-book facts."
    still = [axis for axis, index in ((BEHAVIOUR, behaviour), (KNOWLEDGE, knowledge)) if index.refused]
    return f"{listed(still).capitalize()} did not move, so this pair cannot tell behaviour from knowledge."


def _brought(axis: str, index: Recovered) -> str:
    if index.refused or math.isnan(index.estimate):
        return f"{axis.capitalize()}: {index.reason}."
    moved = shown(index.gap, index.gap_low, index.gap_high)
    u = shown(index.estimate, index.low, index.high)
    return f"{axis.capitalize()}: tuned - base is {moved} over {index.n} problems, U({axis}) of the {HALF} is {u}."
