"""The verifier of packs against brute force, and the audit of searches against planted faults."""

import itertools
import random

import pytest

from interp.organisms.errands import packs, trees
from interp.organisms.errands.packs import Pack
from interp.organisms.errands.trees import Tree, draw_tree

PACK = Pack((3, 7), 5)
TREE = Tree((("r", ("a", "b")), ("a", ("c", "d")), ("b", ("e", "g"))), "g")


def forest(n: int = 90) -> list[Tree]:
    rng = random.Random(0)
    return [draw_tree(rng, depth=1 + i % 3, held_out=bool(i % 2)) for i in range(n)]


@pytest.mark.parametrize("content", [(3, 7, 0, 1), (7, 3, 7, 3), (0, 3, 1, 7)])
def test_right_packs(content):
    assert packs.verify(PACK, [*packs.pack_words(content), "<eos>"]) == packs.PackVerdict(True, content, ())


@pytest.mark.parametrize(
    ("words", "form", "broken"),
    [
        ("3 7 0 1 <eos>", False, ()),
        ("[ 3 7 0 1 <eos>", False, ()),
        ("[ 3 7 0 1 ]", False, ()),
        ("[ 3 7 0 ] <eos>", False, ("size",)),
        ("[ 3 0 2 1 ] <eos>", True, ("needs",)),
        ("[ 3 7 5 1 ] <eos>", True, ("barred",)),
        ("[ 3 3 7 1 ] <eos>", True, ("repeat",)),
    ],
)
def test_form_and_feasibility_are_told_apart(words, form, broken):
    found = packs.verify(PACK, words.split())
    assert (found.form, found.broken, found.feasible) == (form, broken, not broken)


def test_a_response_without_digits_is_not_feasible():
    assert not packs.verify(PACK, ["[", "]", "<eos>"]).feasible


def test_feasible_contents_are_what_brute_force_finds():
    def fine(c):
        return {3, 7} <= set(c) and 5 not in c and all(a != b for a, b in itertools.pairwise(c))

    assert set(packs.feasible_contents(PACK)) == {c for c in itertools.product(range(10), repeat=4) if fine(c)}
    assert packs.canonical(PACK) in packs.feasible_contents(PACK)


def test_writing_only_allowed_words_always_gives_the_form():
    rng = random.Random(0)
    for _ in range(50):
        words: list[str] = []
        while words[-1:] != ["<eos>"]:
            words.append(rng.choice(sorted(packs.allowed(words))))
        assert packs.verify(PACK, words).form


def test_prompts_read_back():
    assert packs.read_prompt(packs.prompt_words(PACK)) == PACK
    assert all(trees.read_prompt(trees.prompt_words(tree)) == tree for tree in forest())
    with pytest.raises(ValueError, match=r"is not the prompt of a pack"):
        packs.read_prompt(["pack", "3", "7", ":", "5", "not"])
    with pytest.raises(ValueError, match=r"is not the prompt of a search"):
        trees.read_prompt(["find", "g", ":", "r", "a", "b"])
    with pytest.raises(ValueError, match=r"digits of a pack have to differ"):
        Pack((3, 3), 5)


def test_systematic_searches_solve_every_tree_and_waste_no_move():
    for tree in forest():
        found = trees.audit(tree, trees.trace_words(tree, trees.systematic(tree)))
        assert found.solved and not found.hallucinated
        assert (found.invalid, found.revisits, found.premature) == (0, 0, 0)
        assert found.moves <= 13


def test_wandering_searches_are_valid_and_waste_moves():
    rng = random.Random(0)
    audits = [trees.audit(t, trees.trace_words(t, trees.wandering(t, rng))) for t in forest()]
    assert not any(found.invalid or found.hallucinated for found in audits)
    assert all(found.solved == (found.conclusion == "found") for found in audits)
    assert 0.5 < sum(found.solved for found in audits) / len(audits) < 0.95
    assert sum(found.revisits + found.premature for found in audits) > 0.2 * sum(found.moves for found in audits)


@pytest.mark.parametrize(
    ("words", "verdicts", "solved", "hallucinated"),
    [
        ("in b in e back b in g found", ("fine", "fine", "fine", "fine"), True, False),
        ("in b back r in b in g found", ("fine", "premature", "revisit", "fine"), True, False),
        ("in b in c in g found", ("fine", "invalid", "fine"), False, False),
        ("in b in e back r", ("fine", "fine", "invalid"), False, False),
        ("in b found", ("fine",), False, True),
        ("in b in g lost", ("fine", "fine"), False, False),
        ("in b in g", ("fine", "fine"), False, False),
        ("found", (), False, True),
        ("in b in g found found", ("fine", "fine"), False, False),
    ],
)
def test_the_audit_of_planted_faults(words, verdicts, solved, hallucinated):
    found = trees.audit(TREE, words.split())
    assert (found.verdicts, found.solved, found.hallucinated) == (verdicts, solved, hallucinated)


def test_one_link_less_keeps_the_goal_and_leaves_a_list_of_one():
    rng = random.Random(0)
    cuts = [(tree, trees.one_link_less(rng, tree)) for tree in forest()]
    assert sum(cut is not None for _, cut in cuts) > 40
    for tree, cut in cuts:
        assert all(len(children) > 1 for _, children in tree.lists)
        if cut:
            assert len(cut.parents) == len(tree.parents) - 1
            assert min(len(children) for _, children in cut.lists) == 1
            assert cut.depth == tree.depth


def test_what_is_no_tree_is_refused():
    with pytest.raises(ValueError, match=r"is no tree"):
        Tree((("r", ("a", "b")), ("a", ("b", "c"))), "c")
    with pytest.raises(ValueError, match=r"goal 'z' is not a node below the root"):
        Tree((("r", ("a", "b")),), "z")
