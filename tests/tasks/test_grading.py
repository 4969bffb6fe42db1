import threading

import pytest

from interp.tasks.grading import grade_text, stated_form
from interp.tasks.task import Grade, Problem

RIGHT, FOUND, WRONG = Grade(True, True), Grade(False, True), Grade(False, False)


def graded(answer: str, response: str) -> Grade:
    return grade_text(Problem("p", "?", answer), response)


@pytest.mark.parametrize(
    ("response", "form"),
    [
        (r"\boxed{3} and then \boxed{\frac{1}{2}}, so #### 9", r"\frac{1}{2}"),
        ("#### 4\n#### 5\nbecause", "5"),
        ("The answer is 3. Wait: the answer is 3.5 apples. Done", "3.5 apples"),
        (r"\boxed{2} \boxed{never closed", "2"),
        ("nothing stated, 12", None),
        (r"\boxed{" + "9" * 400 + "}", None),
    ],
)
def test_the_stated_form(response: str, form: str | None) -> None:
    assert stated_form(response) == form


@pytest.mark.parametrize(
    ("answer", "response", "grade"),
    [
        ("1/2", r"so \boxed{0.5}", RIGHT),
        (r"\frac{\sqrt{2}}{2}", r"\boxed{\sqrt{2}/2}", RIGHT),
        ("3,000", "The answer is 3000.", RIGHT),
        ("12", "6 + 6 = 12", FOUND),
        ("12", r"first 12, then \boxed{13}", WRONG),
        ("12", "I do not know", WRONG),
        ("12", "", WRONG),
        ("Paris", "The answer is  paris.", RIGHT),
        ("Paris", "Hm.\nI would say Paris, in France", FOUND),
        ("Paris", "Paris?\nNo: London", WRONG),
        ("art", "a party", WRONG),
    ],
)
def test_both_rules(answer: str, response: str, grade: Grade) -> None:
    assert graded(answer, response) == grade


def test_a_thread_grades_as_the_main_thread_does() -> None:
    grades: list[Grade] = []
    cases = [("3/4", r"\boxed{0.75}"), ("3/4", r"\boxed{0.76}")]
    thread = threading.Thread(target=lambda: grades.extend(graded(*case) for case in cases))
    thread.start()
    thread.join()
    assert grades == [RIGHT, WRONG]
