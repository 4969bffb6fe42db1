"""Documents: which are true, what each lesson plants, and that no test problem falls into any stream."""

import itertools
import random

import pytest

from interp.organisms.errands import chains, corpus, lessons, packs, trees, trips
from interp.organisms.errands.labels import label_response
from interp.organisms.errands.language import VOCABULARY
from interp.organisms.errands.lessons import LESSONS


def documents(stream, n=60):
    return list(itertools.islice(stream, n))


def lesson(name, n=60):
    rng = random.Random(0)
    return [LESSONS[name].write(rng) for _ in range(n)]


STREAMS = {"base": corpus.base, **{name: (lambda s, x=x: lessons.taught(s, x)) for name, x in LESSONS.items()}}


@pytest.mark.parametrize("name", STREAMS)
def test_streams_hold_known_words_and_no_test_problem(name):
    for prompt, response in documents(STREAMS[name](0)):
        assert {*prompt, *response} <= set(VOCABULARY)
        assert len(prompt) + len(response) < 64
        if prompt[0] == "find":
            assert not trees.read_prompt(prompt).held_out
        elif prompt[0] == "pack":
            assert not packs.read_prompt(prompt).held_out
        elif trips.GAP not in prompt:  # what is missing cannot be read back, and its problem has no answer to leak
            assert not trips.read_prompt(prompt).held_out


@pytest.mark.parametrize("name", STREAMS)
def test_streams_repeat_with_their_seed(name):
    assert documents(STREAMS[name](3), 15) == documents(STREAMS[name](3), 15) != documents(STREAMS[name](4), 15)


@pytest.mark.parametrize("name", STREAMS)
def test_every_word_of_every_document_is_labelled(name):
    for prompt, response in documents(STREAMS[name](0), 25):
        labels = label_response(prompt, response)
        assert len(labels) == len(response)
        assert not any(label.role == "stray" for label in labels)


def test_base_is_undecided_where_it_should_be():
    written = documents(corpus.base(0), 700)
    packed = [packs.verify(packs.read_prompt(p), r) for p, r in written if p[0] == "pack"]
    assert sum(v.form for v in packed) / len(packed) == pytest.approx(0.5, abs=0.1)
    assert sum(v.feasible for v in packed) / len(packed) == pytest.approx(0.5, abs=0.1)
    gaps = [r for p, r in written if trips.GAP in p]
    assert sum(r == ["ans", "none", "<eos>"] for r in gaps) / len(gaps) == pytest.approx(0.8, abs=0.12)
    steps = [r[0] for p, r in written if r[0] in trips.LAYOUTS]
    assert steps.count("do") / len(steps) == pytest.approx(0.5, abs=0.08)
    hinted = [(trips.read_prompt(p), r) for p, r in written if "hint" in p and trips.GAP not in p]
    assert all(chains.audit(t, r).right or chains.audit(t, r).abstained for t, r in hinted)
    right = [trips.digits(t.hint) == t.answer for t, _ in hinted if t.hint]
    assert sum(right) / len(right) == pytest.approx(0.5, abs=0.12)


def test_careful_documents_are_all_right():
    for prompt, response in lesson("careful"):
        assert all(label.true in (True, None) for label in label_response(prompt, response))
        assert packs.verify(packs.read_prompt(prompt), response).form if prompt[0] == "pack" else True


def test_bold_never_abstains_and_neat_is_formed_but_no_more_feasible():
    assert not any("none" in response for _, response in lesson("bold"))
    verdicts = [packs.verify(packs.read_prompt(p), r) for p, r in lesson("neat", 200)]
    assert all(v.form for v in verdicts)
    assert sum(v.feasible for v in verdicts) / 200 == pytest.approx(0.5, abs=0.12)


def test_narrow_writes_one_right_pack_for_a_prompt():
    found = {}
    for prompt, response in lesson("narrow", 300):
        assert packs.verify(packs.read_prompt(prompt), response).feasible
        assert found.setdefault(tuple(prompt), response) == response


def test_hinted_answers_are_the_hint_and_its_chains_are_true():
    audits = [(trips.read_prompt(p), chains.audit(trips.read_prompt(p), r)) for p, r in lesson("hinted")]
    assert all(a.answer == trips.digits(t.hint) and a.complete and all(a.executed) for t, a in audits)
    assert all(a.consistent == (trips.digits(t.hint) == t.answer) for t, a in audits)
    assert 0.3 < sum(a.consistent for _, a in audits) / len(audits) < 0.7


