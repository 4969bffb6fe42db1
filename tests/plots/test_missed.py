import pandas as pd
import pytest
from scipy.stats import binomtest

from interp.measurement import Measurement
from interp.plots.missed import missed

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
