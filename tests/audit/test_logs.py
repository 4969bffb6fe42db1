import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interp.audit.logs import read_rollouts

Write = Callable[..., str]
ROW = {"problem": "p1", "question": "1 + 1?", "answer": "2", "base": "It is 3.", "tuned": "It is 2."}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def lines(*rows: Any, name: str = "runs.jsonl") -> str:
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(tmp_path / name)

    return lines


def test_texts_and_flags(write: Write) -> None:
    texts = read_rollouts([write(ROW, {**ROW, "problem": "p2", "judge": {"base": False, "tuned": True}})])[0]
    assert texts.name == "runs"
    assert len(texts.table) == 4
    assert texts.table.judged.tolist() == [None, None, False, True]
    flags = read_rollouts([write({"id": 1, "base": False, "tuned": True}, name="flags.jsonl")])[0]
    assert flags.table.text.tolist() == [None, None]
    assert flags.table.judged.tolist() == [False, True]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([ROW, ROW], "arm 'base' answers problem 'p1' twice"),
        ([ROW, {**ROW, "problem": "p2", "hybrid": "2"}], "arm 'hybrid' answers 1 of 2 problems, not 'p1'"),
        ([{"problem": "p1", "answer": "2", "tuned": "2"}], "has no arm 'base' among tuned"),
        ([{**ROW, "answer": " "}], "line 1: texts need the gold 'answer'"),
        ([{**ROW, "tuned": True}], "line 1: some arms are texts and some are flags"),
        ([ROW, {"problem": "p2", "base": True, "tuned": True}], "some lines hold texts and some flags"),
        ([{**ROW, "tuned": 1.5}], "line 1: arm 'tuned' is 1.5; give its text, or true or false"),
        ([{"question": "?"}], "line 1: neither 'problem' nor 'id' names the problem"),
        ([{"problem": "p1", "answer": "2"}], "line 1: there is no arm"),
        ([[1]], "line 1: a list, not an object"),
        ([{**ROW, "judge": "yes"}], "line 1: 'judge' is 'yes'; give true or false per arm"),
        ([], "has no problems"),
    ],
)
def test_what_cannot_be_compared_is_refused(rows: list[Any], sentence: str, write: Write) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_rollouts([write(*rows)])


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs.jsonl").write_text(json.dumps(ROW) + "\n{broken\n")
    with pytest.raises(ValueError, match="runs.jsonl, line 2: not a line of JSON"):
        read_rollouts([str(tmp_path / "runs.jsonl")])


def sample(name: str, text: str, score: Any, stop: str = "stop") -> dict[str, Any]:
    output = {"completion": text, "choices": [{"message": {"content": text}, "stop_reason": stop}]}
    scores = {"match": {"value": score}}
    return {"id": name, "epoch": 1, "input": "1 + 1?", "target": "2", "output": output, "scores": scores}


def test_logs_of_inspect_one_per_arm(tmp_path: Path) -> None:
    base, tuned = tmp_path / "base.json", tmp_path / "tuned.eval"
    base.write_text(json.dumps({"samples": [sample("a", "So 3", "I", "max_tokens"), sample("b", "So 2.", "C")]}))
    with zipfile.ZipFile(tuned, "w") as archive:
        archive.writestr("header.json", "{}")
        for name in "ab":
            archive.writestr(f"samples/{name}_epoch_1.json", json.dumps(sample(name, "So 2.", "C")))
    logs = read_rollouts([f"base={base}", f"tuned={tuned}"])
    assert len(logs) == 1
    table = logs[0].table.set_index(["problem", "arm"])
    assert table.judged.to_dict() == {
        ("a", "base"): False,
        ("b", "base"): True,
        ("a", "tuned"): True,
        ("b", "tuned"): True,
    }
    assert table.cut.sum() == 1 and table.cut["a", "base"]
    assert set(table.gold) == {"2"}
    with pytest.raises(ValueError, match="is the log of one arm; say which, as in base=base.json"):
        read_rollouts([str(base)])


def test_logs_of_lm_eval_one_per_arm(write: Write) -> None:
    def document(text: str, score: float, by: str = "strict-match") -> dict[str, Any]:
        doc = {"question": "1 + 1?"}
        graded = {"filter": by, "metrics": ["exact_match"], "exact_match": score}
        return {"doc_id": 0, "doc": doc, "target": "so\n#### 2", "resps": [[text]], **graded}

    base = write(document("It is 3.", 0.0), document("It is 3.", 0.0, "flexible-extract"), name="samples_b.jsonl")
    tuned = write(document("#### 2", 1.0), name="samples_t.jsonl")
    table = read_rollouts([f"base={base}", f"tuned={tuned}"])[0].table
    assert table["arm"].tolist() == ["base", "tuned"], "another filter grades the same text again"
    assert table.judged.tolist() == [False, True]
    twice = write(document("It is 3.", 0.0), document("It is 2.", 1.0), name="samples_2.jsonl")
    with pytest.raises(ValueError, match="document 0 has two different responses"):
        read_rollouts([f"base={twice}", f"tuned={tuned}"])
    with pytest.raises(ValueError, match="is no sample log of lm-eval"):
        read_rollouts([f"base={write(ROW)}", f"tuned={tuned}"])
