from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from interp.decoding import Turn, decode, greedy
from interp.pair import Pair
from interp.routing.arms import route
from interp.routing.decisions import task_decisions
from interp.routing.hybrid import write_together
from interp.routing.placing import candidate_hooks, chosen_hook
from interp.routing.routers import never
from interp.routing.sites import by_strategy, opening_sites
from interp.routing.steering import random_onsets, router_decides, tuned_decides, write_steered
from interp.routing.steering_arms import SteeredArm
from interp.routing.step import Step
from interp.routing.vectors import (
    SteeringVector,
    bound,
    fitted_vectors,
    given_vectors,
    mean_difference_vectors,
    random_vectors,
    shuffled_vectors,
)
from interp.tasks.organism import organism_task
from interp.tasks.task import Grade, Problem

HOOK = "blocks.1.hook_out"
LENGTH = 10
PROMPTS = [[1, 5, 9, 30], [1, 7], [1, 40, 41, 42, 43, 44, 45], *([1, i, i + 1] for i in range(8, 20))]


def everywhere(step: Step) -> torch.Tensor:
    return torch.zeros_like(step.base_token)


def nowhere(step: Step) -> torch.Tensor:
    return torch.full_like(step.base_token, -1)


def vector(pair: Pair, *, scale: float = 20.0, hook: str = HOOK) -> SteeringVector:
    direction = torch.randn(pair.d_model, generator=torch.Generator().manual_seed(0))
    return bound(pair, scale * direction / direction.norm(), hook=hook, name="some")


def test_without_onsets_it_is_base_and_with_nothing_to_add_too(
    architecture: str, tiny_pair: Callable[[str], Pair]
) -> None:
    pair = tiny_pair(architecture)
    base = write_together(pair, PROMPTS, never, max_new_tokens=LENGTH)
    assert write_steered(pair, PROMPTS, [vector(pair)], nowhere, max_new_tokens=LENGTH) == base
    faint = write_steered(pair, PROMPTS, [vector(pair)], everywhere, max_new_tokens=LENGTH, coefficient=0.0)
    assert [text.completion for text in faint] == [text.completion for text in base]
    assert all(text.routed == text.written and text.changed == 0 for text in faint)


def test_the_cache_holds_what_a_model_without_one_computes(architecture: str, tiny_pair: Callable[[str], Pair]) -> None:
    """Oracle: the whole text read at once, the vector added at the edited positions; window of Gemma 2 included."""
    pair, steps = tiny_pair(architecture), LENGTH + 8
    added, prompt = vector(pair), PROMPTS[2]
    seen: list[torch.Tensor] = []

    def choose(turn: Turn) -> torch.Tensor:
        logits = turn.logits("base")
        if turn.written % 3 == 0:
            logits = turn.steered("base", HOOK, added.direction.expand(len(logits), -1))
        seen.append(logits.clone())
        return logits.argmax(-1)

    done = decode(pair.models, [prompt], choose, max_new_tokens=steps, stop=())[0]
    edited = [len(prompt) - 1 + place for place in range(0, steps, 3)]

    def add(_module: object, _inputs: object, out: torch.Tensor) -> torch.Tensor:
        out = out.clone()
        out[:, edited] += added.direction
        return out

    handle = pair.base.hook_dict[HOOK].register_forward_hook(add)
    try:
        with torch.no_grad():
            whole = pair.base(torch.tensor([[*prompt, *done.tokens[:-1]]]))[0, len(prompt) - 1 :]
    finally:
        handle.remove()
    torch.testing.assert_close(torch.cat(seen), whole.float(), atol=2e-3, rtol=1e-3)


def test_what_is_steered_does_not_depend_on_the_batch(architecture: str, tiny_pair: Callable[[str], Pair]) -> None:
    pair = tiny_pair(architecture)
    onsets = random_onsets(0.3, 1, seed=3)
    together = write_steered(pair, PROMPTS, [vector(pair)], onsets, max_new_tokens=LENGTH)
    in_parts = write_steered(pair, PROMPTS, [vector(pair)], onsets, max_new_tokens=LENGTH, batch_size=4)
    assert together == in_parts
    assert 0 < sum(text.routed for text in together) < sum(text.written for text in together)
    assert sum(text.changed for text in together) > 0


