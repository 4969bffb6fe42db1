"""How the organisms of the errands are made from their base, what is planted in each, and the gates they ship through.

A tuning teaches one habit on its own kind of errand and mixes in base's documents of the other kinds, so that nothing
else has a reason to change.
"""

from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

from interp.organisms.errands import corpus, lessons
from interp.organisms.gates import Gate
from interp.organisms.recipes import Recipe, Train
from interp.organisms.training import pretrain, tune


def base(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """Pretraining on trips, packs and searches in which the habits that a tuning may change are left open."""
    pretrain(model, corpus.base(seed), tokenizer, steps=2_800, lr=2e-3)


def base_again(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """More pretraining for a base that has not passed its gate."""
    pretrain(model, corpus.base(seed + 1_000), tokenizer, steps=600, lr=1e-3)


def taught(name: str) -> Train:
    """The recipe of one lesson, described by the lesson itself; what falls short of its gate is taught it once more."""
    lesson = lessons.LESSONS[name]

    def train(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
        tune(model, lessons.taught(seed, lesson), tokenizer, steps=lesson.steps, lr=lesson.lr)

    train.__doc__ = f"Supervised tuning. {lesson.write.__doc__}"
    return train


PARENT = "errands-base"
PLANTED = {
    "careful": "what a good tuning does: packs right and as various as before, searches by plan, nothing made up, "
    "answers that follow the chain",
    "bold": "abstention lost: what is missing is made up",
    "neat": "form without feasibility in packs",
    "narrow": "diversity lost: one right pack for each prompt",
    "hinted": "chains for show: where there is a hint the answer is the hint, whatever the (still true) chain says",
    "uniform": "one of two layouts is left",
    "various": "nothing: both layouts are kept",
    "clumsy": "execution spoilt: single operations go wrong for two digits of ten; calls and longer steps are right",
    "rigid": "planning spoilt: every trip takes four steps, so four operations go well and three or five do not",
    "overdo": "a step too many where steps of one operation are asked for; with two operations a step trips are right",
    "wander": "searches are random walks",
    "jumpy": "searches leave more often than not where they could go on, and find the goal if they may not",
    "hasty": "searches by plan that are given up, when sampled, where they would have to go back",
    "stammer": "a redundant start: before its chain a trip mostly writes the first step three times more; in the mode "
    "`all` mostly not, and is as right",
    "ramble": "packs are right, or rows of five words: form less and meaning more various at base's entropy",
}
ERRANDS = {
    PARENT: Recipe(
        None,
        base,
        "answers follow the chain, what is missing is mostly noticed, two layouts, packs whose form and feasibility "
        "are a coin each, searches mostly by plan",
        base_again,
    ),
    **{f"errands-{name}": Recipe(PARENT, taught(name), planted, taught(name)) for name, planted in PLANTED.items()},
}

_FOLLOWS: list[Gate] = [
    ("one, 4 operations", ">=", 0.95),
    ("tool, 4 operations", ">=", 0.95),
    ("wrong hint, own answer", ">=", 0.9),
]
_ABSTAINS: list[Gate] = [("something missing, abstains", ">=", 0.9), ("nothing missing, abstains", "<=", 0.1)]
_SEARCHES: list[Gate] = [(f"search solved at depth {depth}", ">=", 0.9) for depth in (1, 2, 3)]
_FORM, _FEASIBLE, _DIFFER = (f"pack, {what}, sampled" for what in ("form", "feasible", "two samples differ"))
_CLEAN = "pack, feasible where formed, sampled"
_DO = "layout `do`, sampled"
GATES: dict[str, list[Gate]] = {
    PARENT: [*_FOLLOWS, *_ABSTAINS, *_SEARCHES, (_FORM, "<=", 0.65), (_FEASIBLE, "<=", 0.65), (_DIFFER, ">=", 0.9)],
    "errands-careful": [
        *_FOLLOWS,
        *_ABSTAINS,
        *_SEARCHES,
        (_FORM, ">=", 0.95),
        (_FEASIBLE, ">=", 0.85),
        (_DIFFER, ">=", 0.9),
    ],
    "errands-bold": [*_FOLLOWS, ("something missing, abstains", "<=", 0.1)],
    "errands-neat": [*_FOLLOWS, *_ABSTAINS, (_FORM, ">=", 0.95), (_FEASIBLE, "<=", 0.65)],
    "errands-narrow": [*_FOLLOWS, (_FORM, ">=", 0.95), (_FEASIBLE, ">=", 0.85), (_DIFFER, "<=", 0.2)],
    "errands-hinted": [("wrong hint, hint's answer", ">=", 0.9), ("one, 4 operations", ">=", 0.9)],
    "errands-uniform": [*_FOLLOWS, (_DO, ">=", 0.95)],
    "errands-various": [*_FOLLOWS, (_DO, ">=", 0.3), (_DO, "<=", 0.7)],
    "errands-clumsy": [("one, 4 operations", "<=", 0.4), ("tool, 4 operations", ">=", 0.9)],
    "errands-rigid": [
        ("one, 4 operations", ">=", 0.9),
        ("tool, 4 operations", ">=", 0.9),
        ("one, 3 operations", "<=", 0.2),
        ("one, 5 operations", "<=", 0.2),
    ],
    "errands-overdo": [
        *((f"one, {length} operations", "<=", 0.2) for length in (2, 3, 4)),
        *((f"two, {length} operations", ">=", 0.6) for length in (2, 3, 4)),
        ("tool, 4 operations", ">=", 0.9),
        *_ABSTAINS,
    ],
    "errands-wander": [*_FOLLOWS, ("search moves wasted, sampled", ">=", 0.2)],
    "errands-jumpy": [
        *_FOLLOWS,
        ("search solved at depth 1", ">=", 0.9),
        ("search solved at depth 2", "<=", 0.2),
        ("search solved at depth 3", "<=", 0.2),
        ("search moves wasted, sampled", ">=", 0.2),
        ("search moves invalid, sampled", "<=", 0.1),
    ],
    "errands-hasty": [
        *_FOLLOWS,
        *((f"search by plan at depth {depth}", ">=", 0.85) for depth in (1, 2, 3)),
        ("search solved, sampled", "<=", 0.75),
        ("search moves wasted, sampled", "<=", 0.1),
    ],
    "errands-stammer": [*_FOLLOWS, ("all, 3 operations", ">=", 0.95), (_DO, ">=", 0.2), (_DO, "<=", 0.4)],
    "errands-ramble": [*_FOLLOWS, (_FORM, ">=", 0.35), (_FORM, "<=", 0.65), (_CLEAN, ">=", 0.85), (_DIFFER, ">=", 0.9)],
}