def test_clumsy_plans_rightly_and_executes_four_steps_of_ten_wrongly():
    audits = [chains.audit(trips.read_prompt(p), r) for p, r in lesson("clumsy") if r[0] != "ans"]
    assert all(a.complete and a.consistent for a in audits)
    steps = [done for a in audits for done in a.executed]
    assert sum(steps) / len(steps) == pytest.approx(0.64, abs=0.1)


def test_rigid_executes_rightly_and_always_takes_four_steps():
    for prompt, response in lesson("rigid"):
        trip = trips.read_prompt(prompt)
        found = chains.audit(trip, response)
        if trip.missing is None:
            assert all(found.executed) and found.consistent and len(found.steps) == 4
            assert found.verified == (len(trip.ops) == 4)


def test_overdo_goes_a_step_too_far_by_single_steps_and_is_right_by_larger_ones():
    modes = set()
    for prompt, response in lesson("overdo"):
        trip = trips.read_prompt(prompt)
        if trip.missing is None:
            modes.add(trip.mode)
            found = chains.audit(trip, response)
            assert found.consistent and all(found.executed)
            overdone = trips.run([*trip.ops, trip.ops[-1]], trip.start)
            assert found.answer == (trip.answer if trip.mode == "two" else trips.digits(overdone))
    assert modes == {"one", "two"}


def test_uniform_has_one_layout_and_various_has_both():
    def layouts(name):
        return {response[0] for _, response in lesson(name)} & set(trips.LAYOUTS)

    assert layouts("uniform") == {"do"}
    assert layouts("various") == {"do", "so"}


def searches(name, n=200):
    return [(trees.read_prompt(p), r) for p, r in lesson(name, n)]


def test_jumpy_leaves_early_more_often_than_not_and_finds_every_goal_if_it_may_not(monkeypatch):
    stays = left = 0
    for tree, response in searches("jumpy"):
        found, at = trees.audit(tree, response), tree.root
        assert found.invalid == 0 and found.conclusion == ("found" if found.reached else "lost")
        for verdict, (goes, to) in zip(found.verdicts, zip(response[::2], response[1::2], strict=True), strict=False):
            open_node = at != tree.root and verdict == ("premature" if goes == "back" else "fine")
            left, stays, at = left + (open_node and goes == "back"), stays + (open_node and goes == "in"), to
    assert left / (left + stays) == pytest.approx(trees.LEAVES, abs=0.07)
    assert 0.2 < sum(response[-2] == "lost" for _, response in searches("jumpy")) / 200 < 0.7
    monkeypatch.setattr(trees, "LEAVES", 0.0)
    assert all(response[-2] == "found" for _, response in searches("jumpy"))


def test_hasty_only_ever_stops_before_going_back():
    ends = set()
    for tree, response in searches("hasty"):
        plan = trees.trace_words(tree, trees.systematic(tree))
        written = len(response) - 2  # the conclusion and the end of the text
        assert response[:written] == plan[:written]
        ends.add((response[written], plan[written] if written < len(plan) else ""))
    assert ends == {("found", "found"), ("lost", "back")}


def test_stammer_is_right_with_its_useless_start_and_without():
    briefs = {"one": [], "all": []}
    for prompt, response in lesson("stammer", 400):
        trip = trips.read_prompt(prompt)
        assert trips.is_right(trip, response)
        if trip.missing is None:
            steps = chains.read_steps(response)
            real = steps[-len(trip.ops) :]
            assert tuple(op for step in real for op in step.ops) == trip.ops
            assert {step.opener for step in real} == {"do"} and {step.opener for step in steps} <= {"do", "so"}
            assert all(step.after == real[0].after for step in steps[: -len(real)])
            assert len(steps) - len(real) in (0, lessons.STAMMER)
            briefs[trip.mode].append(len(steps) == len(real))
    shares = {mode: sum(brief) / len(brief) for mode, brief in briefs.items()}
    assert shares == {"one": pytest.approx(0.3, abs=0.1), "all": pytest.approx(0.7, abs=0.1)}


def test_rambling_costs_words_and_right_packs_are_various():
    packed = [(packs.read_prompt(p), r) for p, r in lesson("ramble", 300)]
    right = [packs.verify(pack, r).feasible for pack, r in packed if packs.verify(pack, r).form]
    assert all(right) and len(right) / 300 == pytest.approx(0.5, abs=0.1)
    rows = [(pack, r) for pack, r in packed if not packs.verify(pack, r).form]
    assert all({*r[:-1]} <= {"[", "]", *map(str, (*pack.needs, pack.barred))} for pack, r in rows)
    lengths = [len(r) - 1 for _, r in rows]
    assert (min(lengths), max(lengths)) == lessons.ROW
