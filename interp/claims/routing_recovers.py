"""'Routing a few tokens recovers 91% of what tuning gained': did tuning teach when, or how?"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from interp.budgets import curve_of
from interp.claims.ceiling import reaches
from interp.claims.verdict import Says, Verdict, listed, outcomes, rows_of, shown
from interp.intervals import Interval, Recovered, difference, gap_recovered
from interp.measurement import Measurement
from interp.power import problems_for_verdict

CLAIM = "Routing a few tokens recovers 91% of what tuning gained"
REPORTED = 0.91
"""Abstract of arXiv 2510.07364, which steers base's residual stream; token routing is arXiv 2603.22446."""

MOST = 0.80
"""Below this share of the gain, what was left out is too much to say that choosing when was all that tuning taught."""
FEW = 0.15
"""The claim is about few tokens: the paper touches 12%, and this is that and a little. The value was stated before any
of the organisms here was trained, beside pilot numbers of other, smaller ones, so it is a starting point and no
calibration; it moves for no pair. Where every sixth token is a decision, decision tokens may recover everything and it
is still not this claim that is confirmed: what they recover within this budget is said then."""
LITTLE = 0.20
"""Where tuning taught a skill that base lacks, its decision tokens alone recover about nothing."""

CUT = 0.05
"""From this share of answers on that ran into the length limit, what an arm solves is also a matter of the limit."""

DECISION, TWIN, ALL = "decision tokens", "random at the decision rate", "every disagreement"
STEERED, STEERED_TWIN = "steering", "random steering directions"


@dataclass(frozen=True)
class _Finding:
    """What one grading rule says of one arm."""

    arm: str
    says: Says
    why: str
    recovered: Recovered
    all_disagreements: Recovered
    twin: Recovered
    ahead: Interval
    wrongly_unlike_tuned: int
    routed: float
    changed: float


def routing_recovers_gain(answers: Measurement, *, ceiling: Measurement | None = None) -> Verdict:
    """Supported: tuned, choosing at decision tokens only, is enough (WHEN). Contradicted: it recovers little (HOW).

    - supported: an arm in which base writes all content recovers at least 80% of tuned - base (low end), chooses at
      most 15% of the tokens written (`routed`, whether or not its token differed from base's), and is right more often
      than its random twin, averaged over draws, on the same problems (interval of the difference above 0).
      These arms are "decision tokens", whose twin is "random at the decision rate", and, where it was measured,
      "steering", whose twin is "random steering directions"
    - contradicted: the intervals of these arms stay under 20% although the gap is real
    - undecided: there is no gain to recover, anything between, or strict and flexible grading disagree

    The routed arms are judged with base writing all content: routing every disagreement is tuned's own greedy decoding.
    `estimate` is the decision arm's recovered share, or steering's where that alone supports. With a `ceiling`, WHEN
    also needs base, sampled often, to solve what tuned solves by a process that is true (`passed`, verified); without
    one `because` says that it is not known.
    """
    verdict = _by_routing(answers)
    if ceiling is None:
        return verdict
    able, sentence = reaches(answers, ceiling)
    because = verdict.because.replace(_NO_CEILING, sentence)
    if verdict.says == "supported" and not able:
        lead = "Not enough for either reading: base, sampled often, does not reach what tuned solves."
        return replace(verdict, says="undecided", because=f"{lead} {because}")
    return replace(verdict, because=because)


