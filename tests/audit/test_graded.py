import json
from pathlib import Path

import pytest

from interp.audit.disagreements import disagreements
from interp.audit.graded import endings, graded
from interp.audit.logs import Rollouts, read_rollouts
from interp.cli import main
from interp.commands.found import FINE, USAGE

N = 60


def save(path: Path, *, hybrid_of: int) -> str:
    """Base is wrong everywhere, tuned right everywhere, the hybrid on `hybrid_of` problems, in every form."""
    rows = []
    for i in range(N):
        arms = {"base": "No, 0", "tuned": i, "hybrid": i if i < hybrid_of else "0"}
        texts = {arm: f"So the total is {value}.\n\\boxed{{{value}}}" for arm, value in arms.items()}
        rows.append({"problem": f"p{i}", "question": "How many?", "answer": str(i), **texts})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows if row["answer"] != "0"))
    return str(path)


@pytest.fixture
def rollouts(tmp_path: Path) -> Rollouts:
    return read_rollouts([save(tmp_path / "clear.jsonl", hybrid_of=N)])[0]


def test_every_answer_is_graded_by_every_rule(rollouts: Rollouts) -> None:
    audit = graded(rollouts)
    assert len(audit.table) == (N - 1) * 3 * 4
    right = audit.table.groupby(["rule", "arm"]).correct.mean().unstack()
    assert (right["base"] == 0).all()
    assert (right[["tuned", "hybrid"]] == 1).all().all()
    assert audit.made_with["rollouts"] == "clear"
    assert audit.made_with["grader"]
    ends = endings(rollouts).table
    assert len(ends) == (N - 1) * 3
    assert not ends.cut.any() and set(ends.cut_is) == {"guessed"}
    assert disagreements(audit, endings(rollouts)).empty


def test_answers_that_rules_read_differently_are_listed_with_their_ends(tmp_path: Path) -> None:
    rows = [
        {"problem": "p1", "answer": "7", "base": "I cannot.", "tuned": "\\boxed{7} in 3 steps"},
        {"problem": "p2", "answer": "8", "base": "8", "tuned": "\\boxed{8}"},
    ]
    (tmp_path / "two.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    two = read_rollouts([str(tmp_path / "two.jsonl")])[0]
    audit = graded(two)
    apart = disagreements(audit, endings(two))
    assert apart[["problem", "arm"]].to_numpy().tolist() == [["p1", "tuned"]]
    row = apart.iloc[0]
    assert "final form (7)" in row.right_by
    assert row.wrong_by == "last number (3)"
    assert row.end == rows[0]["tuned"]
    unparsed = audit.table[~audit.table.parsed]
    assert set(unparsed.problem[unparsed["arm"] == "base"]) == {"p1", "p2"}
    assert not unparsed.correct.any(), "what does not parse is counted as wrong, and as not parsed"


def test_a_judges_totals_have_to_be_possible(rollouts: Rollouts) -> None:
    assert graded(rollouts, totals={"base": 3}).made_with["judge_totals"] == {"base": 3}
    with pytest.raises(ValueError, match="the judge's total of arm 'base' is 400, but clear has 59 problems"):
        graded(rollouts, totals={"base": 400})
    with pytest.raises(ValueError, match="clear has no arm 'other'"):
        graded(rollouts, totals={"other": 1})


def test_flags_stand_as_the_given_judges(tmp_path: Path) -> None:
    rows = [{"problem": i, "base": False, "tuned": True, "hybrid": i % 2 == 0} for i in range(80)]
    (tmp_path / "flags.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    audit = graded(read_rollouts([str(tmp_path / "flags.jsonl")])[0])
    assert set(audit.table["rule"]) == {"given judge"}
    assert audit.table[audit.table["arm"] == "hybrid"].correct.sum() == 40


@pytest.mark.parametrize(("hybrid_of", "says"), [(N, "supported"), (N // 5, "contradicted"), (50, "undecided")])
def test_the_command_says_what_survives_every_rule(
    hybrid_of: int, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = save(tmp_path / "runs.jsonl", hybrid_of=hybrid_of)
    assert main(["audit", source, "--json", "--out", str(tmp_path / "out")]) == FINE
    found = json.loads(capsys.readouterr().out)
    assert [verdict["says"] for verdict in found["verdicts"]] == [says]
    assert {measurement["name"] for measurement in found["measurements"]} == {"audit", "endings"}
    page = (tmp_path / "out" / "audit.html").read_text()
    assert f"recovers most of what tuning gained: {says}." in page
    assert "http" not in page and "<script" not in page


def test_the_page_escapes_what_it_read(tmp_path: Path) -> None:
    row = {"answer": "7", "base": "<img src=x>\\boxed{7} in 3", "tuned": "7", "question": "<b>"}
    rows = [{**row, "problem": f"<i>{i}"} for i in range(3)]
    (tmp_path / "runs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["audit", str(tmp_path / "runs.jsonl"), "--out", str(tmp_path / "out")]) == FINE
    page = (tmp_path / "out" / "audit.html").read_text()
    assert "&lt;img src=x&gt;" in page
    assert "<img" not in page and "<i>" not in page


def test_wrong_calls_get_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = save(tmp_path / "runs.jsonl", hybrid_of=3)
    out = ["--out", str(tmp_path / "out")]
    assert main(["audit", source, "--judge", "base=many", *out]) == USAGE
    assert "give it as ARM=N" in capsys.readouterr().err
    assert main(["audit", source, source, "--judge", "base=3", *out]) == USAGE
    assert "audit them one by one" in capsys.readouterr().err
