import re

import pandas as pd
import pytest

from interp.measurement import Measurement
from interp.plots.feature_pages import FeaturePages, feature_pages
from interp.report import write_report


@pytest.fixture
def contexts(saved) -> Measurement:
    rows = [
        {"strategy": strategy, "at": "onset", "feature": 7, "sign": 1, "model": model, "rank": 0, "problem": "p"}
        | {"words": ["<script>", "wait"], "values": [0.0, 4.0 if model == "base" else 1.0], "promotes": ["<b>", "so"]}
        for strategy in saved.STRATEGIES
        for model in ("base", "tuned")
    ]
    return Measurement("contexts", "activation", pd.DataFrame(rows), saved.made_with())


def test_the_shade_is_the_activation_over_the_largest(saved, contexts) -> None:
    page = feature_pages(contexts, saved.features())
    assert page.count("<details>") == 3
    assert page.count("rgba(0, 114, 178, 0.65)") == 3, "base at its peak"
    assert page.count("rgba(213, 94, 0, 0.16)") == 3, "tuned at a quarter of it"
    assert len(re.findall(r'<span style="padding', page)) == 6, "what does not fire has no shade"


def test_words_are_text_and_nothing_is_fetched(saved, contexts, tmp_path) -> None:
    page = FeaturePages(contexts, saved.features())._repr_html_()
    assert "<script>" not in page and "&lt;script&gt;" in page and "<b>" not in page
    assert not re.search(r"(src|href|url)\s*[=(]", page)
    whole = write_report([saved.features(), contexts], [], tmp_path / "page.html").read_text()
    assert page in whole


def test_it_says_how_well_the_feature_tells(saved, contexts) -> None:
    row = saved.features().table.query("source == 'sae' and strategy == 'step' and at == 'onset'").iloc[0]
    assert f"In base AUROC {row.auroc:.2f} ({row.low:.2f} to {row.high:.2f})" in feature_pages(
        contexts, saved.features()
    )


def test_it_shows_how_its_values_spread_and_what_was_done_to_it(saved, contexts) -> None:
    more = contexts.table.assign(
        suppresses=[["no", "<i>"]] * len(contexts.table),
        weights=[[2.5, 1.0, -1.25, -0.5]] * len(contexts.table),
        counts=[[9, 0, 99]] * len(contexts.table),
        firing=0.12,
        most=4.0,
        neuronpedia="https://www.neuronpedia.org/a/b/7",
    )
    contexts = Measurement("contexts", "activation", more, saved.made_with())
    page = FeaturePages(contexts, saved.features(), saved.attacks(), saved.causes())._repr_html_()
    assert page.count("<svg") == 6 and "above zero on 12.0% of tokens" in page
    heights = [float(height) for height in re.findall(r'height="([\d.]+)" fill', page)[:3]]
    assert heights == [18.0, 0.0, 36.0], "log(1 + 9) is half of log(1 + 99)"
    assert 'suppresses <code title="-1.25">no</code> <code title="-0.50">&lt;i&gt;</code>' in page
    assert 'promotes <code title="+2.50">&lt;b&gt;</code>' in page
    assert page.count('<a href="https://www.neuronpedia.org/a/b/7">') == 3
    row = saved.causes().table.query("source == 'sae feature' and strategy == 'step'").iloc[0]
    assert f"{row.effect:+.3f} ({row.low:+.3f} to {row.high:+.3f})" in page
    assert "1.40 (1.20 to 1.60)" in page and "token-driven" in page
    alone = FeaturePages(contexts, saved.features())._repr_html_()
    assert "its twins" not in alone and "token-driven" not in alone
