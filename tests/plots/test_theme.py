from itertools import combinations

import plotly.graph_objects as go
import pytest

from interp.plots.theme import BASE, CONTROL, HYBRID, TUNED, finish, interval, panels, wrap


def test_roles_differ_without_colour() -> None:
    for one, other in combinations((BASE, TUNED, HYBRID, CONTROL), 2):
        assert one.colour != other.colour
        assert one.dash != other.dash
        assert one.symbol != other.symbol


def test_labels_are_broken_and_are_no_markup() -> None:
    assert wrap("final norm and unembedding", 18) == "final norm and<br>unembedding"
    assert wrap("<b>bold</b> & co", 40) == "&lt;b&gt;bold&lt;/b&gt; &amp; co"
    assert all(len(line) <= 10 for line in wrap("a" * 45, 10).split("<br>"))


def test_interval_keeps_its_ends() -> None:
    bars = interval([0.5, -0.2], [0.1, -0.3], [0.6, 0.2], BASE)
    assert [e + a for e, a in zip([0.5, -0.2], bars["array"], strict=True)] == pytest.approx([0.6, 0.2])
    assert [e - a for e, a in zip([0.5, -0.2], bars["arrayminus"], strict=True)] == pytest.approx([0.1, -0.3])


def test_background_is_the_pages() -> None:
    figure = finish(go.Figure(go.Scatter(y=[1, 2])), "one", height=100)
    layout = figure.layout.template.layout
    assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0, 0, 0, 0)"
    assert figure.layout.width is None


def test_height_grows_with_title_and_legend_and_not_the_panels() -> None:
    plain = finish(go.Figure(go.Scatter(y=[1])), "one", height=100)
    titled = finish(go.Figure(go.Scatter(y=[1])), "one " * 40, height=100)
    named = finish(go.Figure([go.Scatter(y=[1], name="a name " * 5), go.Scatter(y=[1], name="b")]), "one", height=100)
    for figure in (plain, titled, named):
        assert figure.layout.height - figure.layout.margin.t - figure.layout.margin.b == 100
    assert titled.layout.margin.t > plain.layout.margin.t
    assert named.layout.margin.b > plain.layout.margin.b
    assert named.layout.showlegend
    assert not plain.layout.showlegend


def test_panels_have_the_heights_asked_for() -> None:
    figure, total = panels(["first", "second"], [100, 200])
    tops = [figure.layout.yaxis.domain, figure.layout.yaxis2.domain]
    assert [round((high - low) * total) for low, high in tops] == [100, 200]
