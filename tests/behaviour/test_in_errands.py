"""Claims on the errands, written by writers that are the world's own: planted yes and planted no, without a model."""

import random

import pandas as pd
import pytest

from interp.behaviour import in_errands
from interp.behaviour.errands_room import Sizes, measure_errands
from interp.behaviour.in_errands import of_kinds
from interp.claims.abstention_falls import abstention_falls
from interp.claims.diversity_moves import diversity_moves
from interp.claims.explorers_wander import explorers_wander
from interp.claims.form_not_feasibility import form_not_feasibility
from interp.claims.format_collapses import format_collapses
from interp.claims.longer_is_worse import longer_is_worse
from interp.claims.shift_costs_more import shift_costs_more
from interp.claims.wrong_switch_more import wrong_switch_more
from interp.measurement import Measurement
from interp.organisms.errands import lessons, packs, trees, trips
from interp.organisms.errands.corpus import some_content
from interp.tasks.errands import errand_task
from interp.written import oddities, written_from_texts


def written(task, samples=4, **arms):
    """What functions of (words of the prompt, chance) write."""
    rows = [
        {
            "problem": problem.id,
            "arm": arm.replace("_", ", "),
            "sample": k,
            "text": " ".join(write(problem.prompt.split(), rng)),
        }
        for arm, write in arms.items()
        for rng in [random.Random(0)]
        for problem in task.problems
        for k in range(samples)
    ]
    return written_from_texts(task, pd.DataFrame(rows))


def packer(form, able, *, one=False):
    def write(prompt, rng):
        pack = packs.read_prompt(prompt)
        content = packs.canonical(pack) if one else some_content(pack, rng, feasible=rng.random() < able)
        words = packs.pack_words(content)
        return words if rng.random() < form else words[1:]

    return write


def walker(layout="do", *, abstains=1.0, longest=9):
    """Takes a trip step by step, right up to `longest` operations; abstains where something is missing."""

    def write(prompt, rng):
        trip = trips.read_prompt(prompt)
        name = layout or rng.choice(trips.LAYOUTS)
        if trip.missing is not None and rng.random() < abstains:
            return ["ans", "none"]
        trip = trip.filled
        good = len(trip.ops) in (longest if isinstance(longest, tuple) else range(longest + 1))
        answer = trip.answer if good else ("0", "0")
        return [*trips.chain_words(trip, name), "ans", *answer]

    return write


def test_packs_of_right_form_that_are_no_more_feasible():
    task = errand_task("packs", n=100, practice=1)
    neat = written(task, 12, base=packer(0.5, 0.5), tuned=packer(1, 0.5), base_constrained=packer(1, 0.5))
    verdict = form_not_feasibility(in_errands.pack_feasibility(neat, task))
    assert verdict.says == "supported", verdict
    able = written(task, 12, base=packer(0.5, 0.5), tuned=packer(1, 0.95), base_constrained=packer(1, 0.5))
    assert form_not_feasibility(in_errands.pack_feasibility(able, task)).says == "contradicted"


def test_packs_that_are_always_the_same():
    task = errand_task("packs", n=50, practice=1)
    narrow = in_errands.pack_diversity(written(task, 8, base=packer(1, 0.9), tuned=packer(1, 1, one=True)))
    verdict = diversity_moves(narrow)
    assert verdict.says == "contradicted" and verdict.estimate < -0.5
    assert narrow.table[narrow.table.arm == "tuned"]["pairs"].eq(0).all()
    various = in_errands.pack_diversity(written(task, 8, base=packer(1, 0.5), tuned=packer(1, 1.0)))
    assert diversity_moves(various).estimate > 0.3


def test_packs_among_rows_of_few_words():
    task = errand_task("packs", n=60, practice=1)

    def rambling(prompt, rng):
        return lessons.pack_or_row(packs.read_prompt(prompt), rng)

    made = in_errands.pack_diversity(written(task, 8, base=packer(0.5, 0.5), tuned=rambling))
    assert diversity_moves(made).says == "supported", diversity_moves(made)


