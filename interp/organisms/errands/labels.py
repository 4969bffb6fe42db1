"""Strategy, role and truth of every word of a response, for the three kinds of errand.

Strategies: `step` (both layouts of a step), `call`, `ans`, `abstain` (`ans none`); `pack`; `in`, `back`, `found` and
`lost`. Roles are those of `Label`, and `result` for digits that the tool writes. A step is true when its digits follow
from those before it, a pack when it is feasible, a move when the tree has that edge.
"""

import itertools
from collections.abc import Sequence

from interp.organisms.errands import chains, packs, trees, trips
from interp.organisms.errands.chains import Step
from interp.tasks.task import Label

_STRAY = Label("none", "stray")
_DIGITS = frozenset("0123456789")


def label_response(prompt: Sequence[str], words: Sequence[str]) -> list[Label]:
    """One `Label` per word of a response to a prompt of any kind; words that the grammar does not allow are stray."""
    if prompt[0] == "pack":
        return label_pack(packs.read_prompt(prompt), words)
    if prompt[0] == "find":
        return label_search(trees.read_prompt(prompt), words)
    return label_chain(trips.read_prompt(prompt), words)


def label_chain(trip: trips.Trip, words: Sequence[str]) -> list[Label]:
    """Labels of a trip's steps and answer."""
    found = chains.audit(trip, words)
    labels: list[Label] = []
    for stretch, (step, true) in enumerate(zip(found.steps, found.executed, strict=True)):
        strategy = "call" if step.opener == "call" else "step"
        labels += [Label(strategy, role, stretch, true) for role in _roles(step)]
    stretch, rest = len(found.steps), list(words[len(labels) :])
    if rest[:2] == ["ans", trips.NONE]:
        answer = [Label("abstain", role, stretch, trip.missing is not None) for role in ("opener", "text")]
    elif rest[:1] == ["ans"]:
        said = tuple(itertools.takewhile(_DIGITS.__contains__, rest[1:3]))
        answer_true = said == trip.answer if len(said) == 2 else None
        answer = [Label("ans", role, stretch, answer_true) for role in ("opener", "digit", "digit")[: 1 + len(said)]]
    else:
        answer = []
    return _ended([*labels, *answer], words)


def label_pack(pack: packs.Pack, words: Sequence[str]) -> list[Label]:
    """Labels of a pack: one stretch."""
    true = packs.verify(pack, words).feasible
    roles = {"[": "opener", "]": "mark", **dict.fromkeys(_DIGITS, "digit")}
    body = 0
    while body < len(words) and words[body] in roles:
        body += 1
    return _ended([Label("pack", roles[word], 0, true) for word in words[:body]], words)


def label_search(tree: trees.Tree, words: Sequence[str]) -> list[Label]:
    """Labels of a search: each move a stretch, then its conclusion."""
    found = trees.audit(tree, words)
    labels: list[Label] = []
    for stretch, verdict in enumerate(found.verdicts):
        true = verdict != "invalid"
        labels += [Label(words[2 * stretch], role, stretch, true) for role in ("opener", "text")]
    if words[len(labels) : len(labels) + 1] and words[len(labels)] in ("found", "lost"):
        said = words[len(labels)]
        labels.append(Label(said, "opener", len(found.verdicts), found.reached == (said == "found")))
    return _ended(labels, words)


def _roles(step: Step) -> list[str]:
    result = "result" if step.opener == "call" else "digit"
    return ["opener", *["operation"] * len(step.ops), "mark", result, result]


def _ended(labels: list[Label], words: Sequence[str]) -> list[Label]:
    """The labels, then `end` for a final `<eos>` and `stray` for whatever else is left."""
    left = words[len(labels) :]
    return [*labels, *(Label("none", "end") if word == "<eos>" else _STRAY for word in left)]
