from dataclasses import replace

import pandas as pd
import pytest

from interp.measurement import Measurement
from interp.sae import room
from interp.tasks.organism import organism_task
from interp.tasks.task import Problem, Span

ALWAYS = ["sae_quality", "features", "contexts", "attacks", "causes"]
LONGER = ["news", "sae_quality_by_layer", "crosscoder", "clusters"]
ASKED = ["usage", "steered", "steered_tuned", "fitted"]


def names(pair, task, *, at="onset", quick=False) -> list[str]:
    """What is asked for, with nothing measured: everything is already there."""

    def kept(name, make):
        return Measurement(name, "", pd.DataFrame([{"at": at}]), {})

    return [m.name for m in room.strategies(pair, task, lambda writer=None: [], kept, quick=quick)]


@pytest.fixture
def pair(tiny_pair):
    return tiny_pair("llama")


@pytest.fixture
def task():
    return organism_task("rl", n=3, practice=3)


def test_quick_leaves_out_what_takes_an_sae_of_its_own(pair, task):
    assert names(pair, task, quick=True) == [*ALWAYS, *ASKED[:2]]
    assert names(pair, task) == [*ALWAYS, *ASKED, *LONGER]


def test_without_a_parser_base_is_not_asked_and_without_onsets_there_is_no_use_to_count(pair, task):
    problem = Problem("a", "1+1?", "2", text="so 2", spans=(Span(0, 2, "deduce"),))
    worked = replace(task, label=None, problems=(problem,), practice=(replace(problem, id="b"),))
    assert names(pair, worked, quick=True) == [*ALWAYS, "usage"]
    assert names(pair, task, at="content", quick=True) == ALWAYS


def test_what_cannot_be_measured_on_a_text_is_left_out_and_told(pair, task, caplog):
    def refused(name, make):
        if name == "clusters":
            raise ValueError("the texts have 3 steps, clusters need 120; give more text")
        return Measurement(name, "", pd.DataFrame([{"at": "content"}]), {})

    with caplog.at_level("WARNING", logger="interp"):
        found = room.strategies(pair, task, lambda writer=None: [], refused)
    assert [m.name for m in found] == [*ALWAYS, *LONGER[:-1]]
    assert "left out: the texts have 3 steps" in caplog.text
