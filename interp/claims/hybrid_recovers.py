"""'The hybrid recovers most of what tuning gained', judged from rollouts made elsewhere, under every grading rule."""

import pandas as pd

from interp.claims.verdict import Says, Verdict, listed, outcomes, rows_of, shown
from interp.intervals import Recovered, gap_recovered, mcnemar
from interp.measurement import Measurement

REPORTED = 0.91
"""Abstract of arXiv 2510.07364."""
MOST = 0.80
"""Of the gain, the share that has to be recovered for it to be most of it."""
_CONTROLS = (
    "Whether tuning taught when or how cannot be concluded from these texts: they hold no random control, not who "
    "wrote which token, and nothing on what base can do when sampled often."
)


def recovered_by_rule(audit: Measurement, arm: str) -> dict[str, Recovered]:
    """The share of the gap that an arm recovers, with its paired interval, under each rule."""
    table = rows_of(audit, "problem", "arm", "rule", "correct", "parsed")
    found = {}
    for rule, rows in table.groupby("rule", sort=False):
        right = outcomes(rows, "arm")
        found[str(rule)] = gap_recovered(*(right[name].to_numpy() for name in (arm, "base", "tuned")))
    return found


def audit_table(audit: Measurement) -> pd.DataFrame:
    """A row per rule and arm: n, right, accuracy, recovered (low to high), the gap, what did not parse, McNemar's p.

    `p` is of the arm and base being right equally often. `judge` is the given judge's number of right answers, where
    one is known, and `agrees` the share of answers on which the rule and the judge's flags agree.
    """
    table, totals = rows_of(audit, "problem", "arm", "rule", "correct", "parsed"), dict(audit.made_with["judge_totals"])
    flags = table[table["rule"] == "given judge"].set_index(["problem", "arm"])["correct"]
    rows = []
    for rule, graded in table.groupby("rule", sort=False):
        right = outcomes(graded, "arm")
        for arm, of_arm in graded.groupby("arm", sort=False):
            found = gap_recovered(*(right[name].to_numpy() for name in (arm, "base", "tuned")))
            pairs = of_arm.set_index(["problem", "arm"])["correct"]
            rows.append(
                {
                    "rule": rule,
                    "arm": arm,
                    "n": found.n,
                    "right": int(of_arm["correct"].sum()),
                    "accuracy": float(of_arm["correct"].mean()),
                    "recovered": found.estimate,
                    "low": found.low,
                    "high": found.high,
                    "gap": found.gap,
                    "gap_low": found.gap_low,
                    "gap_high": found.gap_high,
                    "gap_lost": found.gap_lost,
                    "refused": found.refused,
                    "reason": found.reason,
                    "unparsed": int((~of_arm["parsed"].astype(bool)).sum()),
                    "p": mcnemar(right[arm].to_numpy(), right["base"].to_numpy()) if found.n > 1 else float("nan"),
                    "judge": totals.get(arm, int(flags.xs(arm, level="arm").sum()) if len(flags) else None),
                    "agrees": float((pairs == flags.reindex(pairs.index)).mean()) if len(flags) else None,
                }
            )
    return pd.DataFrame(rows)


def hybrid_recovers(audit: Measurement, arm: str = "hybrid") -> Verdict:
    """Supported or contradicted only if every rule says so: the arm recovers at least 80% of tuned - base.

    - supported: under every rule the low end of the recovered share's paired 95% interval is at least 80%
    - contradicted: under every rule its high end is under 80%, or the arm does not beat base at all
    - undecided: rules disagree, an interval holds 80%, or a rule leaves no gap, or one of the wrong sign

    `estimate` and its ends are those of the rule that gives the least; `because` gives every rule's.
    """
    if arm not in set(rows_of(audit, "arm")["arm"]):
        raise ValueError(f"the audit has no arm {arm!r}; it has {', '.join(dict.fromkeys(audit.table['arm']))}")
    found = recovered_by_rule(audit, arm)
    said = {rule: _says(share) for rule, share in found.items()}
    claim = f"The arm {arm!r} recovers most of what tuning gained"
    n = next(iter(found.values())).n
    agreed = set(said.values())
    says: Says = said[next(iter(said))] if len(agreed) == 1 else "undecided"
    real = [share for share in found.values() if not share.refused and share.gap > 0]
    because = " ".join(
        [_why(says, said, len(real) < len(found)), *_each(found, audit, arm), *_judge(audit, arm), _CONTROLS]
    )
    if len(real) < len(found):
        return Verdict(claim, REPORTED, None, None, None, n, says, because)
    least = min(real, key=lambda share: share.estimate)
    return Verdict(claim, REPORTED, least.estimate, least.low, least.high, n, says, because)


def _says(found: Recovered) -> Says:
    if found.refused or found.gap < 0 or found.low < MOST <= found.high:
        return "undecided"
    return "supported" if found.low >= MOST else "contradicted"


def _why(says: Says, said: dict[str, Says], without_gap: bool) -> str:
    number = f"{len(said)} rule" + ("s" if len(said) > 1 else "")
    if says == "supported":
        return f"Under each of {number} it recovers at least {MOST:.0%}."
    if says == "contradicted":
        return f"Under each of {number} it recovers less than {MOST:.0%}."
    if len(set(said.values())) > 1:
        groups = {word: [rule for rule, here in said.items() if here == word] for word in dict.fromkeys(said.values())}
        return f"The grading rule decides it: {'; '.join(f'{w} by {listed(r)}' for w, r in groups.items())}."
    return "No rule leaves a gain to recover." if without_gap else f"No rule's interval is clear of {MOST:.0%}."


def _each(found: dict[str, Recovered], audit: Measurement, arm: str) -> list[str]:
    """Each rule's share and gap, and where it read nothing out of most answers of an arm."""
    table = audit.table[audit.table["arm"].isin(["base", "tuned", arm])]
    unread = 1 - table.groupby(["rule", "arm"], sort=False)["parsed"].mean()
    sentences = []
    for rule, share in found.items():
        gap = f"of a gap of {shown(share.gap, share.gap_low, share.gap_high)}"
        if share.refused:
            sentences.append(f"By {rule}: no share, {share.reason}.")
        else:
            sentences.append(f"By {rule}: {shown(share.estimate, share.low, share.high)} {gap}.")
        mute = [f"{missing:.0%} of {name}'s" for name, missing in unread[rule].items() if missing > 0.5]
        sentences += [f"That rule reads nothing out of {listed(mute)} answers."] if mute else []
    return sentences


def _judge(audit: Measurement, arm: str) -> list[str]:
    totals = audit.made_with["judge_totals"]
    if not {"base", "tuned", arm} <= totals.keys() or totals["tuned"] == totals["base"]:
        return []
    share = (totals[arm] - totals["base"]) / (totals["tuned"] - totals["base"])
    return [
        f"The given judge's totals ({totals['base']}, {totals['tuned']} and {totals[arm]} right for base, tuned and "
        f"{arm}) come to {share:.2f}; without its flags per problem that number has no paired interval."
    ]
