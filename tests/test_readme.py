"""What the README shows is what there is."""

import ast
import re
import shlex
from pathlib import Path

import pytest

import interp
from interp.cli import parser
from interp.tasks.text import text_task

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert found, f"the README has no {language} block"
    return found


def calls() -> list[str]:
    """Every `interp` command with arguments, in blocks and in running text."""
    lines = [line.removeprefix(".venv/bin/") for block in blocks("sh") for line in block.splitlines()]
    lines += re.findall(r"`(interp [^`]+)`", README.replace("\n", " "))
    return sorted({line for line in lines if line.startswith("interp ")})


@pytest.mark.parametrize("call", calls())
def test_commands_parse(call: str) -> None:
    words = shlex.split(call)[1:]
    named_alone = len(words) == 1 and words[0] not in {"doctor", "calibrate"}  # running text leaves the pair out
    arguments = parser().parse_args(words + ["a", "b"] * named_alone)
    assert callable(arguments.command)


def test_make_has_the_targets() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"\bmake (?:\w+=\S+ )?(\w+)\b(?=[\s`])", "\n".join(blocks("sh")) + README))
    assert {"report", "test", "lab", "docs"} <= targets
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


def test_links_and_the_picture_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)", README) + re.findall(r'src="([^"]+)"', README)
    assert [one for one in targets if not one.startswith("http") and not (ROOT / one).exists()] == []
    assert sum(one.startswith("figures/") for one in targets) == 1, "one picture"


def test_the_citation_is_of_this_version() -> None:
    cited = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {interp.__version__}\n" in cited and "\nlicense: MIT\n" in cited


def test_the_task_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text(blocks("json")[0])
    task = text_task(path)
    assert ([p.id for p in task.problems], [p.id for p in task.practice], [p.id for p in task.facts]) == (
        ["sum-1", "sum-2"],
        ["sum-3"],
        ["cap-1"],
    )
    worked = task.problems[1]
    stretches = [(worked.text[span.start : span.end], span.strategy) for span in worked.spans]
    assert stretches == [("8 + 2 is 10.", "forward"), ("Check: 13 - 8 is 5.", "check")]
    assert task.grade(worked, worked.text).strict


def test_the_python_runs() -> None:
    (code,) = blocks("python")
    body = ast.parse(code)
    last = body.body.pop()
    assert isinstance(last, ast.Expr)
    names: dict[str, object] = {}
    exec(compile(body, "README.md", "exec"), names)
    figure = eval(compile(ast.Expression(last.value), "README.md", "eval"), names)
    assert {trace.name for trace in figure.data} >= {"base", "tuned", "decision tokens"}
