import pandas as pd
import pytest

from interp.budgets import curve_of
from interp.measurement import Measurement
from interp.plots.arms import arm_table, worded
from interp.plots.routing_curve import family, routing_curve


def test_points_are_the_tables_numbers(saved, traces) -> None:
    answers = saved.answers()
    table = arm_table(answers).set_index("arm").rename(worded)
    band, *drawn = traces(routing_curve(answers))
    assert "text" not in band and band["fill"] == "toself"
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


def test_a_single_arm_has_its_own_name_and_a_curve_that_of_its_kind(saved, traces) -> None:
    answers = saved.answers()
    names = {trace["name"] for trace in traces(routing_curve(answers))}
    assert {"KL over …", "first … tokens"} < names
    few = answers.table[~answers.table.arm.isin(["KL over 0.5", "KL over 2", "first 3 tokens"])]
    alone = {trace["name"] for trace in traces(routing_curve(Measurement("answers", "", few, {})))}
    assert {"KL over 1", "first token"} < alone
    assert not {"KL over …", "first … tokens"} & alone


def test_curves_differ_without_colour(saved, traces) -> None:
    _, *drawn = traces(routing_curve(saved.answers()))
    looks = [(trace["marker"]["symbol"], trace["line"]["dash"]) for trace in drawn]
    assert len(set(looks)) == len(looks)


def test_without_a_gap_the_height_is_what_was_solved(saved, traces) -> None:
    answers = saved.answers(base=0.9, tuned=0.9)
    figure = routing_curve(answers)
    accuracy = arm_table(answers).set_index("arm").rename(worded).accuracy
    _, *drawn = traces(figure)
    for trace in drawn:
        assert list(trace["y"]) == pytest.approx([accuracy[arm] for arm in trace["text"]])
    assert figure.layout.yaxis.title.text == "solved"


def test_the_band_is_the_random_arms_intervals(saved, traces) -> None:
    answers = saved.answers()
    band, *_ = traces(routing_curve(answers))
    table = arm_table(answers)
    random = table[table.arm.str.startswith("random") & ~table.arm.str.contains("steer")]
    assert sorted(band["y"]) == sorted([*random.recovered_high, *random.recovered_low])


def test_area_and_price_are_said_where_decisions_were_thinned(saved) -> None:
    made = saved.answers()
    assert "area over random" not in routing_curve(made).layout.title.text
    decided = made.table[made.table.arm == "decision tokens"]
    kept = decided.routed * (decided.problem.rank(method="dense") % 2).astype(int)
    half = decided.assign(arm="decision tokens, 50% kept", routed=kept, correct=False)
    thinned = Measurement(made.name, made.unit, pd.concat([made.table, half], ignore_index=True), made.made_with)
    title = routing_curve(thinned).layout.title.text.replace("<br>", " ")
    ours, chance = ["decision tokens", "decision tokens, 50% kept"], [f"random {rate}%" for rate in (5, 12, 25, 50)]
    curve = curve_of(thinned, ours, chance)
    assert f"area over random up to 50% of tokens {curve.over_random.estimate:.2f} (" in title
    assert f"90% of the gap costs {curve.price.estimate:.1%} of tokens" in title
    never = half.assign(arm="decision tokens")
    rest = made.table[made.table.arm != "decision tokens"]
    unable = Measurement(made.name, made.unit, pd.concat([rest, half, never], ignore_index=True), made.made_with)
    assert "they never reach 90% of the gap" in routing_curve(unable).layout.title.text.replace("<br>", " ")
