import dataclasses
import html
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from interp.claims.verdict import Verdict, shown
from interp.measurement import Measurement
from interp.report import write_report

VERDICTS = (
    Verdict("Upper layers carry it", None, 0.86, 0.81, 0.9, 300, "supported", "They do. Swapping says so. And more."),
    Verdict("Features precede it", None, None, None, None, 3, "undecided", "The SAE is invalid."),
    Verdict("Routing recovers it", 0.91, 0.04, -0.01, 0.09, 300, "contradicted", "It does not. Random is as good."),
)


@pytest.fixture(scope="module")
def saved() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "plots" / "saved.py")))


@pytest.fixture(scope="module")
def everything(saved) -> dict[str, Measurement]:
    return saved.everything()


@pytest.fixture(scope="module")
def page(everything, tmp_path_factory) -> str:
    """The whole page, as it is written."""
    out = tmp_path_factory.mktemp("report") / "index.html"
    assert write_report(list(everything.values()), VERDICTS, out) == out
    return out.read_text()


@pytest.fixture
def written(tmp_path) -> Callable[..., str]:
    return lambda *args: write_report(*args, tmp_path / "page.html").read_text()


class _Asked(HTMLParser):
    """Everything in the page that a browser would fetch."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "srcset", "data", "action") or (name == "href" and not str(value).startswith("#")):
                self.found.append(f"{tag} {name}={value}")


def prose(page: str) -> str:
    """The page's text without scripts, styles and tags."""
    text = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", text)))


def test_the_page_fetches_nothing_and_forbids_it(page) -> None:
    assert _Asked(page).found == []
    assert "default-src 'none'" in page
    assert page.count("* plotly.js v") == 1


def test_every_verdict_is_said_in_words_with_its_number_interval_n_and_reason(page) -> None:
    text = prose(page)
    for verdict, word in zip(VERDICTS, ("✓ Supported", "? Undecided", "✗ Contradicted"), strict=True):
        card = text[text.index(verdict.claim) - 30 :]
        assert word in card[:40]
        assert f"n {verdict.n}" in card[:600]
        assert verdict.because.split(". ")[0] in card
    assert f"Found {shown(0.86, 0.81, 0.9)}" in text
    assert "Reported 0.91 Found 0.04 (-0.01 to 0.09) n 300" in text
    assert "no number can be given" in text


def test_all_three_questions_are_answered_with_figures_and_tables(page) -> None:
    drawn = re.findall(r'<div id="(\w+)" class="plotly-graph-div"', page)
    assert drawn == [
        "ledger",
        "weight_map",
        "depth_profiles",
        "swaps",
        "features_onset",
        "features_content",
        "arms",
        "routing_curve",
    ]
    for table in ("depth", "swaps", "features", "quality", "arms"):
        assert f'id="table-{table}"' in page
    assert "Not measured" not in prose(page)


def test_claims_about_texts_have_their_table_or_say_where_it_is_made(page, everything, tmp_path) -> None:
    assert "Left out of the quick form" in prose(page) and 'id="table-claims"' not in page
    claims = pd.DataFrame(
        [
            {
                "key": "C7",
                "claim": "Chains drive answers",
                "says": "supported",
                "reported": 0.5,
                "because": "So. More.",
            },
            {"key": "C2", "claim": "Form only", "says": "undecided", "because": "None. What it needs: packs."},
        ]
    )
    for column in ("estimate", "low", "high"):
        claims[column] = [0.25, float("nan")]
    claims["n"] = [40, 0]
    made = write_report(list(everything.values()), [], tmp_path / "page.html", claims=claims).read_text()
    table = made[made.index('id="table-claims"') :].partition("</table>")[0]
    assert "0.25 (0.25 to 0.25)" in table and "Needs packs." in table and "no number" in table


def test_the_summary_states_the_gap_that_the_answers_hold(page, everything) -> None:
    solved = everything["answers"].table.groupby("arm").correct.mean()
    assert f"a gap of {100 * (solved['tuned'] - solved['base']):.0f} points" in prose(page)


def test_the_page_says_why_routing_every_disagreement_is_empty(page) -> None:
    assert "Routing every disagreement is tuned by construction, so its 100% is empty." in prose(page)


