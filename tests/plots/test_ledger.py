"""The ledger draws what the verdicts say, and nothing else."""

import pandas as pd
import pytest

from interp.claims.verdict import Verdict, verdict_table
from interp.plots.ledger import ledger, ledger_text, ledgers

VERDICTS = [
    Verdict("a share", 0.91, 0.5, 0.25, 0.75, 300, "contradicted", "half of it"),
    Verdict("no number", None, None, None, None, 12, "undecided", "no gap"),
    Verdict("one-sided", None, 0.9, 0.8, float("inf"), 40, "supported", "wide"),
]


def test_each_estimate_stands_in_the_row_of_its_claim(traces) -> None:
    figure = ledger(verdict_table(VERDICTS))
    by_name = {trace["name"]: trace for trace in traces(figure)}
    assert by_name["contradicted"]["x"] == [0.5] and by_name["contradicted"]["y"] == [0]
    assert by_name["contradicted"]["error_x"]["array"] == [0.25]
    assert by_name["supported"]["x"] == [0.9] and by_name["supported"]["y"] == [2]
    assert by_name["reported"]["x"] == [0.91] and by_name["reported"]["y"] == [0]
    assert "undecided" not in by_name
    cut = [trace for trace in traces(figure) if trace["marker"]["symbol"] == "triangle-right"]
    assert [trace["y"] for trace in cut] == [[2]], "only the interval without a bound goes on"
    said = [note for note in figure.layout.annotations if note.text == "no number can be given"]
    assert [note.y for note in said] == [1]


def test_a_row_tells_its_record_where_there_is_one() -> None:
    table = verdict_table(VERDICTS)
    table.insert(0, "key", ["C1", "C2", "C3"])
    assert "where planted" not in ledger_text(table).head
    text = ledger_text(table.assign(record=["found 4 of 4", "not confirmed", "found 1 of 2"]))
    place = text.head.index("where planted")
    assert [row[place] for row in text.rows] == ["found 4 of 4", "not confirmed", "found 1 of 2"]
    assert {len(row) for row in text.rows} == {len(text.head)}


def test_pairs_stand_side_by_side_in_the_row_of_their_claim(traces) -> None:
    table = verdict_table(VERDICTS)
    table.insert(0, "key", ["C1", "C2", "C3"])
    other = table.assign(estimate=[-0.5, None, 5.0], low=[-0.6, None, 4.0], high=[-0.4, None, 6.0], says="contradicted")
    figure = ledgers(pd.concat([table.assign(pair="one"), other.assign(pair="two")]))
    marks = {
        (trace["marker"]["symbol"], trace["name"]): {name: list(trace[name]) for name in ("x", "y", "customdata")}
        for trace in traces(figure)
        if "customdata" in trace
    }
    assert marks["circle", "contradicted"]["x"] == [0.5] and -0.5 < marks["circle", "contradicted"]["y"][0] < 0
    both = marks["diamond", "contradicted"]
    assert both["x"] == [-0.5, 2.0] and 0 < both["y"][0] < 0.5 and 2 < both["y"][1] < 2.5
    assert [note.text for note in figure.layout.annotations] == ["no number can be given"]
    assert list(both["customdata"][1]) == [5.0, 4.0, 6.0], "cut where it is drawn, not where it is told"


def test_a_verdict_draws_itself_and_is_a_row() -> None:
    verdict = VERDICTS[0]
    assert verdict.figure().to_json() == ledger(verdict.table()).to_json()
    assert verdict.table().to_dict("records")[0]["because"] == "half of it"
    assert repr(verdict) == "a share: contradicted, 0.50 (0.25 to 0.75), n = 300. half of it"


def test_no_verdict_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no verdict to draw; decide at least one claim"):
        ledger(verdict_table([]))