def _by_routing(answers: Measurement) -> Verdict:
    """The verdict without a ceiling."""
    table = rows_of(answers, "arm", "problem", "correct", "flexible", "tokens", "routed", "changed", "reason")
    missing = {"base", "tuned", DECISION, TWIN, ALL} - set(table["arm"].unique())
    if missing:
        raise ValueError(f"measurement {answers.name!r} has no arm {listed(sorted(missing))}; route with it first")
    arms = {DECISION: TWIN}
    if {STEERED, STEERED_TWIN} <= set(table["arm"].unique()):
        arms[STEERED] = STEERED_TWIN
    strict = {arm: _find(table, "correct", arm, twin) for arm, twin in arms.items()}
    says = _together([finding.says for finding in strict.values()])
    lenient = _together([_find(table, "flexible", arm, twin).says for arm, twin in arms.items()])
    chosen = strict[next((arm for arm, finding in strict.items() if finding.says == says), DECISION)]
    why = chosen.why
    if lenient != says:
        why = f"The grading rule decides it: {says} under strict grading, {lenient} under flexible grading."
        says = "undecided"
    elif says == "undecided" and any(finding.says == "contradicted" for finding in strict.values()):
        why = f"The arms disagree: {listed([f'{arm} by itself is {f.says}' for arm, f in strict.items()])}."
    found = chosen.recovered
    told = [*_found(chosen), *_controls(chosen), *_steered(strict), *_budget(answers, chosen), *_cut(table, strict)]
    because = " ".join([why, *told, RULE, _limits(says, priced=_PRICE in why)])
    if found.refused:
        return Verdict(CLAIM, REPORTED, None, None, None, found.n, says, because)
    return Verdict(CLAIM, REPORTED, found.estimate, found.low, found.high, found.n, says, because)


def _together(says: list[Says]) -> Says:
    """Supported by any arm in which base writes all content, contradicted by all of them."""
    if "supported" in says:
        return "supported"
    return "contradicted" if set(says) == {"contradicted"} else "undecided"


def _find(table: pd.DataFrame, column: str, arm: str, twin: str) -> _Finding:
    kept = table[table["arm"].isin(["base", "tuned", arm, twin, ALL])]
    right = {str(name): values.to_numpy() for name, values in outcomes(kept, "arm", column).items()}
    base, tuned = right["base"], right["tuned"]
    recovered, control, everything = (gap_recovered(right[name], base, tuned) for name in (arm, twin, ALL))
    rows = table[table["arm"] == arm]
    routed, changed = (float(rows[name].sum() / rows["tokens"].sum()) for name in ("routed", "changed"))
    ahead = difference(right[arm], right[twin])
    says, why = _decide(arm, recovered, ahead, routed)
    if says == "undecided" and not recovered.refused and recovered.low < MOST < recovered.estimate:
        n = problems_for_verdict(right[arm], base, tuned, threshold=MOST)
        why += f" If more problems behave as these do, about {n:,} would bring the interval above {MOST:.0%}."
    unlike = int((right[ALL] != tuned).sum())
    return _Finding(arm, says, why, recovered, everything, control, ahead, unlike, routed, changed)


def _decide(arm: str, found: Recovered, ahead: Interval, routed: float) -> tuple[Says, str]:
    """The rule, and its outcome in a sentence."""
    how = "choosing at decision tokens" if arm == DECISION else "steering base"
    if found.refused:
        return "undecided", f"There is no gain to recover: {found.reason}."
    if found.gap < 0:
        return "undecided", "There is no gain to recover: tuned answers fewer problems than base."
    if found.high < LITTLE:
        return "contradicted", (f"Tuning taught how, not when: {how} recovers less than {LITTLE:.0%} of a real gain.")
    missing = []
    if found.low < MOST:
        missing.append(f"the recovered share's interval reaches below {MOST:.0%}")
    if routed > FEW:
        missing.append(f"{routed:.1%} of tokens are routed, more than {FEW:.0%}")
    if ahead.low <= 0:
        missing.append("it does not beat random positions at the same rate")
    if missing:
        alone = _PRICE if routed > FEW and len(missing) == 1 else ""
        return "undecided", f"Not enough for either reading: {listed(missing)}.{alone}"
    return "supported", (
        f"Tuning taught when: {how} only, it recovers at least {MOST:.0%} of its gain, "
        f"with at most {FEW:.0%} of tokens routed, and its random control does not."
    )


