from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from interp.measurement import Measurement
from interp.organisms.language import VOCABULARY
from interp.pair import Pair
from interp.routing.hybrid import write_together
from interp.routing.routers import at_random, every_disagreement, never
from interp.routing.steering import random_onsets, write_steered
from interp.routing.steering_arms import SteeredArm
from interp.routing.trace import trace_tokens
from interp.routing.vectors import bound
from interp.streamed import load_streamed
from interp.tasks.task import Grade, Problem, Task

ARMS = {"base": never, "every disagreement": every_disagreement, "random": at_random(0.4)}
COLUMNS = [
    *("arm", "problem", "position", "token", "base_token", "tuned_token", "base_logprob", "tuned_logprob"),
    *("tuned_rank", "js", "base_entropy", "tuned_entropy", "base_gap", "tuned_gap", "gate", "changed", "source"),
    *("text", "base_text", "tuned_text", "strategy", "role", "kind"),
]


@pytest.fixture(scope="module")
def task() -> Task:
    """Five problems without a parser."""
    problems = tuple(Problem(f"p{i}", " ".join(VOCABULARY[9 + i : 11 + 2 * i]), "3", kind="run") for i in range(5))
    return Task("tiny", problems, (), (), lambda _p, _t: Grade(False, False), max_new_tokens=9)


@pytest.fixture(scope="module")
def trace(tiny_pair: Callable[[str], Pair], task: Task, tmp_path_factory: pytest.TempPathFactory) -> Measurement:
    """Two row groups per arm."""
    path = tmp_path_factory.mktemp("trace") / "token_trace.parquet"
    assert trace_tokens(tiny_pair("qwen2"), task, ARMS, path, batch_size=3, seed=0) == path
    return load_streamed(path)


def test_a_row_for_every_token_of_every_arm(trace: Measurement, tiny_pair: Callable[[str], Pair], task: Task) -> None:
    """The rows of a text are its tokens, and their gates its account, also where the batch is not the whole task."""
    pair, table = tiny_pair("qwen2"), trace.table
    assert sorted(table.columns) == sorted(COLUMNS)
    assert trace.made_with["asked"] == task.digest and trace.made_with["seed"] == 0
    prompts = [pair.encode(problem.prompt) for problem in task.problems]
    for arm, router in ARMS.items():
        texts = write_together(pair, prompts, router, max_new_tokens=9)
        for problem, text in zip(task.problems, texts, strict=True):
            rows = table[(table["arm"] == arm) & (table["problem"] == problem.id)]
            assert rows["position"].tolist() == list(range(text.written))
            assert rows["token"].tolist()[: len(text.completion.tokens)] == list(text.completion.tokens)
            assert (rows["gate"].sum(), rows["changed"].sum()) == (text.routed, text.changed)


@torch.inference_mode()
def test_the_numbers_are_those_of_the_whole_text_read_at_once(
    trace: Measurement, tiny_pair: Callable[[str], Pair], task: Task
) -> None:
    pair = tiny_pair("qwen2")
    for _, rows in trace.table.groupby(["arm", "problem"]):
        prompt = pair.encode(next(p.prompt for p in task.problems if p.id == rows["problem"].iloc[0]))
        text = torch.tensor([[*prompt, *rows["token"]]])
        b, t = (m(text)[0, len(prompt) - 1 : -1].double().log_softmax(-1).numpy() for m in pair.models.values())
        at = np.arange(len(rows))
        expected = pd.DataFrame(
            {
                "base_logprob": b[at, rows["token"]],
                "tuned_logprob": t[at, rows["token"]],
                "js": jensenshannon(np.exp(b), np.exp(t), axis=1) ** 2,
                "base_entropy": entropy(np.exp(b), axis=1),
                "tuned_entropy": entropy(np.exp(t), axis=1),
                "base_gap": np.sort(b, 1)[:, -1] - np.sort(b, 1)[:, -2],
                "tuned_gap": np.sort(t, 1)[:, -1] - np.sort(t, 1)[:, -2],
            }
        )
        np.testing.assert_allclose(rows[list(expected)].to_numpy(), expected.to_numpy(), atol=1e-4)
        assert rows["base_token"].tolist() == b.argmax(1).tolist()
        assert rows["tuned_token"].tolist() == t.argmax(1).tolist()
        ranks = [1 + int((row > row[token]).sum()) for row, token in zip(b, rows["tuned_token"], strict=True)]
        assert rows["tuned_rank"].tolist() == ranks


