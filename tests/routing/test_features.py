"""Routing where a feature of base fires: the right one is chosen, its control is not, and what cannot be is refused."""

import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from interp.organisms.language import VOCABULARY
from interp.pair import Pair
from interp.routing.arms import route
from interp.routing.decisions import task_decisions
from interp.routing.features import CONTROL, Dictionary, feature_arms, feature_fires
from interp.routing.hybrid import write_together
from interp.tasks.task import Grade, Problem, Task
from interp.workbench import open_dictionary

HOOK = "blocks.0.hook_out"


def planted_task(n: int = 30) -> Task:
    def grade(problem: Problem, text: str) -> Grade:
        return Grade(text.split()[-1:] == [problem.answer], problem.answer in text)

    asked, practice = (
        tuple(Problem(f"{name}{i}", f"run {'R ' * (i % 6)}:", "3", kind="run") for i in range(n)) for name in "pq"
    )
    return Task("planted", asked, practice, (), grade, max_new_tokens=12, openers=("step", "ans"))


def read(state: Float[Tensor, "token d_in"]) -> Float[Tensor, "token d_sae"]:
    """Embeddings are one-hot: every token has a feature of its own, in the order of the vocabulary turned round."""
    return state.flip(1).relu()


WORDS = Dictionary(read, HOOK, "words", {"seed": 7})
COLON = len(VOCABULARY) - 1 - VOCABULARY.index(":")


def test_the_feature_of_the_place_where_tuned_decides_is_chosen(planted: Callable[[str, str], Pair]) -> None:
    pair, task = planted("hasty", "careful"), planted_task()
    arms = feature_arms(pair, task, task_decisions(pair, task), WORDS)
    assert [arm.name for arm in arms] == [f"SAE feature {COLON} fires in base", *[CONTROL] * 3]
    answers = route(pair, task, arms=[], more=arms, facts={"sae": dict(WORDS.made_with)})
    table = answers.table
    solved, routed = table.groupby("arm")["correct"].mean(), table.groupby("arm")["routed"].mean()
    assert solved[arms[0].name] == solved["tuned"] == 1
    assert routed[arms[0].name] == 1, "the colon is read once"
    assert solved[CONTROL] == solved["base"] == 0
    assert answers.made_with["sae"] == {"seed": 7}


def test_a_feature_fires_where_it_is_active_and_tuned_is_not_looked_at(planted: Callable[[str, str], Pair]) -> None:
    pair = planted("hasty", "careful")
    prompts = [pair.encode("run :"), pair.encode("run R :")]
    texts = write_together(pair, prompts, feature_fires(WORDS, COLON), max_new_tokens=8)
    assert [text.routed for text in texts] == [1, 1]
    silent = Dictionary(lambda state: torch.zeros(len(state), 5), HOOK, "silent")
    assert not any(text.routed for text in write_together(pair, prompts, feature_fires(silent, 4), max_new_tokens=8))
    with pytest.raises(ValueError, match="there is no feature 5; silent has features 0 to 4"):
        write_together(pair, prompts, feature_fires(silent, 5), max_new_tokens=8)


def test_where_nothing_can_be_chosen_the_arm_is_left_out_and_that_is_said(
    planted: Callable[[str, str], Pair], caplog: pytest.LogCaptureFixture
) -> None:
    same, task = planted("hasty", "hasty"), planted_task()
    pair = planted("hasty", "careful")
    silent = Dictionary(lambda state: torch.zeros(len(state), 5), HOOK, "silent")
    with caplog.at_level(logging.WARNING, "interp"):
        assert feature_arms(same, task, task_decisions(same, task), WORDS) == []
        assert feature_arms(pair, task, task_decisions(pair, task), silent) == []
    assert "left out: tuned decides otherwise at 0 of" in caplog.text
    assert "none fires more where tuned decides than elsewhere" in caplog.text


def test_a_hook_that_base_lacks_is_refused(planted: Callable[[str, str], Pair]) -> None:
    pair, task = planted("hasty", "careful"), planted_task()
    with pytest.raises(ValueError, match=r"words reads 'blocks\.9\.hook_out', a hook that base does not have"):
        feature_arms(pair, task, task_decisions(pair, task), Dictionary(read, "blocks.9.hook_out", "words"))


def test_an_sae_of_another_model_is_refused_with_both_named(
    planted: Callable[[str, str], Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = planted("hasty", "careful")
    (tmp_path / "trained_on.json").write_text("{}")

    def saved(**trained_on: Any) -> None:
        sae = SimpleNamespace(encode=read, hook=HOOK, trained_on=trained_on)
        monkeypatch.setattr("interp.sae.trained.load_sae", lambda _: sae)

    saved(checkpoint="other", digest="0", shuffled=None)
    with pytest.raises(ValueError, match=r"was trained on other \(0\), base is .*hasty.*; give an SAE of base"):
        open_dictionary(pair, tmp_path)
    saved(checkpoint="hasty", digest=pair.base_checkpoint.digest, shuffled=3)
    with pytest.raises(ValueError, match="give an SAE of base, with its weights as they are"):
        open_dictionary(pair, tmp_path)
    saved(checkpoint="hasty", digest=pair.base_checkpoint.digest, shuffled=None)
    found = open_dictionary(pair, tmp_path)
    assert (found.hook, found.name) == (HOOK, f"the SAE in {tmp_path.name}")
    assert {"checkpoint", "weights"} <= found.made_with.keys()
