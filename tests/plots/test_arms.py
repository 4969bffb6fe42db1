import math

import pytest

from interp.plots.arms import arm_table, arms, role, worded


@pytest.fixture(scope="module")
def answers(saved):
    return saved.answers()


def test_table_counts_what_the_measurement_holds(answers) -> None:
    table = arm_table(answers).set_index("arm")
    mean = answers.table.groupby("arm").correct.mean()
    rows = answers.table[answers.table.arm == "decision tokens"]
    assert table.accuracy.to_dict() == pytest.approx(mean.to_dict())
    assert table.recovered["KL over 1"] == pytest.approx(
        (mean["KL over 1"] - mean["base"]) / (mean["tuned"] - mean["base"])
    )
    assert table.routed["decision tokens"] == rows.routed.sum() / rows.tokens.sum()
    assert table.changed["decision tokens"] == rows.changed.sum() / rows.tokens.sum()
    assert table.routed["base"] == 0
    assert table.routed["tuned"] == 1
    assert table.attempted["decision tokens"] == table.routed["decision tokens"] - table.changed["decision tokens"]
    assert (table.ended + table.cut == 1).all()
    assert table.mcnemar["decision tokens"] < 1e-6 and math.isnan(table.mcnemar["base"])
    assert table.needed["KL over 1"] > table.needed["every disagreement"] > 0
    assert table.cut["tuned"] == pytest.approx((answers.table.reason == "length").mean(), abs=0.01)


def test_marks_are_the_tables_numbers(answers, traces) -> None:
    table = arm_table(answers)
    *marks, routed = traces(arms(answers))
    for mark, (_, row) in zip(marks, table.iterrows(), strict=True):
        assert mark["name"] == worded(row.arm)
        assert mark["x"][0] == row.recovered
        assert mark["x"][0] + mark["error_x"]["array"][0] == pytest.approx(row.recovered_high)
        assert mark["x"][0] - mark["error_x"]["arrayminus"][0] == pytest.approx(row.recovered_low)
    assert len(routed["text"]) == len(table)
    assert routed["text"][list(table.arm).index("decision tokens")] == f"{table.routed[3]:.1%}"


def test_what_is_true_by_construction_is_marked_as_a_control(answers, traces) -> None:
    figure = arms(answers)
    labels = figure.layout.yaxis.ticktext
    assert [label for label in labels if "by construction" in label] == [
        "every disagreement<br>(tuned by construction)"
    ]
    assert role("every disagreement") == role("random 5%") == role("random at the decision rate")
    assert role("every disagreement") != role("decision tokens")


def test_without_a_gap_only_accuracies_are_shown_and_the_title_says_why(saved, traces) -> None:
    answers = saved.answers(base=0.9, tuned=0.9)
    figure = arms(answers)
    *marks, _ = traces(figure)
    assert [mark["x"][0] for mark in marks] == pytest.approx(list(arm_table(answers).accuracy))
    title = figure.layout.title.text.replace("<br>", " ")
    assert "No share of the gap: tuned - base is" in title
    assert "interval reaches 0" in title
    assert figure.layout.xaxis.title.text == "solved"


def test_a_loss_is_called_a_loss(saved) -> None:
    title = arms(saved.answers(base=0.9, tuned=0.2)).layout.title.text.replace("<br>", " ")
    assert "tuned is below base" in title
