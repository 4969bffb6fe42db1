"""The figure of an audit draws the shares that its table holds, and says where a rule leaves no gap."""

import pandas as pd
import pytest

from interp.intervals import gap_recovered
from interp.measurement import Measurement
from interp.plots.audit_rules import audit_rules, rule_table

N = 60


def audit(judge: dict[str, int] | None = None) -> Measurement:
    """Base solves a third, tuned all, the hybrid two thirds by the fair rule; by the blind rule nobody solves any."""
    rows = []
    for problem in range(N):
        for arm, solved in (("base", problem < 20), ("tuned", True), ("hybrid", problem < 40)):
            row = {"problem": f"p{problem}", "arm": arm}
            rows.append(row | {"rule": "fair", "correct": solved, "parsed": True})
            rows.append(row | {"rule": "blind", "correct": False, "parsed": arm == "tuned"})
    return Measurement("audit", "right or wrong under each rule", pd.DataFrame(rows), {"judge_totals": judge or {}})


def test_a_rule_has_the_share_of_the_paired_bootstrap_and_a_blind_one_none() -> None:
    table = rule_table(audit()).set_index("rule")
    solved = [[p < 20 for p in range(N)], [True] * N, [p < 40 for p in range(N)]]
    base, tuned, hybrid = (pd.Series(one).to_numpy() for one in solved)
    found = gap_recovered(hybrid, base, tuned)
    assert table.recovered["fair"] == found.estimate == pytest.approx(0.5)
    assert (table.recovered_low["fair"], table.recovered_high["fair"]) == (found.low, found.high)
    assert table.refused["blind"] and pd.isna(table.recovered["blind"])
    assert table.unread["blind"] == 1 and table.unread["fair"] == 0


def test_a_judges_totals_give_a_share_without_an_interval() -> None:
    table = rule_table(audit({"base": 20, "tuned": 60, "hybrid": 30})).set_index("rule")
    assert table.recovered["authors' judge"] == 0.25 and pd.isna(table.recovered_low["authors' judge"])
    assert "authors' judge" not in set(rule_table(audit({"base": 20, "tuned": 60})).rule), (
        "the hybrid's total is missing"
    )


def test_the_drawing_holds_the_tables_numbers_and_names_the_rule_without_a_gap() -> None:
    figure = audit_rules({"one": audit(), "two": audit({"base": 20, "tuned": 60, "hybrid": 30})})
    drawn = sorted(float(x) for trace in figure.data for x in trace.x)
    assert drawn == pytest.approx([0.25, 0.5, 0.5])
    said = [note.text for note in figure.layout.annotations]
    assert said.count("no gap, no share") == 2
    assert "fair<br>0% of base unread" in figure.layout.yaxis.ticktext
