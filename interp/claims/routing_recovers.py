"""'Routing a few tokens recovers 91% of what tuning gained': did tuning teach when, or how?"""

from dataclasses import dataclass

import pandas as pd

from interp.claims.verdict import Says, Verdict, listed, outcomes, rows_of, shown
from interp.intervals import Interval, Recovered, difference, gap_recovered
from interp.measurement import Measurement

CLAIM = "Routing a few tokens recovers 91% of what tuning gained"
REPORTED = 0.91
"""Abstract of arXiv 2510.07364, which steers base's residual stream; token routing is arXiv 2603.22446."""

MOST = 0.80
"""Below this share of the gain, what was left out is too much to say that choosing when was all that tuning taught."""
FEW = 0.15
"""The paper touches 12% of tokens. With many more, tuned's tokens carry content whatever the router meant by them."""
LITTLE = 0.20
"""Where tuning taught a skill that base lacks, its decision tokens alone recover about nothing."""

DECISION, TWIN, ALL = "decision tokens", "random at the decision rate", "every disagreement"


@dataclass(frozen=True)
class _Finding:
    """What one grading rule says."""

    says: Says
    why: str
    decision: Recovered
    all_disagreements: Recovered
    twin: Recovered
    ahead: Interval
    wrongly_unlike_tuned: int


def routing_recovers_gain(answers: Measurement) -> Verdict:
    """Supported: tuned, choosing at decision tokens only, is enough (WHEN). Contradicted: it recovers little (HOW).

    - supported: the arm "decision tokens" recovers at least 80% of tuned - base (low end of the interval), chooses at
      most 15% of the tokens written (`routed`, whether or not its token differed from base's), and is right more often
      than "random at the decision rate", averaged over its draws, on the same problems (interval of the difference
      above 0)
    - contradicted: its interval stays under 20% although the gap is real
    - undecided: there is no gain to recover, anything between, or strict and flexible grading disagree

    The routed arms are judged with base writing all content: routing every disagreement is tuned's own greedy decoding.
    `estimate` is the decision arm's recovered share. Base's pass@k, which bounds what choosing could bring out, is not
    part of this verdict and `because` says so.
    """
    table = rows_of(answers, "arm", "problem", "correct", "flexible", "tokens", "routed", "changed")
    missing = {"base", "tuned", DECISION, TWIN, ALL} - set(table["arm"])
    if missing:
        raise ValueError(f"measurement {answers.name!r} has no arm {listed(sorted(missing))}; route with it first")
    arm = table[table["arm"] == DECISION]
    routed, changed = (float(arm[column].sum() / arm["tokens"].sum()) for column in ("routed", "changed"))
    strict, flexible = (_find(table, column, routed) for column in ("correct", "flexible"))
    says, why = strict.says, strict.why
    if flexible.says != strict.says:
        says = "undecided"
        why = (
            f"The grading rule decides it: {strict.says} under strict grading, {flexible.says} under flexible grading."
        )
    found = strict.decision
    because = " ".join([why, *_found(strict, routed, changed), *_controls(strict), _limits(says)])
    if found.refused:
        return Verdict(CLAIM, REPORTED, None, None, None, found.n, says, because)
    return Verdict(CLAIM, REPORTED, found.estimate, found.low, found.high, found.n, says, because)


def _find(table: pd.DataFrame, column: str, routed: float) -> _Finding:
    kept = table[table["arm"].isin(["base", "tuned", DECISION, TWIN, ALL])]
    right = {str(arm): values.to_numpy() for arm, values in outcomes(kept, "arm", column).items()}
    base, tuned = right["base"], right["tuned"]
    decision, twin, everything = (gap_recovered(right[name], base, tuned) for name in (DECISION, TWIN, ALL))
    ahead = difference(right[DECISION], right[TWIN])
    says, why = _decide(decision, ahead, routed)
    return _Finding(says, why, decision, everything, twin, ahead, int((right[ALL] != tuned).sum()))


def _decide(found: Recovered, ahead: Interval, routed: float) -> tuple[Says, str]:
    """The rule, and its outcome in a sentence."""
    if found.refused:
        return "undecided", f"There is no gain to recover: {found.reason}."
    if found.gap < 0:
        return "undecided", "There is no gain to recover: tuned answers fewer problems than base."
    if found.high < LITTLE:
        return "contradicted", (
            f"Tuning taught how, not when: choosing at decision tokens recovers less than {LITTLE:.0%} of a real gain."
        )
    missing = []
    if found.low < MOST:
        missing.append(f"the recovered share's interval reaches below {MOST:.0%}")
    if routed > FEW:
        missing.append(f"{routed:.1%} of tokens are routed, more than {FEW:.0%}")
    if ahead.low <= 0:
        missing.append("it does not beat random positions at the same rate")
    if missing:
        return "undecided", f"Not enough for either reading: {listed(missing)}."
    return "supported", (
        f"Tuning taught when: choosing at decision tokens only, it recovers at least {MOST:.0%} of its gain, "
        f"with at most {FEW:.0%} of tokens routed, and random positions do not."
    )


def _found(finding: _Finding, routed: float, changed: float) -> list[str]:
    found = finding.decision
    gap = f"Tuned - base is {shown(found.gap, found.gap_low, found.gap_high)} over {found.n} problems."
    share = f"It chooses {routed:.1%} of the tokens written and changes {changed:.1%}."
    if found.refused:
        return [gap, share]
    doubt = f" In {found.gap_lost:.1%} of resamples the gap vanishes or turns." if found.gap_lost > 0 else ""
    recovered = f"Choosing at decision tokens recovers {shown(found.estimate, found.low, found.high)} of it."
    return [gap + doubt, recovered, share]


def _controls(finding: _Finding) -> list[str]:
    ahead, twin, everything = finding.ahead, finding.twin, finding.all_disagreements
    beats = f"it answers {shown(ahead.estimate, ahead.low, ahead.high)} more of the problems"
    control = f"Control, random positions at the same rate: against them {beats}"
    control += "." if twin.refused else f"; they recover {shown(twin.estimate, twin.low, twin.high)}."
    by_construction = "that arm is tuned's own greedy decoding by construction, so its number is empty"
    if everything.refused:
        empty = f"Routing every disagreement has no gap to recover either; {by_construction}."
    else:
        share = shown(everything.estimate, everything.low, everything.high)
        empty = f"Routing every disagreement recovers {share}; {by_construction}."
    if finding.wrongly_unlike_tuned:
        empty += f" (Yet it differs from tuned on {finding.wrongly_unlike_tuned} problems: near ties, or a fault.)"
    return [control, empty]


def _limits(says: Says) -> str:
    ceiling = "Not measured here: base's own pass@k, the ceiling of what choosing could bring out."
    change = {
        "supported": "What would change our mind: base failing these problems in every one of many samples, "
        "or another draw of random positions that does as well.",
        "contradicted": "What would change our mind: steering, with base writing every token, that recovers the gain.",
        "undecided": "What would settle it: more problems, or a pair with a larger gap.",
    }
    return f"{ceiling} {change[says]}"
