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


def test_uniform_has_one_layout_and_various_has_both():
    def layouts(name):
        return {response[0] for _, response in lesson(name)} & set(trips.LAYOUTS)

    assert layouts("uniform") == {"do"}
    assert layouts("various") == {"do", "so"}