def test_the_state_is_that_of_the_last_position(tiny_pair: Callable[[str], Pair]) -> None:
    pair = tiny_pair("llama")
    states: list[torch.Tensor] = []

    def choose(turn: Turn) -> torch.Tensor:
        states.append(turn.state("base", HOOK).clone())
        return greedy("base")(turn)

    done = decode(pair.models, [PROMPTS[0]], choose, max_new_tokens=5, stop=())[0]
    assert list(done.tokens) == list(
        decode(pair.models, [PROMPTS[0]], greedy("base"), max_new_tokens=5, stop=())[0].tokens
    )
    with torch.no_grad():
        _, cache = pair.base.run_with_cache(torch.tensor([[*PROMPTS[0], *done.tokens[:-1]]]), names_filter=[HOOK])
    torch.testing.assert_close(torch.cat(states), cache[HOOK][0, len(PROMPTS[0]) - 1 :], atol=1e-4, rtol=1e-4)


def test_a_vector_is_applied_only_where_it_was_fitted(tiny_pair: Callable[[str], Pair]) -> None:
    pair = tiny_pair("llama")
    made = vector(pair)
    with pytest.raises(ValueError, match="was fitted at blocks.1.hook_out and cannot be applied at blocks.2.hook_out"):
        write_steered(pair, PROMPTS, [made], everywhere, max_new_tokens=2, hook="blocks.2.hook_out")
    with pytest.raises(ValueError, match="was fitted at blocks.2.hook_out and cannot be applied at blocks.1.hook_out"):
        write_steered(pair, PROMPTS, [made, vector(pair, hook="blocks.2.hook_out")], everywhere, max_new_tokens=2)
    with pytest.raises(ValueError, match="was fitted in model .* and cannot be applied in"):
        write_steered(tiny_pair("qwen3"), PROMPTS, [made], everywhere, max_new_tokens=2)
    with pytest.raises(ValueError, match="was fitted with norm 20 and has 40"):
        replace(made, direction=2 * made.direction)
    with pytest.raises(ValueError, match="there is no hook 'blocks.9.hook_out' in base"):
        vector(pair, hook="blocks.9.hook_out")
    with pytest.raises(ValueError, match="the direction has shape"):
        bound(pair, torch.ones(3), hook=HOOK, name="short")
    with pytest.raises(ValueError, match="there is no vector to steer by"):
        write_steered(pair, PROMPTS, [], everywhere, max_new_tokens=2)
    with pytest.raises(ValueError, match="a step of 15 rows needs one vector number each"):
        write_steered(pair, PROMPTS, [made], lambda step: torch.zeros(2, dtype=torch.long), max_new_tokens=2)


@pytest.mark.parametrize(("tuned", "recovered"), [("rl", True), ("newskill", False)])
def test_steering_brings_out_when_and_not_how(tuned: str, recovered: bool, organism_pair: Callable[..., Pair]) -> None:
    pair, task = organism_pair(tuned), organism_task(tuned, n=45, practice=90)
    decisions = task_decisions(pair, task)
    groups = by_strategy(opening_sites(pair, task, decisions))
    assert {pair.words([token])[0] for token in groups} == {"step", "back", "plan"}
    vectors = fitted_vectors(pair, groups, hook="blocks.4.hook_out")
    prompts = [pair.encode(problem.prompt) for problem in task.problems]

    def solved(chosen: list[SteeringVector]) -> float:
        onsets = tuned_decides(decisions, chosen, pair.d_vocab)
        texts = write_steered(pair, prompts, chosen, onsets, max_new_tokens=task.max_new_tokens)
        assert sum(text.routed for text in texts) / sum(text.written for text in texts) < 0.15
        right = [
            task.grade(p, pair.text(t.completion.tokens)).strict for p, t in zip(task.problems, texts, strict=True)
        ]
        return float(np.mean(right))

    controls = [random_vectors(pair, vectors, seed=0), shuffled_vectors(pair, vectors)]
    assert all(solved(control) < 0.35 for control in controls)
    assert (solved(vectors) > 0.85) is recovered
    if not recovered:
        assert solved(vectors) < 0.1