def test_who_wrote_a_token_and_what_it_says(trace: Measurement) -> None:
    table = trace.table
    assert (table["source"] == np.where(table["gate"], "tuned", "base")).all()
    assert (table["changed"] == (table["token"] != table["base_token"])).all()
    assert (table["text"] == [VOCABULARY[token] for token in table["token"]]).all()
    assert not table.loc[table["arm"] == "base", "gate"].any() and table["gate"].any()
    assert set(table.loc[table["token"] != 2, "strategy"]) == {"none"}


def test_labels_are_the_tasks_own(organism_pair: Callable[..., Pair], tmp_path: Path) -> None:
    from interp.tasks.organism import organism_task

    pair, task = organism_pair("rl"), replace(organism_task("rl", n=2), max_new_tokens=24)
    table = pd.read_parquet(trace_tokens(pair, task, {"disagreement": every_disagreement}, tmp_path / "t.parquet"))
    assert task.label is not None
    for problem in task.problems:
        rows = table[table["problem"] == problem.id]
        ended = rows["role"].iloc[-1] == "end"
        labels = task.label(problem, list(rows["text"])[: len(rows) - ended])
        assert rows["strategy"].tolist()[: len(labels)] == [label.strategy for label in labels]
        assert rows["role"].tolist()[: len(labels)] == [label.role for label in labels]
    assert "opener" in set(table["role"])


def test_a_router_that_fails_leaves_no_file(tiny_pair: Callable[[str], Pair], task: Task, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the router returned"):
        trace_tokens(tiny_pair("qwen2"), task, {"broken": lambda _step: torch.ones(2) > 0}, tmp_path / "t.parquet")
    assert not list(tmp_path.iterdir())


def test_steered_texts_are_traced_with_the_push_and_what_came_of_it(
    tiny_pair: Callable[[str], Pair], task: Task, tmp_path: Path
) -> None:
    """Base's numbers are those before the push, the token is that after it, and base writes all of it."""
    pair = tiny_pair("qwen2")
    vector = bound(pair, torch.full((pair.d_model,), 9.0), hook="blocks.1.hook_out", name="up")
    arm = SteeredArm("steering", [vector], random_onsets(0.5, 1, seed=3))
    table = load_streamed(trace_tokens(pair, task, {"steering": arm}, tmp_path / "trace.parquet", batch_size=2)).table
    assert sorted(table.columns) == sorted(COLUMNS)
    prompts = [pair.encode(problem.prompt) for problem in task.problems]
    texts = write_steered(pair, prompts, [vector], arm.onsets, max_new_tokens=9)
    for problem, text in zip(task.problems, texts, strict=True):
        rows = table[table["problem"] == problem.id]
        assert rows["token"].tolist()[: len(text.completion.tokens)] == list(text.completion.tokens)
        assert (rows["gate"].sum(), rows["changed"].sum()) == (text.routed, text.changed)
    assert set(table["source"]) == {"base", "steered"}
    assert table["gate"].equals(table["source"] == "steered")
    assert table["changed"].equals(table["token"] != table["base_token"])
    assert table["changed"].sum() > 0 and not table["changed"][~table["gate"]].any()
    untouched = table[table["position"] == 0].set_index("problem")
    first = write_steered(pair, prompts, [vector], random_onsets(0.0, 1, seed=3), max_new_tokens=1)
    assert untouched["base_token"].tolist() == [text.completion.tokens[0] for text in first]
