from collections.abc import Callable

import pytest

from interp.organisms.language import VOCABULARY
from interp.sae.asked import asked_of
from interp.sae.sites import onset_sites
from interp.tasks.task import Label, Reading

WORDS = {word: number for number, word in enumerate(VOCABULARY)}


def texts(opened: Callable[[int, int], list[tuple[str, str]]], n: int = 40) -> list[Reading]:
    """`n` texts of three stretches, each a word and the strategy that it is said to open."""
    found = []
    for number in range(n):
        words, labels = ["<bos>", "run"], [Label("none", "prompt"), Label("none", "prompt")]
        for stretch, (word, strategy) in enumerate(opened(number, 3)):
            words += [word, "1", "2"]
            labels += [Label(strategy, role, stretch) for role in ("opener", "digit", "digit")]
        found.append(Reading(f"p{number}", tuple(WORDS[word] for word in words), tuple(labels)))
    return found


def in_turn(number: int, n: int) -> list[tuple[str, str]]:
    """`step` and `back`, and a third of the steps named after the operation that they carry out."""
    words = [("step", "back")[(number + i) % 2] for i in range(n)]
    return [(word, "Z" if word == "step" and (number + i) % 3 == 0 else word) for i, word in enumerate(words)]


def test_a_token_counts_for_the_strategy_that_it_opens_more_often_than_all_others(tiny_pair):
    pair, some = tiny_pair("llama"), texts(in_turn)
    sites = onset_sites(some)
    for strategy in ("step", "back"):
        asked = asked_of(pair, some, sites, strategy, 8, 0)
        assert asked is not None and asked["add"].wanted.nonzero()[:, 1].unique().tolist() == [WORDS[strategy]]


def test_a_strategy_that_shares_its_opener_is_not_asked_for(tiny_pair):
    """Making `step` likelier says nothing about which of its two meanings would follow."""
    some = texts(in_turn)
    assert asked_of(tiny_pair("llama"), some, onset_sites(some), "Z", 8, 0) is None


def test_a_second_form_of_an_opener_counts_too(tiny_pair):
    forms = [("step", "step"), ("check", "step"), ("back", "back")]
    some = texts(lambda number, n: [forms[(number + i) % 3] for i in range(n)])
    asked = asked_of(tiny_pair("llama"), some, onset_sites(some), "step", 8, 0)
    assert asked is not None
    assert set(asked["ablate"].wanted.nonzero()[:, 1].tolist()) == {WORDS["step"], WORDS["check"]}


@pytest.mark.parametrize("how", ["add", "clamp"])
def test_something_is_brought_about_only_where_another_strategy_opened(tiny_pair, how):
    some = texts(in_turn)
    sites = onset_sites(some)
    asked = asked_of(tiny_pair("llama"), some, sites, "back", 1_000, 0)
    assert asked is not None
    for prefix, problem in zip(asked[how].prefixes, asked[how].problem, strict=True):
        full = next(text for text in some if text.tokens[: len(prefix)] == tuple(prefix))
        assert full.tokens[len(prefix)] == WORDS["step"] and sites.held_out[sites.problem == problem].all()
