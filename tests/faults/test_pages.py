"""Pages that are made of hostile words, and what no page may tell."""

import json
import re
import runpy
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

import interp
from interp.claims.verdict import Verdict
from interp.cli import main
from interp.commands.found import FINE
from interp.layers.weights import weight_change
from interp.measurement import Measurement
from interp.pair import Pair, load_pair
from interp.plots.feature_pages import feature_pages
from interp.plots.token_strip import token_strips
from interp.report import write_report
from interp.routing.routers import always, at_random, never
from interp.routing.trace import trace_tokens
from interp.streamed import load_streamed
from interp.tasks.grading import grade_text
from interp.tasks.task import Problem, Task

EVIL = "<script>alert(1)</script>"
MORE = "</script><img src=x onerror=alert(2)>\"'><svg/onload=alert(3)>"
ALLOWED = {"srcset", "src", "href", "onclick", "onload", "onerror"}


class Read(HTMLParser):
    """The page as a browser reads it: attributes that can act, code of scripts, and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.acting: list[str] = []
        self.code: list[str] = []
        self.text: list[str] = []
        self.inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag
        self.acting += [f"{tag} {name}={value}" for name, value in attrs if name in ALLOWED or name.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        (self.code if self.inside == "script" else self.text).append(data)


def drawn(page: str) -> Iterator[str]:
    """Every string in the data and layouts of the page's figures."""
    decode = json.JSONDecoder().raw_decode

    def strings(value: Any) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from strings(inner)

    for call in re.finditer(r'Plotly\.newPlot\(\s*"\w+",\s*', page):
        traces, end = decode(page, call.end())
        layout, _ = decode(page, page.index("{", end))
        yield from strings([traces, layout])


def harmless(page: str) -> None:
    """Nothing that was written into the page as words acts in it."""
    read = Read(page)
    assert all(re.match(r"a href=(#|https://www.neuronpedia.org/)", one) for one in read.acting), read.acting
    assert not re.search(r"<(script|img|svg/|/script><img)[^>]*alert", page)
    shown = [text for text in drawn(page) if "alert(" in text]
    assert [text for text in shown if re.search(r"<(script|img|svg|a\b)", text)] == [], "plotly reads a little HTML"
    assert "alert(1)" in "".join(read.text), "it is shown all the same"


@pytest.fixture(scope="module")
def saved() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).parent.parent / "plots" / "saved.py")))


def spoken(measurement: Measurement, *columns: str) -> Measurement:
    """The same with markup in front of every word of these columns."""
    table = measurement.table.assign(**{c: EVIL + MORE + measurement.table[c].astype(str) for c in columns})
    return replace(measurement, table=table)


def test_markup_in_any_name_stays_text(saved: SimpleNamespace, tmp_path: Path) -> None:
    strategies = (EVIL, MORE, "plain")
    contexts = [
        {"strategy": strategy, "at": "onset", "feature": 7, "sign": 1, "model": model, "rank": 0, "problem": EVIL}
        | {
            "words": [EVIL, MORE, "wait"],
            "values": [0.0, 4.0, 1.0],
            "promotes": [EVIL, "so"],
            "suppresses": [MORE, "a"],
        }
        | {"weights": [1.0, 2.0, -1.0, -2.0], "counts": [9, 1], "firing": 0.1, "most": 4.0}
        | {"neuronpedia": "javascript:alert(1)"}
        for strategy in strategies
        for model in ("base", "tuned")
    ]
    told = saved.made_with(**{EVIL: EVIL, "seed": MORE})
    read = Measurement("contexts", EVIL, pd.DataFrame(contexts), told)
    measurements = [
        spoken(saved.weights(), "tensor", "dtype"),
        saved.activations(),
        saved.swaps(),
        spoken(saved.sae_quality(), "hook"),
        saved.features(strategies),
        spoken(saved.attacks(strategies), "tokens"),
        saved.causes(strategies),
        read,
        replace(saved.answers(), table=saved.answers().table.replace({"kind": {"run": EVIL, "inv": MORE}})),
    ]
    verdict = Verdict(EVIL, None, 0.5, 0.4, 0.6, 3, "undecided", f"{MORE} is so. {EVIL} too.")
    out = tmp_path / "page.html"
    records = {EVIL: MORE}
    page = write_report(measurements, [verdict], out, records=records).read_text()
    harmless(page)
    assert sum("alert(" in text for text in drawn(page)) >= 6
    assert "javascript:" not in feature_pages(read, saved.features(strategies))
    harmless(f"{read._repr_html_()}{feature_pages(read, saved.features(strategies))}")


