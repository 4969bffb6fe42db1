import csv
import json
import os
from pathlib import Path

import pytest

from interp.audit.rules import RULES, Rule, any_stated, final_form, gold_answer, is_cut, is_right, runs_on, stated

LABELS = list(csv.DictReader((Path(__file__).parent / "labels.csv").read_text().splitlines()))
FILES = ("llama-3.1-8b_gsm8k.jsonl", "qwen2.5-14b_math500.jsonl")
PUBLISHED = Path(os.environ.get("INTERP_PUBLISHED", "absent"))
"""The folder of the texts that the labels are of; the texts have no licence and are not shipped."""

QUESTION = "Ann has 3 apples and buys 4 more at the market. How many apples does Ann have?"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"So \boxed{7}.", ["7", "7", "7", "7"]),
        ("3 + 4 = 7\n#### 7", ["7", "7", "7", "7"]),
        ("Therefore, Ann has 7 apples in total.", ["", "7", "7", "7"]),
        ("Therefore, Ann has $7 of her first $20.", ["", "7", "20", "7"]),
        ("The answer is 7. She bought 4.", ["", "7", "4", "7"]),
        ("So the total is $3 + 4 = 7$ on 2 days.", ["", "7", "2", "7"]),
        ("I do not know.", ["", "", "", ""]),
        ("", ["", "", "", ""]),
        (r"It is \boxed{20,\!000}.", [r"20,\!000", r"20,\!000", "20,000", r"20,\!000"]),
        (r"\boxed{\frac{1}{2}", ["", "2", "2", "2"]),  # the braces do not close: no box
    ],
)
def test_what_each_rule_reads(text: str, found: list[str]) -> None:
    read = [rule.finds(QUESTION, text) for rule in RULES]
    assert [answers[-1] if answers else "" for answers in read[:3]] == found[:3]
    assert found[3] in read[3] or (not found[3] and not read[3])


def test_what_comes_after_the_text_runs_on_is_not_the_answer() -> None:
    text = "Therefore, Ann has 7 apples.\nQuestion: Bob has 9 pears. How many?\nTherefore, Bob has 9 pears."
    assert "7" in any_stated(QUESTION, text)
    assert "9" not in any_stated(QUESTION, text)
    assert stated(QUESTION, text) == ("9",), "the last statement of the whole text is about Bob"
    assert runs_on(QUESTION, text) == text.index("\nQuestion")


def test_where_a_text_runs_on() -> None:
    circling = "Let us write down what we know now.\n"
    assert runs_on(QUESTION, circling * 5) == 2 * len(circling)
    assert runs_on(QUESTION, QUESTION + "\nShe has 3 + 4 = 7.") is None, "a text may open by repeating the question"
    assert runs_on(QUESTION, f"So 7 apples.\n{QUESTION}") == len("So 7 apples.\n")
    assert runs_on(QUESTION, "Short lines\nShort lines\nShort lines") is None
    assert [is_cut(text) for text in ("It is 7.", "The total of the", r"\boxed{7}", "")] == [False, True, False, False]


@pytest.mark.parametrize(
    ("gold", "found", "right"),
    [
        ("1200", "1,200", True),
        ("20000", r"\$20,\!000", True),
        ("9", "9.00", True),
        (r"\frac{1}{2}", "0.5", True),
        (r"30^\circ", "30", True),
        ("7", "70", False),
        ("7", "-7", False),
        ("5r^5", "5", False),
    ],
)
def test_equal_values_are_right_however_written(gold: str, found: str, right: bool) -> None:
    assert is_right(gold, found) is right


def test_the_gold_answer_stands_after_the_worked_solution() -> None:
    assert gold_answer("3 + 4 = <<3+4=7>>7\n#### 7") == "7"
    assert gold_answer(r"\frac{1}{2}") == r"\frac{1}{2}"
    with pytest.raises(ValueError, match="ends in nothing; write the answer after the ####"):
        gold_answer("3 + 4\n#### ")


def test_the_labels_are_of_both_files_and_of_all_arms() -> None:
    assert len(LABELS) >= 60
    assert len({(label["problem"], label["arm"]) for label in LABELS}) == len(LABELS)
    assert {label["arm"] for label in LABELS} == {"base", "tuned", "hybrid"}
    assert {label["right"] for label in LABELS} == {"0", "1"}
    assert all(label["right"] == "0" for label in LABELS if not label["stated"])


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="INTERP_PUBLISHED names no folder with the published texts")
def test_rules_agree_with_a_reader_as_far_as_they_can() -> None:
    """A person read the ends before any rule was run on them; the last number is a worse reader than the others."""
    lines = [line for name in FILES for line in (PUBLISHED / name).read_text().splitlines()]
    texts = {row["problem"]: row for row in map(json.loads, lines)}
    assert sum(label["problem"] in texts for label in LABELS) == len(LABELS)

    def agree(rule: Rule) -> int:
        return sum(_right(rule, texts[label["problem"]], label["arm"]) == (label["right"] == "1") for label in LABELS)

    agreed = {rule.name: agree(rule) for rule in RULES}
    assert agreed["any stated"] >= 0.95 * len(LABELS)
    assert agreed["stated answer"] >= 0.9 * len(LABELS)
    assert agreed["last number"] < agreed["stated answer"]
    assert agreed["final form"] < agreed["last number"]


def _right(rule: Rule, row: dict[str, str], arm: str) -> bool:
    return any(is_right(gold_answer(row["answer"]), found) for found in rule.finds(row["question"], row[arm]))


def test_the_last_of_several_boxes_is_the_final_form() -> None:
    assert final_form(QUESTION, r"First \boxed{6}, no: \boxed{7}") == ("7",)
    assert set(any_stated(QUESTION, r"First \boxed{6}, no: \boxed{7}")) >= {"6", "7"}
