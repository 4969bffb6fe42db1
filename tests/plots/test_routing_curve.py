import pytest

from interp.plots.arms import arm_table
from interp.plots.routing_curve import family, routing_curve


def test_points_are_the_tables_numbers(saved, traces) -> None:
    answers = saved.answers()
    table = arm_table(answers).set_index("arm")
    drawn = traces(routing_curve(answers))
    for trace in drawn:
        for arm, x, y, plus in zip(trace["text"], trace["x"], trace["y"], trace["error_y"]["array"], strict=True):
            assert (x, y) == (table.routed[arm], table.recovered[arm])
            assert y + plus == pytest.approx(table.recovered_high[arm])
    shown = {arm for trace in drawn for arm in trace["text"]}
    assert shown == set(table.index) - {"base", "tuned", "KL over 2"}  # the last routes nothing: it is base


def test_random_arms_make_one_grey_curve_in_order(saved, traces) -> None:
    (random,) = (trace for trace in traces(routing_curve(saved.answers())) if trace["name"] == "random positions")
    assert random["text"] == ["random at the decision rate", "random 5%", "random 12%", "random 25%", "random 50%"]
    assert list(random["x"]) == sorted(random["x"])
    assert random["line"]["color"] == "#7F7F7F"


def test_families() -> None:
    assert family("KL over 0.5") == family("KL over 10") == "KL over …"
    assert family("first 1 tokens") == family("first 3 tokens") == "first … tokens"
    assert family("decision tokens") == "decision tokens"
    assert family("entropy over 1") != family("KL over 1")


def test_curves_differ_without_colour(saved, traces) -> None:
    drawn = traces(routing_curve(saved.answers()))
    looks = [(trace["marker"]["symbol"], trace["line"]["dash"]) for trace in drawn]
    assert len(set(looks)) == len(looks)


def test_without_a_gap_the_height_is_what_was_solved(saved, traces) -> None:
    answers = saved.answers(base=0.9, tuned=0.9)
    figure = routing_curve(answers)
    accuracy = arm_table(answers).set_index("arm").accuracy
    for trace in traces(figure):
        assert list(trace["y"]) == pytest.approx([accuracy[arm] for arm in trace["text"]])
    assert figure.layout.yaxis.title.text == "solved"
