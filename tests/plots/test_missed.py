import pandas as pd
import pytest
from scipy.stats import binomtest

from interp.measurement import Measurement
from interp.plots.missed import missed, missed_by_vectors

ROWS = [
    ("when or how", "rl", 100, 1.0, 0.9, 10, 10),
    ("when or how", "sft", 100, 1.0, 0.9, 10, 8),
    ("when or how", "rl", 100, 0.1, 0.09, 10, 0),
    ("when or how", "rl", 400, 0.1, 0.09, 10, 7),
    ("upper third", "upper", 100, 1.0, 0.8, 10, 10),
]


@pytest.fixture
def power() -> Measurement:
    columns = ["instrument", "organism", "n", "reached", "gap", "resamples", "right"]
    return Measurement("power", "resamples", pd.DataFrame(ROWS, columns=columns), {})


def test_a_line_is_the_share_missed_over_all_pairs_with_its_interval(power, traces) -> None:
    lines = traces(missed(power))
    large, small, other = lines
    assert [line["name"] for line in lines] == ["gap 0.87", "gap 0.09", "gap 0.87"]
    assert (list(large["x"]), list(large["y"])) == ([100], [2 / 20])
    assert (list(small["x"]), list(small["y"])) == ([100, 400], [1.0, 0.3])
    assert list(other["y"]) == [0.0]
    ends = binomtest(2, 20).proportion_ci(method="wilson")
    assert large["y"][0] + large["error_y"]["array"][0] == pytest.approx(ends.high)
    assert large["y"][0] - large["error_y"]["arrayminus"][0] == pytest.approx(ends.low)


def test_each_verdict_has_its_panel_and_the_legend_names_a_gap_once(power, traces) -> None:
    figure = missed(power)
    assert {"<b>when or how</b>", "<b>upper third</b>"} <= {note.text for note in figure.layout.annotations}
    assert sum(line.get("showlegend", True) for line in traces(figure)) == 2
    assert list(traces(figure)[1]["customdata"]) == ["10 of 10", "3 of 10"]


def test_what_was_planted_about_features_is_missed_organism_by_organism(traces) -> None:
    cells = [
        ("feature standing", "", "rl", 5_120, True, "undecided"),
        ("feature standing", "", "rl", 5_120, True, "right"),
        ("feature standing", "", "rl", 40_000, True, "right"),
        ("feature standing", "", "newskill", 5_120, True, "wrong"),
        ("feature standing", "", "newskill", 5_120, False, "wrong"),
        ("best feature as pre-existing", "feature standing", "rl", 5_120, True, "wrong"),
        ("features precede tuning", "", "rl", 5_120, True, "right"),
    ]
    columns = ["instrument", "beside", "organism", "samples", "planted", "outcome"]
    figure = missed_by_vectors(Measurement("vectors", "answers", pd.DataFrame(cells, columns=columns), {}))
    rl, newskill, claim = traces(figure)
    assert [line["name"] for line in (rl, newskill, claim)] == ["rl", "newskill", "rl"]
    assert (list(rl["x"]), list(rl["y"])) == ([5_120, 40_000], [0.5, 0.0])
    assert list(newskill["customdata"]) == ["1 of 1"]
    assert list(claim["y"]) == [0.0] and claim["showlegend"] is False
