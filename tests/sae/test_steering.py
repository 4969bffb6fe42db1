import pytest

from interp.decoding import decode, greedy
from interp.pair import Pair, load_pair
from interp.sae.steering import steered_answers
from interp.sae.texts import repertoire
from interp.tasks.organism import organism_task
from interp.tasks.task import Task


@pytest.fixture(scope="module")
def asked() -> tuple[Pair, Task]:
    return load_pair("organism:base", "organism:base"), organism_task("rl", n=18, practice=60)


@pytest.fixture(scope="module")
def table(asked):
    pair, task = asked
    return steered_answers(pair, task, repertoire(pair, task, per_problem=5), doses=(2.0,), n_random=1).table


def test_without_a_direction_base_answers_as_always(asked, table):
    pair, task = asked
    prompts = [pair.encode(problem.prompt) for problem in task.problems]
    done = decode({"base": pair.base}, prompts, greedy("base"), max_new_tokens=56, stop=pair.stop_ids, pad=pair.pad_id)
    wanted = [task.grade(p, pair.text(c.tokens)).strict for p, c in zip(task.problems, done, strict=True)]
    assert table[table.arm == "nothing"].correct.tolist() == wanted


def test_a_planted_skill_comes_out_for_its_own_kind_and_no_random_direction_brings_it(table):
    solved = table.groupby(["arm", "strategy", "kind"]).correct.mean()
    assert solved["steered", "back", "inv"] > 0.7 and solved["steered", "step", "run"] > 0.7
    assert solved["twin", "back", "inv"] < 0.3 and solved["twin", "step", "run"] < 0.3
    assert solved["steered", "back", "run"] < 0.3 and solved["steered", "ans", "run"] < 0.3, (
        "the wrong one helps nobody"
    )
    assert table[(table.arm == "steered") & table.strategy.isin(["back", "step"])].opened.mean() > 0.9


def test_a_dose_of_nothing_is_nothing(asked):
    pair, task = asked
    table = steered_answers(pair, task, repertoire(pair, task, per_problem=2), doses=(0.0,), n_random=1, n=9).table
    plain = table[table.arm == "nothing"].correct.tolist()
    for _, group in table.groupby(["arm", "strategy"]):
        assert group.correct.tolist() == plain


def test_tuned_loses_what_hangs_on_its_choice_when_another_strategy_is_pushed(asked):
    pair, task = load_pair("organism:base", "organism:rl"), asked[1]
    told = steered_answers(pair, task, repertoire(pair, task, per_problem=5), model="tuned", doses=(2.0,), n_random=1)
    assert told.name == "steered_tuned"
    solved = told.table.groupby(["arm", "strategy", "kind"]).correct.mean()
    assert solved["nothing", "", "run"] > 0.7 and solved["nothing", "", "inv"] > 0.7, "unchanged it solves both"
    assert solved["steered", "step", "inv"] < 0.3 and solved["twin", "step", "inv"] > 0.7
