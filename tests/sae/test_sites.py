from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from interp.organisms.language import VOCABULARY
from interp.sae.sites import OTHER, content_sites, is_held_out, onset_sites, places, shuffled
from interp.tasks.task import Label, Reading


def words_of_rows(readings: list[Reading]) -> list[str]:
    """The words of the rows of `activations`."""
    return [VOCABULARY[token] for reading in readings for token in reading.tokens[1:]]


def test_onset_is_the_token_before_an_opener(readings):
    words, sites = words_of_rows(readings), onset_sites(readings)
    assert [words[row + 1] for row in sites.row] == sites.strategy.tolist()
    assert len(sites.row) == sum(label.role == "opener" for reading in readings for label in reading.labels)
    assert {words[row] for row in sites.row} <= set("0123456789"), "the token itself tells nothing"


def test_content_is_the_digits_of_stretches(readings):
    words, sites = words_of_rows(readings), content_sites(readings)
    assert {words[row] for row in sites.row} == set("0123456789")
    assert len(sites.row) == sum(label.role == "digit" for reading in readings for label in reading.labels)
    per_stretch = Counter(sites.stretch.tolist())
    assert set(per_stretch.values()) == {3}, "stretches of different readings are kept apart"


def test_halves_share_no_problem(readings):
    sites = content_sites(readings)
    assert not set(sites.problem[sites.held_out]) & set(sites.problem[~sites.held_out])
    share = np.mean([is_held_out(f"problem {n}") for n in range(2_000)])
    assert 0.45 < share < 0.55


def test_shuffling_relabels_whole_stretches_and_keeps_their_number(readings):
    sites = content_sites(readings)
    mixed = shuffled(sites, seed=0)
    for half in (sites.held_out, ~sites.held_out):
        assert Counter(mixed.strategy[half]) == Counter(sites.strategy[half])
    for stretch in np.unique(sites.stretch)[:100]:
        assert len(set(mixed.strategy[sites.stretch == stretch])) == 1
    moved = (mixed.strategy != sites.strategy).mean()
    assert moved > 0.5
    assert (shuffled(sites, seed=0).strategy == mixed.strategy).all()
    assert (shuffled(sites, seed=1).strategy != mixed.strategy).any()


def test_labels_on_no_token_are_refused(readings):
    unlabelled = [replace(r, labels=(Label("none", "text"),) * len(r.tokens)) for r in readings]
    with pytest.raises(ValueError, match="no token is labelled as the onset of a strategy"):
        onset_sites(unlabelled)


def test_one_strategy_on_every_token_is_refused(readings):
    same = [replace(r, labels=(Label("step", "text", 0),) * len(r.tokens)) for r in readings]
    with pytest.raises(ValueError, match="every token labelled as the content of a strategy belongs to 'step'"):
        content_sites(same)


def test_one_problem_cannot_be_split(readings):
    with pytest.raises(ValueError, match=r"no problem with a strategy's content is (searched|held out)"):
        content_sites([replace(r, problem="the same") for r in readings])


def test_stretches_without_a_number_are_refused():
    reading = Reading("p", (1, 2, 3), (Label("none", "prompt"), Label("step", "text"), Label("back", "text")))
    with pytest.raises(ValueError, match="token 1 of problem 'p' belongs to strategy 'step' but to stretch -1"):
        content_sites([reading])


def test_text_outside_every_strategy_is_what_one_strategy_is_told_from():
    """A reader who labels one strategy and leaves the rest of the response unlabelled."""
    labels = (Label("none", "prompt"), Label("none", "prompt"), Label("check", "text", 0), Label("none", "text"))
    readings = [Reading(f"p{number}", (1, 5, 6, 7), labels) for number in range(20)]
    [content] = places(readings)
    assert content.at == "content" and content.strategies == ["check"]
    assert set(content.strategy) == {"check", OTHER}
    assert content.token.tolist() == [6, 7] * 20 and content.position.tolist() == [2, 3] * 20
    assert content.reading.tolist() == np.repeat(np.arange(20), 2).tolist()
    assert len(set(content.stretch)) == 40, "the text outside is a stretch of its own"


def test_where_nothing_can_be_told_apart_no_place_is_left(readings):
    unlabelled = [replace(r, labels=(Label("none", "text"),) * len(r.tokens)) for r in readings]
    with pytest.raises(ValueError, match="no token is labelled as the content of a strategy"):
        places(unlabelled)
    assert [sites.at for sites in places(readings)] == ["onset", "content"]
