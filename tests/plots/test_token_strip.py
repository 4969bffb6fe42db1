from html.parser import HTMLParser

import pandas as pd
import pytest

from interp.measurement import Measurement
from interp.plots.token_strip import TokenStrip, token_strip

KINDS = [  # text, base's token, tuned's, gate: one token of each kind
    ("run", 5, 5, False),
    ("<b>&\"'", 6, 7, False),
    ("\n", 8, 8, True),
    ("plan", 9, 4, True),
]


def trace() -> Measurement:
    rows = [
        {
            "arm": arm,
            "problem": problem,
            "position": i,
            "text": text,
            "base_text": "<script>",
            "tuned_text": "t",
            "base_token": base,
            "tuned_token": tuned,
            "gate": gate,
            "source": "tuned" if gate else "base",
            "changed": gate and base != tuned,
            "tuned_rank": 3,
            "base_logprob": -1.25,
            "tuned_logprob": -0.5,
            "js": 0.125,
            "base_entropy": 1.0,
            "tuned_entropy": 0.25,
            "strategy": "backtrack",
            "role": "opener",
        }
        for arm in ("base", "a < b")
        for problem in ("p1", "p2")
        for i, (text, base, tuned, gate) in enumerate(KINDS)
    ]
    return Measurement("token_trace", "nats", pd.DataFrame(rows[::-1]), {})


class Words(HTMLParser):
    """The spans that have a title, as a browser reads them: text, style, title; and the tags met."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[list[str]] = []
        self.tags: set[str] = set()
        self.open = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        found = dict(attrs)
        self.open = "title" in found
        if self.open:
            self.words.append(["", found["style"] or "", found["title"] or ""])

    def handle_data(self, data: str) -> None:
        if self.open:
            self.words[-1][0] += data

    def handle_endtag(self, tag: str) -> None:
        self.open = False


def test_tokens_stand_in_order_with_their_reasons_and_nothing_is_markup() -> None:
    read = Words(token_strip(trace(), problem="p2", arms=["a < b"]))
    assert [word for word, _, _ in read.words] == ["run", "<b>&\"'", "\u21b5", "plan"]
    assert read.tags == {"div", "p", "code", "b", "span"}
    title = read.words[3][2]
    for told in ("position 3: written by tuned, another token", "'<script>'", "number 3", "-1.25 in base", "0.125"):
        assert told in title
    assert "strategy backtrack, opener" in title


def test_who_wrote_a_token_shows_without_colour() -> None:
    """Strip the colours off: four kinds of token still have four looks."""
    import re

    looks = [
        re.sub(r"#\\w{6}|rgba\\(.*?\\)", "", style) for _, style, _ in Words(token_strip(trace(), arms=["base"])).words
    ]
    assert len(set(looks)) == 4


def test_every_arm_of_the_first_problem_by_default() -> None:
    page = token_strip(trace())
    assert "<b>base</b> (4 tokens, 2 routed to tuned, 1 changed)" in page and "<b>a &lt; b</b>" in page
    assert page == TokenStrip(trace(), "p2", ("a < b", "base"))._repr_html_()


def test_what_the_trace_does_not_have_is_named() -> None:
    with pytest.raises(ValueError, match="no problem 'p9'; it has 'p2', 'p1'"):
        token_strip(trace(), problem="p9")
    with pytest.raises(ValueError, match="no arm 'tuned' for problem 'p1'; it has 'a < b', 'base'"):
        token_strip(trace(), problem="p1", arms=["tuned"])


def test_what_base_wrote_under_a_push_is_told_from_what_tuned_wrote() -> None:
    routed = trace()
    table = routed.table.assign(source=routed.table["source"].replace("tuned", "steered"))
    pushed = Measurement("token_trace", "nats", table, {})
    page, plain = token_strip(pushed), token_strip(routed)
    assert "2 pushed, 1 changed" in page and "routed to tuned" not in page.split("</p>")[1]
    assert "base under a push, another token than without it" in page
    assert "under a push" not in plain
    of_plan = [style for text, style, _ in Words(page).words if text.startswith("plan")]
    assert of_plan and of_plan[0] not in [style for _, style, _ in Words(plain).words]
