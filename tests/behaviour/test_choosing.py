"""Decoding with a hook on the logits, on an organism."""

import pytest
import torch

from interp.behaviour.chains import Chain
from interp.behaviour.choosing import biased, edited, kept_going, penalised, under_grammar, with_tool
from interp.behaviour.compression import compression, concise_vector, pushed, random_twin
from interp.behaviour.execution import execution, independent, one_steps
from interp.behaviour.in_organisms import word_ids
from interp.decoding import greedy, sample
from interp.organisms.grammar import forward_trace
from interp.rollouts import complete, write
from interp.tasks.organism import organism_task


@pytest.fixture(scope="module")
def pair(organism_pair):
    return organism_pair("rl")


@pytest.fixture(scope="module")
def task():
    return organism_task("rl", n=12, practice=3)


def written(pair, task, edit, *, model="tuned", choose=None, n=56):
    prompts = [pair.encode(problem.prompt) for problem in task.problems]
    done = complete(pair, prompts, edited(choose or greedy(model), model, edit), max_new_tokens=n)
    return [pair.words(one.tokens) if one.tokens else [] for one in done]


def test_an_edit_that_does_nothing_changes_nothing(pair, task):
    prompts = [pair.encode(problem.prompt) for problem in task.problems]
    plain = complete(pair, prompts, greedy("tuned"), max_new_tokens=56)
    same = complete(pair, prompts, edited(greedy("tuned"), "tuned", lambda turn, logits: logits), max_new_tokens=56)
    assert same == plain
    drawn = sample("base", seed=0, n_prompts=12, max_new_tokens=20)
    assert complete(pair, prompts, edited(drawn, "base", biased({})), max_new_tokens=20) == complete(
        pair, prompts, drawn, max_new_tokens=20
    )


def test_a_grammar_is_obeyed(pair, task):
    ans, stop = word_ids(pair, ["ans"])[0], pair.stop_ids[0]
    digits = word_ids(pair, list("0123456789"))

    def allowed(text):
        return [ans] if not text else digits if len(text) < 4 else [stop]

    for words in written(pair, task, under_grammar(allowed), model="base"):
        assert words[0] == "ans" and len(words) == 4 and set("".join(words[1:])) <= set("0123456789")
    with pytest.raises(ValueError, match=r"the grammar allows no token after \[\]"):
        written(pair, task, under_grammar(lambda text: []))


def test_a_penalty_and_a_bias_move_what_they_are_on(pair, task):
    step, back, plan, ans = word_ids(pair, ["step", "back", "plan", "ans"])
    opened = [words[0] for words in written(pair, task, penalised([step, back, plan], alpha=99.0))]
    assert set(opened) == {"ans"}
    late = written(pair, task, penalised([step, back, plan], alpha=99.0, beta=0))
    assert [words[0] for words in late] == [words[0] for words in written(pair, task, biased({}))]
    assert {words[0] for words in written(pair, task, biased({ans: 99.0}))} == {"ans"}


def test_thinking_that_is_kept_going(pair, task):
    step, ans = word_ids(pair, ["step", "ans"])
    forced = written(pair, task, kept_going([ans], step, times=1), model="base")
    plain = written(pair, task, biased({}), model="base")
    at_once = [i for i, words in enumerate(plain) if words[0] == "ans"]
    assert at_once and all(forced[i][0] == "step" for i in at_once)


def test_a_tool_writes_its_result(pair, task):
    step, nine = word_ids(pair, ["step", "9"])
    told = written(pair, task, with_tool([step], lambda arguments, row: [nine] * 3, reads=1))
    stepped = [words for words in told if words[0] == "step"]
    assert stepped and all(words[2:5] == ["9"] * 3 for words in stepped)


def test_runs_with_tools_have_a_size(pair, task):
    made = write(pair, task, temperature=None)
    sizes = {problem.id: 3 for problem in task.problems}
    table = execution({"none": made, "tool": made}, sizes).table
    assert table.groupby("tool")["correct"].mean().nunique() == 1 and table["size"].eq(3).all()
    with pytest.raises(ValueError, match="'oracle' is no kind of run"):
        execution({"oracle": made}, sizes)
    with pytest.raises(ValueError, match="has no size; give the steps"):
        execution({"none": made}, {})
    assert independent({2: 0.1, 3: 0.0}) == {2: pytest.approx(0.81), 3: 1}


def test_steps_after_true_prefixes_are_right_and_false_ones_are_not(pair):
    chains = []
    for start in range(8):
        words = forward_trace(("A", "B", "C"), (start, 1, 2))
        prompt = tuple(pair.encode(f"run A B C : {start} 1 2"))
        steps = tuple(word_ids(pair, words[i : i + 5]) for i in range(0, 15, 5))
        chains.append(Chain(f"p{start}", "oracle", prompt, steps, " ".join(words[-3:]), ""))
    table = one_steps(pair, chains).table
    assert table[(table.arm == "tuned")]["correct"].mean() > 0.95
    false = [Chain(c.problem, "x", c.prompt, (*c.steps[:2], c.steps[0]), c.answer, "") for c in chains]
    wrong = one_steps(pair, false).table
    assert not wrong[(wrong.arm == "tuned") & (wrong.i == 2)]["correct"].any()


def test_a_vector_from_pairs_of_texts_pushes_decoding(pair, task):
    prompts = [tuple(pair.encode(problem.prompt)) for problem in task.problems]
    step, ans = word_ids(pair, ["step", "ans"])
    hook = "blocks.5.hook_out"
    short, long = [(*p, ans) for p in prompts], [(*p, step) for p in prompts]
    vector, stable = concise_vector(pair, "tuned", hook, short, long)
    assert stable > 0.8
    twin = random_twin(vector)
    assert twin.norm().item() == pytest.approx(vector.norm().item(), rel=1e-5)
    assert torch.cosine_similarity(twin, vector, dim=0).abs() < 0.4
    runs = {("none", 0.0): write(pair, task, temperature=None, arms={"tuned": "tuned"})}
    none = write(
        pair, task, temperature=None, arms={"tuned": "tuned"}, choose={"tuned": pushed("tuned", hook, 0 * vector)}
    )
    assert none.table.text.tolist() == runs["none", 0.0].table.text.tolist()
    table = compression(runs).table
    assert table.tokens.mean() > 5 and table.method.eq("none").all()
    with pytest.raises(ValueError, match="'magic' is no way of shortening"):
        compression({("magic", 1.0): none})
    with pytest.raises(ValueError, match="a vector needs at least 4 pairs of texts, got 1 and 2"):
        concise_vector(pair, "tuned", hook, short[:1], long[:2])
