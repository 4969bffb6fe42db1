"""'Routing a few tokens recovers 91% of what tuning gained': did tuning teach when, or how?"""

import math
from dataclasses import dataclass, replace

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

SHORT = 0.05
"""How far base's verified pass@k may stay below tuned's accuracy and still reach it."""

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


def routing_recovers_gain(answers: Measurement, *, ceiling: Measurement | None = None) -> Verdict:
    """Supported: tuned, choosing at decision tokens only, is enough (WHEN). Contradicted: it recovers little (HOW).

    - supported: the arm "decision tokens" recovers at least 80% of tuned - base (low end of the interval), chooses at
      most 15% of the tokens written (`routed`, whether or not its token differed from base's), and is right more often
      than "random at the decision rate", averaged over its draws, on the same problems (interval of the difference
      above 0)
    - contradicted: its interval stays under 20% although the gap is real
    - undecided: there is no gain to recover, anything between, or strict and flexible grading disagree

    The routed arms are judged with base writing all content: routing every disagreement is tuned's own greedy decoding.
    `estimate` is the decision arm's recovered share. With a `ceiling`, WHEN also needs base, sampled often, to solve
    what tuned solves by a process that is true (`passed`, verified); without one `because` says that it is not known.
    """
    verdict = _by_routing(answers)
    if ceiling is None:
        return verdict
    reaches, sentence = _reaches(answers, ceiling)
    because = verdict.because.replace(_NO_CEILING, sentence)
    if verdict.says == "supported" and not reaches:
        lead = "Not enough for either reading: base, sampled often, does not reach what tuned solves."
        return replace(verdict, says="undecided", because=f"{lead} {because}")
    return replace(verdict, because=because)


def passed(ceiling: Measurement, k: int, *, verified: bool = True) -> pd.Series:
    """pass@k per problem: 1 - C(n - c, k) / C(n, k) with c of n samples right (Chen et al. 2021); verified only."""
    table = rows_of(ceiling, "problem", "n", "right", "verified")
    if verified and table["verified"].isna().any():
        raise ValueError("no process was verified in this ceiling; its task has no parser")
    if not 1 <= k <= table["n"].min():
        raise ValueError(f"pass@{k} needs at least {k} samples per problem, there are {table['n'].min()}")
    right = table["verified" if verified else "right"].astype(int)
    shares = [1 - math.comb(n - c, k) / math.comb(n, k) for n, c in zip(table["n"], right, strict=True)]
    return pd.Series(shares, index=table["problem"])


def _reaches(answers: Measurement, ceiling: Measurement) -> tuple[bool, str]:
    """Whether base's pass@k reaches tuned's accuracy on the same problems, and what was found."""
    verified = bool(ceiling.table["verified"].notna().all())
    k = int(ceiling.table["n"].min())
    able = passed(ceiling, k, verified=verified)
    tuned = answers.table[answers.table["arm"] == "tuned"].set_index("problem")["correct"]
    if set(able.index) != set(tuned.index):
        raise ValueError("ceiling and answers are not of the same problems; sample base on those that were routed")
    ahead = difference(able.to_numpy(), tuned.reindex(able.index).to_numpy())
    reached = verified and ahead.low >= -SHORT
    kind = "process-verified " if verified else ""
    sentence = (
        f"Base's {kind}pass@{k} is {able.mean():.2f}, {shown(ahead.estimate, ahead.low, ahead.high)} more than tuned's "
        f"accuracy{'' if reached else f', which does not reach it within {SHORT}'}."
    )
    if verified:
        lucky = (
            1 - (1 - float((ceiling.table["right"] - ceiling.table["verified"]).sum() / ceiling.table["n"].sum())) ** k
        )
        sentence += f" Guesses alone would come to {lucky:.2f}, which is why the process is verified."
    else:
        sentence += " No process was verified, so guesses count in it and it does not support WHEN."
    return reached, sentence


def _by_routing(answers: Measurement) -> Verdict:
    """The verdict without a ceiling."""
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
    change = {
        "supported": "What would change our mind: base failing these problems in every one of many samples, "
        "or another draw of random positions that does as well.",
        "contradicted": "What would change our mind: steering, with base writing every token, that recovers the gain.",
        "undecided": "What would settle it: more problems, or a pair with a larger gap.",
    }
    return f"{_NO_CEILING} {change[says]}"


_NO_CEILING = "Not measured here: base's own pass@k, the ceiling of what choosing could bring out."
