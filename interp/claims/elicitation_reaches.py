"""'Elicitation without tuning reaches what tuning reaches': every elicitor in one table, under base's ceiling."""

import math

import pandas as pd

from interp.claims.ceiling import passed
from interp.claims.register import REGISTER
from interp.claims.verdict import Says, Verdict, outcomes, rows_of, shown
from interp.intervals import Recovered, difference, gap_recovered
from interp.measurement import Measurement

PAPER = REGISTER["C16"]
MOST, LITTLE = 0.80, 0.20
"""Of the gain, the share from which an elicitor reaches what tuning reaches, and below which it brings little."""
SHORT = 0.05
"""How far base's ceiling may stay below tuned."""
KINDS = {
    "prompt": ("base asked", "base after"),
    "several answers": ("base, surest", "base, majority"),
    "steering": ("steering by one vector", "steering by mean difference", "steering where base decides"),
}
"""What counts as elicitation: base writes every token and tuned is not asked while it does. Names of arms begin so."""
TWINS = ("random steering directions", "random strategies steered")


def elicitors(answers: Measurement, *, ceiling: Measurement | None = None) -> pd.DataFrame:
    """One row per elicitor that was tried: kind, arm, n, accuracy, recovered, low, high, tokens (written per problem).

    The kind "control" holds random twins of steering, "ceiling" base's verified pass@k on the ceiling's problems.
    """
    table = rows_of(answers, "arm", "problem", "correct", "tokens")
    right = outcomes(table, "arm")
    cost = table.groupby("arm")["tokens"].mean()
    rows = []
    for arm in right:
        kind = next((kind for kind, names in KINDS.items() if arm.startswith(names)), "")
        kind = "control" if arm.startswith(TWINS) else kind
        if kind:
            found = _share(right, arm)
            shares = {"recovered": found.estimate, "low": found.low, "high": found.high}
            rows.append({"kind": kind, "arm": arm, "n": found.n, "accuracy": right[arm].mean(), **shares})
            rows[-1]["tokens"] = float(cost[arm])
    if ceiling is not None:
        verified = bool(ceiling.table["verified"].notna().all())
        k = int(ceiling.table["n"].min())
        reached = passed(ceiling, k, verified=verified)
        name = f"base, {'verified ' if verified else ''}pass@{k}"
        none = dict.fromkeys(("recovered", "low", "high", "tokens"), math.nan)
        rows.append({"kind": "ceiling", "arm": name, "n": len(reached), "accuracy": reached.mean(), **none})
    columns = ["kind", "arm", "n", "accuracy", "recovered", "low", "high", "tokens"]
    return pd.DataFrame(rows, columns=columns)


def elicitation_reaches(answers: Measurement, *, ceiling: Measurement | None = None) -> Verdict:
    """Does some elicitor bring base at least 80% of what tuning brought?

    The best elicitor is chosen on half of the problems and judged on the others; `estimate` is its recovered share
    there. Steering counts only if it beats its random twins.

    - supported: its low end is at least 80%
    - contradicted: base's verified pass@k stays below tuned by more than 0.05 (no elicitor can bring what base never
      writes), or the best share's high end is under 20%
    - undecided: anything between, or no gain to reach
    """
    right = outcomes(rows_of(answers, "arm", "problem", "correct"), "arm")
    right = right.loc[answers.table["problem"].drop_duplicates()]  # in the table's order, whatever problems are called
    tried = elicitors(answers, ceiling=ceiling)
    arms = tried[~tried["kind"].isin(["control", "ceiling"])]["arm"].tolist()
    if not arms:
        because = PAPER.told("no elicitor") + f" What it needs: {PAPER.needs}."
        return Verdict(PAPER.claim, None, None, None, None, len(right), "undecided", because)
    choose, judge = right.iloc[::2], right.iloc[1::2]
    best = choose[arms].mean().idxmax()
    found = _share(judge, best)
    short = _ceiling_short(right, ceiling)
    each = "; ".join(f"{row.arm} {row.accuracy:.2f}" for row in tried.itertuples())
    reasons = [f"Accuracies: base {right['base'].mean():.2f}, tuned {right['tuned'].mean():.2f}; {each}."]
    if short is not None:
        reasons.append(f"Base's ceiling minus tuned: {shown(*short)}.")
    if found.refused:
        because = " ".join([PAPER.told(found.reason), *reasons])
        return Verdict(PAPER.claim, None, None, None, None, found.n, "undecided", because)
    says: Says = "undecided"
    if (short is not None and short[2] < -SHORT) or found.high < LITTLE:
        says = "contradicted"
    elif found.low >= MOST and _beats_twins(judge, best):
        says = "supported"
    told = (
        f"{shown(found.estimate, found.low, found.high)} of the gain recovered by {best!r}, the best on other problems"
    )
    because = " ".join([PAPER.told(told), *reasons])
    return Verdict(PAPER.claim, None, found.estimate, found.low, found.high, found.n, says, because)


def _share(right: pd.DataFrame, arm: str) -> Recovered:
    return gap_recovered(*(right[name].to_numpy() for name in (arm, "base", "tuned")))


def _beats_twins(right: pd.DataFrame, arm: str) -> bool:
    """Whether a steered arm does better than every random twin; others have none and pass."""
    if not arm.startswith(KINDS["steering"]):
        return True
    twins = [name for name in right if name.startswith(TWINS)]
    return bool(twins) and all(difference(right[arm].to_numpy(), right[twin].to_numpy()).low > 0 for twin in twins)


def _ceiling_short(right: pd.DataFrame, ceiling: Measurement | None) -> tuple[float, float, float] | None:
    """Base's verified pass@k minus tuned's accuracy on the ceiling's problems; None without a verified one."""
    if ceiling is None or ceiling.table["verified"].isna().any():
        return None
    reached = passed(ceiling, int(ceiling.table["n"].min()))
    apart = difference(reached.to_numpy(), right["tuned"].reindex(reached.index).to_numpy())
    return apart.estimate, apart.low, apart.high
