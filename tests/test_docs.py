"""Snippets of the docs run, top to bottom within their page; commands parse; quoted numbers are those of the code."""

import importlib
import re
import runpy
import shlex
import warnings
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from interp.cli import parser
from interp.plots.drawing import FIGURES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))


def blocks(page: Path, language: str) -> list[str]:
    """The page's blocks of a language; in a list they are indented."""
    found = re.finditer(rf"^( *)```{language}\n(.*?)^\1```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [dedent(match[2]) for match in found]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.stem)
def test_snippets_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "snippet"}
    for block in blocks(page, "python"):
        exec(compile(block, page.name, "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_parse(page: Path) -> None:
    lines = [line.split("#")[0].strip() for block in blocks(page, "sh") for line in block.splitlines()]
    makefile = (ROOT / "Makefile").read_text()
    for line in lines:
        command, *arguments = shlex.split(line) or [""]
        if command.removeprefix(".venv/bin/") == "interp":
            assert callable(parser().parse_args(arguments).command)
        elif command == "make":
            assert re.search(rf"^{arguments[0]}:", makefile, re.MULTILINE), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), target


def test_the_index_names_every_page_and_notebook() -> None:
    index = (DOCS / "README.md").read_text()
    assert [page.name for page in PAGES if page.name != "README.md" and f"({page.name})" not in index] == []
    notebooks = [path.stem for path in sorted((ROOT / "notebooks").glob("*.py"))]
    assert re.findall(r"`(\d\d_\w+)`", index) == notebooks


def headings() -> set[str]:
    """What the sections on figures are about: every `name` in a heading."""
    lines = [line for line in (DOCS / "figures.md").read_text().splitlines() if line.startswith("#")]
    return {name for line in lines for name in re.findall(r"`(\w+)`", line)}


def test_every_figure_of_the_page_has_a_section() -> None:
    known = headings()
    assert [name for name, one in FIGURES.items() if not {name, one.make.__name__} & known] == []


def test_every_paper_figure_has_a_section() -> None:
    drawn = {name for path in (ROOT / "figures").glob("*.py") for name in _drawings(path.read_text())}
    assert {"arms", "swaps"} <= drawn
    known = headings() | {one.make.__name__ for one in FIGURES.values()}
    assert sorted(drawn - known) == []


def _drawings(script: str) -> Iterator[str]:
    """The functions of `interp.plots` that a script returns the figure of."""
    imported = re.findall(r"^from interp\.plots\.\w+ import (.+)$", script, re.MULTILINE)
    names = {name.strip() for line in imported for name in line.split(",")}
    return (name for name in names if re.search(rf"return {name}\(", script))


def test_each_section_says_what_nothing_looks_like_and_what_cannot_be_said() -> None:
    sections = re.split(r"^##+ ", (DOCS / "figures.md").read_text(), flags=re.MULTILINE)[1:]
    figures = [section for section in sections if "- **Drawn:**" in section]
    assert len(figures) >= len(FIGURES)
    assert [one.splitlines()[0] for one in figures if not ("**Nothing:**" in one and "**Cannot say:**" in one)] == []


def test_quoted_thresholds_are_those_of_the_code() -> None:
    pages = " ".join((DOCS / name).read_text() for name in ("verdicts.md", "claims.md"))
    quotes = re.findall(r"`(interp(?:\.\w+)+)\.(\w+)` = ([\d.]*\d)", " ".join(pages.split()))
    assert len(quotes) >= 10
    wrong = {
        f"{module}.{name}": (float(quoted), value)
        for module, name, quoted in quotes
        if (value := getattr(importlib.import_module(module), name)) != float(quoted)
    }
    assert wrong == {}


def test_every_claim_has_a_section() -> None:
    page = (DOCS / "verdicts.md").read_text() + (DOCS / "claims.md").read_text()
    claims = {
        f"interp.claims.{path.stem}.{name}"
        for path in (ROOT / "interp" / "claims").glob("*.py")
        for name in re.findall(r"^def ([a-z]\w*)\([^)]*\) -> Verdict:", path.read_text(), re.MULTILINE)
        if path.stem != "register"
    }
    assert len(claims) >= 5
    assert sorted(claim for claim in claims if f"`{claim}(" not in page) == []


def test_reference_pages_build_without_a_warning(tmp_path: Path) -> None:
    reference = runpy.run_path(str(DOCS / "reference.py"))
    assert {"interp", "interp.pair", "interp.layers", "interp.claims"} <= set(reference["modules"]())
    with warnings.catch_warnings(action="error"):
        reference["build"](tmp_path, ["interp.claims", "interp.routing", "interp.intervals"])
    page = (tmp_path / "interp" / "claims" / "routing_recovers.html").read_text()
    assert "routing_recovers_gain" in page and "Supported: tuned" in page