def test_controls_have_the_fitted_norms(organism_pair: Callable[..., Pair]) -> None:
    pair, task = organism_pair("rl"), organism_task("rl", n=3, practice=60)
    groups = by_strategy(opening_sites(pair, task, task_decisions(pair, task)))
    like = [
        bound(pair, torch.eye(pair.d_model)[i] * (i + 1), hook=HOOK, name=str(token), opens=token)
        for i, token in enumerate(groups)
    ]
    for made in (random_vectors(pair, like, seed=0), mean_difference_vectors(pair, groups, like, hook=HOOK)):
        assert [v.norm for v in made] == pytest.approx([v.norm for v in like], rel=1e-4)
        assert [v.opens for v in made] == [v.opens for v in like]
    drawn = [random_vectors(pair, like, seed=0, draw=draw)[0].direction for draw in (0, 0, 1)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    with pytest.raises(ValueError, match="a difference of means needs two strategies"):
        mean_difference_vectors(pair, dict(list(groups.items())[:1]), like[:1], hook=HOOK)
    with pytest.raises(ValueError, match="categories can be shuffled where there are two"):
        shuffled_vectors(pair, like[:1])


def test_the_standard_arms_hold_steering_and_its_controls(organism_pair: Callable[..., Pair]) -> None:
    pair, task = organism_pair("null"), organism_task("null", n=9, practice=60)
    answers = route(pair, task)
    steered = set(answers.table["arm"][answers.table["arm"].str.contains("steer")])
    if answers.made_with["steered at"].startswith("nowhere"):
        assert steered == set(), "a null pair may disagree with base nowhere"
    else:
        assert {"steering", "random steering directions"} <= steered


def test_the_layer_is_chosen_on_practice_problems_alone(organism_pair: Callable[..., Pair]) -> None:
    pair, task = organism_pair("rl"), organism_task("rl", n=9, practice=90)
    decisions = task_decisions(pair, task)
    sites = opening_sites(pair, task, decisions)
    hooks = ["blocks.0.hook_out", "blocks.4.hook_out"]
    graded: set[str] = set()

    def grade(problem: Problem, text: str) -> Grade:
        graded.add(problem.id)
        return task.grade(problem, text)

    assert chosen_hook(pair, replace(task, grade=grade), decisions, sites, hooks) == "blocks.4.hook_out"
    assert graded and not graded & {problem.id for problem in task.problems}, "test problems are not looked at"
    assert chosen_hook(pair, task, decisions, [], hooks) == "blocks.0.hook_out", "nothing to choose by"
    assert candidate_hooks(6) == ["blocks.4.hook_out", "blocks.3.hook_out", "blocks.2.hook_out"]
    assert candidate_hooks(1) == ["blocks.0.hook_out"]


def test_base_alone_says_where_and_which(organism_pair: Callable[..., Pair]) -> None:
    pair = organism_pair("rl")
    step, back = (pair.encode(word)[-1] for word in ("step", "back"))
    like = [
        bound(pair, torch.eye(pair.d_model)[i] * 3.0, hook=HOOK, name=str(token), opens=token)
        for i, token in enumerate((step, back))
    ]
    seen: list[torch.Tensor] = []

    def router(step_: Step) -> torch.Tensor:
        seen.append(step_.base_logits[:, [step, back]].argmax(-1))
        return step_.every_row(step_.written == 0)

    onsets = router_decides(router, like)
    told: list[torch.Tensor] = []

    def noted(step_: Step) -> torch.Tensor:
        told.append(onsets(step_))
        return told[-1]

    texts = write_steered(pair, PROMPTS, like, noted, max_new_tokens=3)
    assert torch.equal(told[0], seen[0]) and bool((told[1] == -1).all())
    assert all(text.routed == 1 for text in texts)
    anything = replace(like[0], opens=None)
    with pytest.raises(ValueError, match="opens anything, so base cannot choose"):
        router_decides(router, [anything, like[1]])


def test_given_directions_take_the_fitted_norms_and_need_every_strategy(organism_pair: Callable[..., Pair]) -> None:
    pair = organism_pair("rl")
    like = [bound(pair, torch.ones(pair.d_model), hook=HOOK, name="step", opens=7)]
    given = given_vectors(pair, {7: torch.arange(1.0, pair.d_model + 1)}, like)
    assert given[0].norm == pytest.approx(like[0].norm, rel=1e-4)
    assert float(given[0].direction[1] / given[0].direction[0]) == pytest.approx(2.0)
    with pytest.raises(ValueError, match="no direction was given for step"):
        given_vectors(pair, {}, like)


def test_an_oracle_has_to_say_so() -> None:
    with pytest.raises(ValueError, match="put 'oracle' into its name"):
        SteeredArm("steering", [], nowhere, oracle="tuned")
