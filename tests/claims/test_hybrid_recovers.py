import numpy as np
import pandas as pd
import pytest

from interp.claims.hybrid_recovers import audit_table, hybrid_recovers
from interp.intervals import gap_recovered
from interp.measurement import Measurement

N = 200


def audit(totals: dict[str, int] | None = None, **right: dict[str, float]) -> Measurement:
    """Each rule's share of right answers per arm; the arms' right problems are nested."""
    rows = [
        {"problem": f"p{i}", "arm": arm, "rule": rule, "correct": i < share * N, "found": "", "parsed": True}
        for rule, arms in right.items()
        for arm, share in arms.items()
        for i in range(N)
    ]
    return Measurement("audit", "right or wrong", pd.DataFrame(rows), {"judge_totals": totals or {}, "rules": {}})


MOST = {"base": 0.2, "tuned": 0.9, "hybrid": 0.88}
HALF = {"base": 0.2, "tuned": 0.9, "hybrid": 0.5}
NO_GAP = {"base": 0.5, "tuned": 0.5, "hybrid": 0.5}
LOSS = {"base": 0.9, "tuned": 0.2, "hybrid": 0.2}


@pytest.mark.parametrize(
    ("rules", "says", "why"),
    [
        ({"one": MOST, "two": MOST}, "supported", "Under each of 2 rules it recovers at least 80%"),
        ({"one": HALF}, "contradicted", "Under each of 1 rule it recovers less than 80%"),
        ({"one": MOST, "two": HALF}, "undecided", "The grading rule decides it: supported by one; contradicted by two"),
        ({"one": MOST, "two": NO_GAP}, "undecided", "The grading rule decides it"),
        ({"one": NO_GAP}, "undecided", "No rule leaves a gain to recover"),
        ({"one": LOSS}, "undecided", "No rule leaves a gain to recover"),
        ({"one": {**MOST, "hybrid": 0.77}}, "undecided", "No rule's interval is clear of 80%"),
    ],
)
def test_a_verdict_survives_every_rule(rules: dict[str, dict[str, float]], says: str, why: str) -> None:
    verdict = hybrid_recovers(audit(**rules))
    assert verdict.says == says
    assert why in verdict.because
    assert "cannot be concluded" in verdict.because
    assert (verdict.estimate is None) == any(arms in (NO_GAP, LOSS) for arms in rules.values())


def test_the_table_has_the_paired_share_and_the_judge_beside_it() -> None:
    made = audit({"base": 50, "tuned": 150, "hybrid": 100}, one=HALF)
    table = audit_table(made).set_index("arm")
    right = {arm: np.arange(N) < share * N for arm, share in HALF.items()}
    found = gap_recovered(right["hybrid"], right["base"], right["tuned"])
    assert table.loc["hybrid", ["recovered", "low", "high"]].tolist() == [found.estimate, found.low, found.high]
    assert table.right.to_dict() == {"base": 40, "tuned": 180, "hybrid": 100}
    assert table.judge.to_dict() == {"base": 50, "tuned": 150, "hybrid": 100}
    assert "come to 0.50" in hybrid_recovers(made).because


def test_flags_are_compared_with_rules_answer_by_answer() -> None:
    made = audit(**{"given judge": HALF, "one": {**HALF, "hybrid": 0.45}})
    table = audit_table(made).set_index(["rule", "arm"])
    assert table.agrees["one", "hybrid"] == pytest.approx(0.95)
    assert table.agrees["one", "base"] == 1


def test_an_absent_arm_is_named() -> None:
    with pytest.raises(ValueError, match="the audit has no arm 'steered'; it has base, tuned, hybrid"):
        hybrid_recovers(audit(one=MOST), "steered")