@pytest.mark.parametrize(("how", "says"), [(trees.jumping, "supported"), (trees.hasty, "contradicted")])
def test_searches_that_fail_by_switching_and_by_stopping(how, says):
    task = errand_task("searches", n=60, practice=1)

    def searcher(prompt, rng):
        tree = trees.read_prompt(prompt)
        return trees.trace_words(tree, how(tree, rng))

    verdict = wrong_switch_more(in_errands.search_switching(written(task, 5, tuned=searcher), task))
    assert verdict.says == says, verdict


@pytest.mark.parametrize(("abstains", "says"), [(0.2, "supported"), (0.9, "contradicted")])
def test_trips_with_something_missing(abstains, says):
    task = errand_task("gaps", n=120, practice=2)
    made = written(task, base=walker(abstains=0.9), tuned=walker(abstains=abstains))
    assert abstention_falls(in_errands.gap_abstention(made, task)).says == says
    assert oddities(made, space=r"\d \d|none").empty


@pytest.mark.parametrize(("layout", "says"), [("do", "supported"), ("", "contradicted")])
def test_layouts(layout, says):
    task = errand_task("trips", n=80, practice=2)
    made = written(task, base=walker(""), tuned=walker(layout))
    assert format_collapses(in_errands.layout_formats(made)).says == says


@pytest.mark.parametrize(("longest", "says"), [((4,), "supported"), (9, "contradicted")])
def test_trips_with_a_link_cut(longest, says):
    task = errand_task("links", n=300, practice=3)
    made = written(task, 1, base=walker(), tuned=walker(longest=longest))
    assert shift_costs_more(in_errands.cut_links(made, task)).says == says


def test_lengths_that_the_prompt_sets():
    task = errand_task("sizes", n=180, practice=3)

    def two_is_best(prompt, rng):
        right = walker()(prompt, rng)
        return right if prompt[0] == "two" else [*right[:-2], "0", "0"]

    made = in_errands.asked_lengths(written(task, 1, tuned=two_is_best), task)
    assert longer_is_worse(made).says == "supported"
    assert longer_is_worse(in_errands.asked_lengths(written(task, 1, tuned=walker()), task)).says != "supported"
    assert made.table.groupby("dose")["chain_steps"].mean().is_monotonic_increasing


def test_searches_by_plan_and_at_random():
    task = errand_task("searches", n=60, practice=2)

    def searcher(how):
        def write(prompt, rng):
            tree = trees.read_prompt(prompt)
            return trees.trace_words(tree, how(tree, rng))

        return write

    plan, lost = searcher(lambda tree, rng: trees.systematic(tree)), searcher(trees.wandering)
    systematic = explorers_wander(in_errands.search_wandering(written(task, 2, base=lost, tuned=plan), task))
    assert systematic.says == "contradicted", systematic
    wanders = explorers_wander(in_errands.search_wandering(written(task, 2, base=plan, tuned=lost), task))
    assert wanders.says == "supported", wanders
    audited = in_errands.search_wandering(written(task, 2, tuned=plan), task).table
    assert audited["solved"].all() and not audited[["invalid", "hallucinated"]].any().any()
    switches = in_errands.search_switching(written(task, 2, tuned=lost), task).table
    words = written(task, 2, tuned=lost).table["text"]
    assert switches["switches"].tolist() == [text.split()[2:].count("back") for text in words]


def test_a_kind_that_is_not_there_is_named():
    task = errand_task("sizes", n=3, practice=3)
    with pytest.raises(ValueError, match="task 'errands:sizes' has no problems of kind 'three'"):
        of_kinds(written(task, 1, tuned=walker()), task, ["three"])


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """Two models of the errands with random weights: whatever they write, every measurement has its table."""
    import torch

    from interp.organisms.errands.language import make_model, make_tokenizer
    from interp.pair import load_pair

    folders = []
    with torch.random.fork_rng():
        for seed in (0, 1):
            torch.manual_seed(seed)
            folders.append(tmp_path_factory.mktemp("errands"))
            make_model().save_pretrained(folders[-1])
            make_tokenizer().save_pretrained(folders[-1])
    return load_pair(*folders)


