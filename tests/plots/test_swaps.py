import numpy as np
import pytest

from interp.plots.swaps import swap_table, swaps


def test_marks_are_counts_over_problems(saved, traces) -> None:
    measurement = saved.swaps()
    counted = measurement.table.groupby(["axis", "direction", "swapped"]).correct.mean()
    drawn = traces(swaps(measurement))
    names = {"tuned's part in base": "tuned into base", "base's part in tuned": "base into tuned"}
    marks = [trace for trace in drawn if trace["name"] in names]
    assert len(marks) == 4
    for trace, axis in zip(marks, ("answers", "answers", "facts", "facts"), strict=True):
        for part, x, plus in zip(trace["text"], trace["x"], trace["error_x"]["array"], strict=True):
            assert x == counted[axis, names[trace["name"]], part]
            assert x <= x + plus <= 1
    lines = {trace["name"]: trace["x"] for trace in drawn[:4] if trace["mode"] == "lines"}
    assert set(lines["base untouched"]) == {counted["answers", "tuned into base", "nothing"]}
    assert set(lines["tuned untouched"]) == {counted["answers", "base into tuned", "nothing"]}


def test_the_part_that_carries_the_behaviour_stands_out_and_others_do_not(saved) -> None:
    table = swap_table(saved.swaps()).set_index(["axis", "direction", "swapped"])
    assert table.recovered_low["answers", "tuned into base", "upper third"] > 0.6
    assert table.recovered_high["answers", "tuned into base", "lower third"] < 0.2
    assert table.recovered_high["answers", "base into tuned", "upper third"] < 0.4


def test_an_axis_that_did_not_move_has_no_share(saved) -> None:
    table = swap_table(saved.swaps()).set_index("axis")
    assert table.refused["facts"].all()
    assert table.recovered["facts"].isna().all()
    assert not table.refused["answers"].any()


def test_a_task_without_facts_has_one_panel(saved) -> None:
    measurement = saved.swaps()
    answers = type(measurement)(
        "swaps", "", measurement.table[measurement.table["axis"] == "answers"], measurement.made_with
    )
    figure = swaps(answers)
    assert "Problems solved (n = 300)" in figure.layout.annotations[0].text
    assert len(figure.layout.annotations) == 1


@pytest.mark.parametrize("n", [8, 300])
def test_everything_lies_inside_the_panel(saved, traces, n: int) -> None:
    figure = swaps(saved.swaps(n))
    low, high = figure.layout.xaxis.range
    for trace in traces(figure):
        assert np.all((low <= np.array(trace["x"])) & (np.array(trace["x"]) <= high))
