"""'Tuning fixes the form of answers, not whether they can be right': held against base under a grammar."""

from interp.claims.change import decided, levels, ratio_change
from interp.claims.register import REGISTER
from interp.claims.verdict import Says, Verdict, rows_of, shown
from interp.measurement import Measurement

PAPER = REGISTER["C2"]
CONSTRAINED = "base, constrained"
LITTLE = 0.04
"""A change of a share below this is none."""


def form_not_feasibility(feasibility: Measurement) -> Verdict:
    """Did form improve while P(feasible | form) did not, and no more than base under a grammar reaches?

    `estimate` is tuned - base in P(feasible | form).

    - supported: form rises (interval above 0, at least 0.04), P(feasible | form) rises by less than 0.04 (high end),
      and tuned is feasible no more often (by 0.04) than base under the grammar of the form
    - contradicted: P(feasible | form) rises (interval above 0, at least 0.04), or form does not rise
    - undecided: anything between, or no constrained arm
    """
    arms = set(rows_of(feasibility, "arm", "n", "form", "feasible", "violations")["arm"])
    form = ratio_change(feasibility, "form", "n")
    given = levels(feasibility, "feasible", "form")
    if given.isna().any():
        because = f"{PAPER.told('an arm that writes nothing in form')} P(feasible | form) has no value for it."
        n = int(feasibility.table["problem"].nunique())
        return Verdict(PAPER.claim, None, None, None, None, n, "undecided", because)
    can = ratio_change(feasibility, "feasible", "form")
    moved, able = decided(form, sign=1, little=LITTLE), decided(can, sign=1, little=LITTLE)
    says: Says = "undecided"
    if able == "supported" or moved == "contradicted":
        says = "contradicted"
    elif moved == "supported" and able == "contradicted":
        says = "supported"
    found = (
        f"form changed by {shown(form.estimate, form.low, form.high)} and P(feasible | form) by "
        f"{shown(can.estimate, can.low, can.high)} (from {given['base']:.2f} to {given['tuned']:.2f})"
    )
    reasons = [PAPER.told(found)]
    if CONSTRAINED in arms:
        beyond = ratio_change(feasibility, "feasible", "n", arms=(CONSTRAINED, "tuned"))
        reasons.append(
            f"Control: tuned is feasible {shown(beyond.estimate, beyond.low, beyond.high)} more often than base under "
            "the grammar of the form."
        )
        if says == "supported" and beyond.high >= LITTLE:
            says = "undecided"
    else:
        reasons.append("There is no arm of base under a grammar: a gain in form alone raises feasibility.")
        says = "undecided" if says == "supported" else says
    return Verdict(PAPER.claim, None, can.estimate, can.low, can.high, can.n, says, " ".join(reasons))