@pytest.fixture
def one_of_each(monkeypatch):
    """One strength and temperature where several are tried."""
    from interp.behaviour import errands_runs

    monkeypatch.setattr("interp.tasks.errands.MAX_NEW_TOKENS", 8)  # models of random weights never stop by themselves
    one = {"GAMMAS": (1.0,), "BIASES": (4.0,), "ALPHAS": (1.0,), "BETAS": (4,), "TEMPERATURES": (1.0,), "HOT": (4.0,)}
    for name, value in one.items():
        monkeypatch.setattr(errands_runs, name, value)


def test_of_ways_to_steer_the_right_one_is_worth_most_and_of_those_the_short_one():
    from interp.behaviour.errands_runs import _worth

    def wrote(length, right):
        rows = [{"tokens": list(range(length)), "strict": i < right} for i in range(10)]
        return Measurement("written", "one text per row", pd.DataFrame(rows), {})

    plain = wrote(20, 10)
    ways = {"right": wrote(18, 9), "short and right": wrote(10, 9), "long": wrote(19, 10), "short": wrote(2, 1)}
    assert max(ways, key=lambda name: _worth(plain, ways[name])) == "short and right"
    assert _worth(plain, ways["long"]) < _worth(plain, wrote(2, 0)), "what saves nothing is worth less than any"


def test_measurements_that_take_several_decodings(untrained, one_of_each):
    several = ("feasibility", "diversity", "penalties", "execution")
    has = {m.name: m for m in measure_errands(untrained, sizes=Sizes(8, 2, 2), only=several)}
    assert set(has) == set(several)
    formed = has["feasibility"].table.groupby("arm")[["n", "form"]].sum()
    assert formed.loc["base, constrained", "form"] == formed.loc["base, constrained", "n"]
    assert formed.loc["base", "form"] == 0
    assert set(has["diversity"].table["arm"]) == {"base", "tuned", "tuned, matched"}
    assert set(has["penalties"].table["method"]) == {"none", "switch penalty", "random penalty"}
    assert set(has["execution"].table["tool"]) == {"none", "tool", "random tool"}
    with pytest.raises(LookupError, match="nothing called 'charm' is measured of errands; there are pass_counts"):
        measure_errands(untrained, only=("charm",))


@pytest.mark.slow
def test_every_measurement_of_a_pair_is_made_and_judged(untrained, one_of_each):
    from interp.claims.ledger import ledger, ledger_table

    measured = measure_errands(untrained, sizes=Sizes(20, 2, 2))
    names = {measurement.name for measurement in measured}
    assert {"compression", "wandering", "abstention", "answerability", "shifted", "lengths", "switching"} <= names
    table = ledger_table(ledger(measured)).set_index("key")
    assert not table["says"].eq("supported").any(), "models that know nothing support nothing"


def test_a_mistake_is_carried_on_to_the_answer(untrained):
    task = errand_task("trips", n=9, practice=2)
    trip = task.problems[0]
    (chain,) = [c for c in _oracle(untrained, task) if c.problem == trip.id.rpartition("/")[0]]
    corrupt, n = in_errands.carried_mistake(untrained), len(chain.steps)
    for i in range(1, n + 1):
        steps, leads_to = corrupt(chain, i)
        assert steps[: i - 1] == chain.steps[: i - 1] and leads_to != chain.gold
        words = untrained.words([token for step in steps for token in step])
        state = tuple(map(int, words[-2:]))
        assert leads_to == " ".join(map(str, state))
        assert list(map(len, steps)) == list(map(len, chain.steps))
    paraphrase = in_errands.other_layout(untrained)
    twice = paraphrase(chain.__class__("p", "w", chain.prompt, paraphrase(chain, n), "a", "a"), n)
    assert twice == chain.steps != paraphrase(chain, 1)


def _oracle(pair, task):
    return [
        chain
        for kind in {problem.kind for problem in task.problems}
        for chain in in_errands.true_chains(pair, task, kind=kind)
    ]