@pytest.fixture(scope="module")
def hostile(tiny_checkpoint: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Base and tuned whose every ordinary token is markup, in directories named so too."""
    folders = []
    for seed in (0, 1):
        folder = tmp_path_factory.mktemp("hostile") / f"<img src=x onerror=alert({seed})>"
        shutil.copytree(tiny_checkpoint("llama", seed), folder)
        tokenizer = json.loads((folder / "tokenizer.json").read_text())
        words = tokenizer["model"]["vocab"]
        special = {token["content"] for token in tokenizer["added_tokens"]}
        evil = {(word if word in special else f"<script>alert({i})</script>"): i for word, i in words.items()}
        (folder / "tokenizer.json").write_text(
            json.dumps({**tokenizer, "model": {**tokenizer["model"], "vocab": evil}})
        )
        folders.append(folder)
    return folders


@pytest.fixture(scope="module")
def hostile_pair(hostile: list[Path]) -> Pair:
    return load_pair(*hostile)


def test_a_tokenizer_of_markup_through_the_strips(hostile_pair: Pair, saved: SimpleNamespace, tmp_path: Path) -> None:
    pair = hostile_pair
    assert pair.words(list(range(8, 11))) == [f"<script>alert({i})</script>" for i in (8, 9, 10)]
    problems = (Problem(EVIL, EVIL, "1", kind=MORE), Problem(MORE, MORE, "1"))
    task = Task(EVIL, problems, (), (), grade_text, 6)
    arms = {"base": never, "tuned": always, MORE: at_random(0.5)}
    trace = load_streamed(trace_tokens(pair, task, arms, tmp_path / "trace.parquet"))
    assert trace.table["text"].str.contains("alert").mean() > 0.5
    weights = weight_change(pair.base_checkpoint, pair.tuned_checkpoint)
    assert "onerror" in weights.made_with["base"]["name"]
    answers = replace(saved.answers(), made_with=weights.made_with)
    page = write_report([weights, answers], [], tmp_path / "page.html", trace=trace).read_text()
    harmless(page)
    assert page.count("&lt;script&gt;alert(") > 36
    harmless(token_strips(trace))


SECRET = {"INTERP_TOKEN_NAME": "s3cr3t-0f-4n-env1ronment", "USER": "zaphodb", "LOGNAME": "zaphodb"}


def test_a_report_tells_no_path_no_user_and_no_environment(
    tiny_checkpoint: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A whole report by the command; page and saved tables are searched, escapes undone."""
    home = tmp_path / "home-of-zaphodb"
    (home / "models").mkdir(parents=True)
    pair = [str(shutil.copytree(tiny_checkpoint("llama", seed), home / "models" / f"seed{seed}")) for seed in (0, 1)]
    lines = [{"id": str(i), "prompt": f"run A R : 1 2 {i} {EVIL}", "answer": "ans 1"} for i in range(7)]
    (home / "asked.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for name, value in {**SECRET, "HOME": str(home)}.items():
        monkeypatch.setenv(name, value)
    few = ["--quick", "--n", "2", "--max-new-tokens", "2"]
    options = [*few, "--task", str(home / "asked.jsonl"), "--out", str(home / "out")]
    assert main(["report", *pair, *options]) == FINE
    capsys.readouterr()
    files = [path for path in (home / "out").rglob("*") if path.is_file()]
    assert len(files) > 10
    secret = [*SECRET, *SECRET.values(), str(home), tmp_path.name, "home-of", str(Path(interp.__file__).parent)]
    secret = [word for word in secret if word not in ("USER", "LOGNAME")]
    secret.append(f"{tempfile.gettempdir()}/")
    for path in files:
        text = path.read_bytes().decode(errors="replace").replace("\\u002f", "/").replace("\\/", "/")
        assert [word for word in secret if word in text] == [], path.name
    assert "seed0" in (home / "out" / "index.html").read_text(), "the checkpoint is named"
    harmless((home / "out" / "index.html").read_text() + f"<p>{EVIL.replace('<', '&lt;')}</p>")


def test_a_path_in_any_fact_is_cut_to_its_last_part(saved: SimpleNamespace, tmp_path: Path) -> None:
    facts = {
        "cache": "/home/zaphodb/.cache/thing",
        "words": "the SAE in /home/zaphodb/saes/one",
        "several": ["/home/zaphodb/a", "b"],
        "nested": {"more": [{"deep": "/home/zaphodb/deep"}]},
        "windows": r"C:\Users\zaphodb\sae",
        "share": "1/3 of the tokens, 3/4",
        "address": "https://huggingface.co/org/name",
    }
    weights = replace(saved.weights(), made_with=saved.made_with(**facts))
    page = write_report([weights], [], tmp_path / "page.html").read_text()
    assert "zaphodb" not in page
    assert "the SAE in one" in page and "1/3 of the tokens, 3/4" in page and "https://huggingface.co/org/name" in page
