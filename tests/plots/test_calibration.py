from typing import Any

import pandas as pd
import pytest

from interp.measurement import Measurement
from interp.plots.calibration import calibration

CELLS = [
    ("locus", "", "upper", "upper third", "upper third", "right"),
    ("locus", "", "upper", "upper third", "undecided", "undecided"),
    ("locus", "", "null", "none", "none", "right"),
    ("locus", "", "null", "none", "none", "right"),
    ("argmax", "locus", "null", "none", "upper third", "wrong"),
    ("argmax", "locus", "null", "none", "none", "right"),
    ("verdict", "", "<b>rl</b>", "supported", "supported", "right"),
]


@pytest.fixture
def record() -> Measurement:
    columns = ["instrument", "beside", "organism", "expected", "given", "outcome"]
    table = pd.DataFrame(CELLS, columns=columns)
    return Measurement("record", "answers", table.assign(base_seed=1, seed=0, part="confirmation"), {})


def written(figure: Any) -> dict[tuple[str, int], str]:
    return {(note.y, note.x): note.text for note in figure.layout.annotations}


def test_cells_count_answers_and_darkness_says_how_they_were(record, traces) -> None:
    figure = calibration(record)
    (cells,) = traces(figure)
    names = list(figure.layout.xaxis.ticktext)
    assert names == ["locus", "verdict", "argmax"]
    assert written(figure) == {
        ("upper", 0): "1/2",
        ("null", 0): "2",
        ("null", 2): "1/2",
        ("&lt;b&gt;rl&lt;/b&gt;", 1): "1",
    }
    shade = {(y, x): cells["z"][i][j] for i, y in enumerate(cells["y"]) for j, x in enumerate(names)}
    assert [shade["null", "locus"], shade["upper", "locus"], shade["null", "argmax"]] == [0, 1, 2]
    assert sum(value is None or value != value for value in shade.values()) == 5


def test_what_was_said_of_which_seed_is_shown_on_pointing(record, traces) -> None:
    (cells,) = traces(calibration(record))
    told = cells["customdata"][1][2]
    assert "base seed 1, seed 0 (confirmation): upper third; planted none" in told
    assert cells["customdata"][0][1] == ""


def test_usual_readings_stand_behind_a_line_and_do_not_count_as_ours(record) -> None:
    figure = calibration(record)
    (line,) = figure.layout.shapes
    assert (line.x0, line.x1) == (1.5, 1.5)
    assert "ours are right in 4 of 5" in figure.layout.title.text.replace("<br>", " ")
    own = Measurement("record", "answers", record.table[record.table.beside == ""], {})
    assert not calibration(own).layout.shapes
    assert "usual readings" in figure.layout.title.text.replace("<br>", " ")
    assert "usual readings" not in calibration(own).layout.title.text.replace("<br>", " ")