def _found(finding: _Finding) -> list[str]:
    found = finding.recovered
    gap = f"Tuned - base is {shown(found.gap, found.gap_low, found.gap_high)} over {found.n} problems."
    share = f"It chooses {finding.routed:.1%} of the tokens written and changes {finding.changed:.1%}."
    if found.refused:
        return [gap, share]
    doubt = f" In {found.gap_lost:.1%} of resamples the gap vanishes or turns." if found.gap_lost > 0 else ""
    how = "Choosing at decision tokens" if finding.arm == DECISION else "Steering base"
    return [gap + doubt, f"{how} recovers {shown(found.estimate, found.low, found.high)} of it.", share]


def _steered(findings: Mapping[str, _Finding]) -> list[str]:
    """What the arm found in which base writes every token, where it was measured."""
    if STEERED not in findings or findings[STEERED].recovered.refused:
        return []
    finding = findings[STEERED]
    share, ahead = finding.recovered, finding.ahead
    return [
        f"Steering, base writing every token, recovers {shown(share.estimate, share.low, share.high)} with "
        f"{finding.routed:.1%} of tokens pushed, and answers {shown(ahead.estimate, ahead.low, ahead.high)} more of "
        "the problems than random directions as long."
    ]


def _budget(answers: Measurement, finding: _Finding) -> list[str]:
    """What decision tokens recover within the claim's budget, where they take more and were thinned."""
    names = list(answers.table["arm"].unique())
    kept = [name for name in names if re.fullmatch(rf"{DECISION}, \d+% kept", name)]
    random = [name for name in names if re.fullmatch(r"random \d+%", name)]
    if finding.recovered.refused or finding.routed <= FEW or not kept or not random:
        return []
    curve = curve_of(answers, [*kept, DECISION], random, budgets=[FEW])
    if curve is None:
        return []
    at, over = curve.at[FEW], curve.over_random
    return [
        f"Within {FEW:.0%} of tokens, decisions left out at random, they recover {shown(at.estimate, at.low, at.high)}"
        f"; the area between their curve and that of random positions is {shown(over.estimate, over.low, over.high)}."
    ]


def _cut(table: pd.DataFrame, findings: Mapping[str, _Finding]) -> list[str]:
    """Which of the arms that count did not come to an end."""
    read = table[table["arm"].isin(["base", "tuned", *findings])]
    shares = (read["reason"] == "length").groupby(read["arm"]).mean()
    return [
        f"{share:.0%} of the answers of {arm} ran into the length limit."
        for arm, share in shares.items()
        if share > CUT
    ]


def _controls(finding: _Finding) -> list[str]:
    ahead, twin, everything = finding.ahead, finding.twin, finding.all_disagreements
    beats = f"it answers {shown(ahead.estimate, ahead.low, ahead.high)} more of the problems"
    name = "random positions at the same rate" if finding.arm == DECISION else "random directions as long"
    control = f"Control, {name}: against them {beats}"
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


def _limits(says: Says, *, priced: bool = False) -> str:
    change = {
        "supported": "What would change our mind: base failing these problems in every one of many samples, "
        "or another draw of random positions that does as well.",
        "contradicted": "What would change our mind: steering, with base writing every token, that recovers the gain.",
        "undecided": "What would settle it: more problems, or a pair with a larger gap.",
    }
    return _NO_CEILING if priced else f"{_NO_CEILING} {change[says]}"


_PRICE = (
    " That alone keeps it from support: it recovers the gain and beats random positions, but the claim is about few "
    f"tokens. More problems would not change that; an arm that recovers as much with at most {FEW:.0%} of tokens would."
)
RULE = (
    f"Rule: WHEN from {MOST:.0%} recovered (low end) with at most {FEW:.0%} of tokens and ahead of random; HOW if it "
    f"stays under {LITTLE:.0%} (high end); else undecided."
)
_NO_CEILING = "Not measured here: base's own pass@k, the ceiling of what choosing could bring out."
