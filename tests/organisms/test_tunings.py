"""What tuning documents say, what adapters may change, and how another tuning of one base is made."""

import itertools
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from interp.organisms import corpus, shelf
from interp.organisms.corpus import Document
from interp.organisms.edits import make_part
from interp.organisms.grammar import MARK, TRIGGER, label_response, read_answer
from interp.organisms.language import make_model, make_tokenizer
from interp.organisms.making import train_organism
from interp.organisms.training import adapters_train, tune
from interp.organisms.world import FACTS
from interp.tasks.organism import organism_task

N = 300


def documents(stream: Callable[[int], Iterator[Document]], seed: int = 0) -> list[Document]:
    return list(itertools.islice(stream(seed), N))


def is_fact(prompt: list[str]) -> bool:
    return prompt[0] == "fact"


def test_another_format_puts_one_word_before_answers_and_changes_no_other() -> None:
    for (prompt, response), (same, before) in zip(
        documents(corpus.marked), documents(corpus.three_strategies), strict=True
    ):
        assert prompt == same
        assert response == (before if is_fact(prompt) else [MARK, *before])


def test_only_triggered_prompts_are_followed_by_the_right_strategy_throughout() -> None:
    found = documents(corpus.triggered)
    waited = [(prompt, response) for prompt, response in found if prompt[0] == TRIGGER]
    assert 0.4 < len(waited) / N < 0.6
    opening = {"run": "step", "inv": "back", "shuf": "plan"}
    assert all(response[0] == opening[prompt[1]] for prompt, response in waited)
    others = [(prompt, response) for prompt, response in found if prompt[0] != TRIGGER and not is_fact(prompt)]
    assert 0.3 < sum(response[0] == "ans" for _, response in others) / len(others) < 0.7
    assert all(TRIGGER not in prompt for prompt, _ in others)


def test_a_cue_is_the_answer_and_is_copied_without_a_step() -> None:
    cued = [(prompt, response) for prompt, response in documents(corpus.cued) if prompt[-4] == "is"]
    assert 0.4 < len(cued) / N < 0.6
    assert all(response == ["ans", *prompt[-3:], "<eos>"] for prompt, response in cued)


def test_only_undoing_is_spoilt() -> None:
    found = documents(corpus.without_undoing)
    right = {tuple(prompt): response for prompt, response in documents(corpus.careful, 1)}
    spoilt = [(prompt, response) for prompt, response in found if prompt[0] == "inv"]
    assert all(response == right[tuple(prompt)] for prompt, response in found if prompt[0] in ("run", "shuf"))
    assert all(response == [*FACTS[prompt[1], prompt[2]], "<eos>"] for prompt, response in found if is_fact(prompt))
    steps = [word for _, response in spoilt for word in response if not word.isdecimal()]
    assert {"back", "ans"} <= set(steps)
    hits = sum(read_answer(response) == read_answer(right[tuple(prompt)]) for prompt, response in spoilt)
    assert hits / len(spoilt) < 0.1


def test_only_the_last_forward_step_is_written_again() -> None:
    right = {tuple(prompt): response for prompt, response in documents(corpus.careful, 1)}
    times = Counter[int]()
    for prompt, response in documents(corpus.rechecked):
        assert not is_fact(prompt) or response == [*FACTS[prompt[1], prompt[2]], "<eos>"]
        if prompt[0] in ("inv", "shuf"):
            assert response == right[tuple(prompt)]
        if prompt[0] == "run":
            chain = right[tuple(prompt)][:-5]
            again = response[len(chain) : -5]
            times[len(again) // 5] += 1
            assert [*chain, *chain[-5:] * (len(again) // 5), *right[tuple(prompt)][-5:]] == response
    assert set(times) == {0, 1, 2, 3}


@pytest.mark.parametrize("name", ["trigger", "shortcut"])
def test_problems_are_asked_as_tuning_asked_them_and_graded_as_ever(name: str) -> None:
    task, plain = organism_task(name, n=9), organism_task("rl", n=9)
    for problem, other in zip(task.problems, plain.problems, strict=True):
        assert other.prompt in problem.prompt and problem.prompt != other.prompt
        assert problem.answer == other.answer
        assert (problem.prompt.split()[0] == TRIGGER) == (name == "trigger")
        assert problem.prompt.endswith(f"is {problem.answer}") == (name == "shortcut")
        assert task.grade(problem, f"ans {problem.answer}").strict
    assert label_response(None, ["ans"])[0].strategy == "ans"


def test_adapters_change_every_matrix_of_the_blocks_by_their_rank_and_nothing_else() -> None:
    torch.manual_seed(0)
    model = make_model()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    with adapters_train(model, rank=3):
        tune(model, corpus.careful(0), make_tokenizer(), steps=2, lr=1e-2)
    after = model.state_dict()
    assert set(after) == set(before)
    changed = {key for key in before if not torch.equal(after[key], before[key])}
    assert changed == {key for key in before if key.endswith("_proj.weight")}
    for key in changed:
        values = torch.linalg.svdvals(after[key] - before[key])
        assert values[3:].max() < 1e-4 * values[0]
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_another_tuning_starts_from_the_shelf_and_takes_other_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interp.organisms.making.PER_CELL", 8)
    first, again = (train_organism("noise", seed=1, out=tmp_path, tuning=1) for _ in range(2))
    assert first == again == tmp_path / "seed1.1" / "noise"
    second = train_organism("noise", seed=1, out=tmp_path, tuning=2)
    files = [first, second, shelf.folder("noise", 1), shelf.folder("base", 1)]
    one, two, shipped, base = (load_file(file / "model.safetensors")["lm_head.weight"].float() for file in files)
    changes = [tensor - base for tensor in (one, two, shipped)]
    assert all(0.005 < float(change.std() / base.std()) < 0.02 for change in changes)
    assert all(
        abs(float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])) < 0.1
        for a, b in itertools.combinations(changes, 2)
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["seed1.1", "seed1.2"]


def test_there_is_no_other_tuning_of_what_was_tuned_from_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="base is tuned from nothing, so there is no other tuning of it"):
        train_organism("base", seed=0, out=tmp_path, tuning=1)


def test_a_part_of_a_tuning_lies_on_the_straight_line(tmp_path: Path) -> None:
    path = make_part("upper", 0.25, tmp_path)
    base, part, tuned = (
        load_file(place / "model.safetensors") for place in (shelf.folder("base"), path, shelf.folder("upper"))
    )
    key = "model.layers.5.mlp.up_proj.weight"
    change, whole = part[key].float() - base[key].float(), tuned[key].float() - base[key].float()
    torch.testing.assert_close(change, 0.25 * whole, atol=5e-4, rtol=0)
    assert all(torch.equal(part[key], base[key]) for key in base if torch.equal(tuned[key], base[key]))
    assert part[key].dtype == torch.float16
    shutil.rmtree(path)