def test_what_it_was_made_with_is_there_once_and_no_path_of_the_machine(everything, written) -> None:
    swaps = everything["swaps"]
    tools = {"cache": "/home/someone/.cache/thing", "seeds": [3, 4], "revision": None}
    swaps = dataclasses.replace(swaps, made_with={**swaps.made_with, "tools": tools, "prompts": "99aa"})
    page = written([everything["weights"], everything["activations"], swaps], [])
    text = prose(page)
    for fact in ("1f0c3a5b7d9e2468", "97531fdb86420ace", "4c1d", "versions.torch 2.13.0", "commit 0a1b2c3d"):
        assert text.count(fact) == 1
    assert "fidelity.base.blocks 9.5e-07" in text
    assert "tools.seeds 3, 4" in text
    assert "tools.cache thing" in text
    assert "prompts 99aa" in text
    assert "/home/" not in text
    assert str(Path(__file__).parent.parent) not in page


@pytest.mark.parametrize(
    ("have", "sentence"),
    [
        (("swaps", "answers"), "The weights were not compared."),
        (("weights", "answers"), "What the blocks compute was not compared."),
        (("weights", "answers"), "No parts were exchanged. That needs a task with problems to solve"),
        (("weights", "answers"), "Not measured: no text says which strategy its tokens follow."),
        (("weights",), "Not measured. That needs problems that both models can answer"),
    ],
)
def test_a_missing_measurement_gets_a_sentence(everything, written, have, sentence) -> None:
    assert sentence in prose(written([everything[name] for name in have], []))


def test_a_pair_without_a_gain_gets_no_share(saved, everything, written) -> None:
    page = written([everything["weights"], saved.answers(base=0.9, tuned=0.9)], [VERDICTS[1]])
    text = prose(page)
    assert "There is no gain to explain." in text
    assert "Here it is refused: tuned - base is" in text
    assert "a gap of" not in text.split("Three things")[0]
    assert "% by definition" not in text


def test_names_are_text_and_never_markup(saved, everything, written) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    features = saved.features((evil, "plain"))
    answers = everything["answers"]
    table = answers.table.assign(arm=answers.table.arm.replace("content tokens", evil))
    named = {
        "base": {"name": evil, "digest": "1", "revision": None},
        "tuned": {"name": "t", "digest": "2", "revision": None},
    }
    made_with = {**named, evil: evil}
    measurements = [
        dataclasses.replace(features, made_with=made_with),
        dataclasses.replace(answers, table=table, made_with=made_with),
    ]
    page = written(measurements, [dataclasses.replace(VERDICTS[0], claim=evil, because=evil)])
    assert "<script>alert" not in page
    assert "<img" not in re.sub(r"<script>/\*\*.*?</script>", "", page, flags=re.DOTALL)
    assert page.count(html.escape(evil)) >= 5  # as name, claim, reason, fact and arm


def test_measurements_of_two_pairs_are_refused_and_nothing_is_written(everything, tmp_path) -> None:
    other = {**everything["swaps"].made_with, "tuned": {"name": "organism:sft", "digest": "beef", "revision": None}}
    mixed = [everything["weights"], dataclasses.replace(everything["swaps"], made_with=other)]
    sentence = r"'weights' and 'swaps' are not of one pair: tuned is organism:rl \(97531fdb86420ace\) and organism:sft"
    with pytest.raises(ValueError, match=sentence):
        write_report(mixed, [], tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_nothing_and_the_same_twice_are_refused(everything, tmp_path) -> None:
    with pytest.raises(ValueError, match="there is nothing to report"):
        write_report([], [], tmp_path / "page.html")
    with pytest.raises(ValueError, match="draws each measurement once"):
        write_report([everything["weights"]] * 2, [], tmp_path / "page.html")
    rootless = dataclasses.replace(everything["weights"], made_with={"seed": 0})
    with pytest.raises(ValueError, match="'weights' does not say what base was"):
        write_report([rootless], [], tmp_path / "page.html")


def test_the_same_measurements_give_the_same_page(everything, written) -> None:
    few = [everything["weights"], everything["activations"]]
    assert written(few, VERDICTS) == written(few, VERDICTS)


def test_the_page_is_made_without_torch() -> None:
    """Figures and page, and all they import, in a process of their own."""
    code = (
        "import sys, interp.report, interp.plots.tables; "
        "sys.exit(', '.join({'torch', 'transformers', 'transformer_lens', 'sae_lens'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
