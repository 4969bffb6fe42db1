"""'Fine-tuning acts on the upper layers, which carry behaviour; knowledge sits below': which third carries what?"""

from collections.abc import Iterable

from interp.claims.locus import (
    MOST,
    THIRDS,
    Axis,
    activation_locus,
    in_thirds,
    locus,
    swapped,
    weight_locus,
    weight_shares,
)
from interp.claims.verdict import Says, Verdict, listed, rows_of, shown
from interp.intervals import Interval, Recovered, independent_difference
from interp.measurement import Measurement

__all__ = ["activation_locus", "locus", "upper_layers_carry_behaviour", "weight_locus", "weight_shares"]

CLAIM = "Fine-tuning acts on the upper layers, which carry behaviour; knowledge sits below"
BEHAVIOUR_HALF = "Fine-tuning acts on the upper layers, which carry behaviour"

LITTLE = 0.20
"""A third that recovers less than this carries about nothing of the change by itself."""
HALF = 0.50
"""Weight change is called spread out unless one third of the blocks holds more than half of its square."""

UPPER = "upper third"
HEAD = "final norm and unembedding"


def upper_layers_carry_behaviour(swaps: Measurement, weights: Measurement, activations: Measurement) -> Verdict:
    """Does the upper third of the blocks, and no part below it, carry the change in answers; and facts not?

    Everything is U(part) = (base with tuned's part - base) / (tuned - base), per axis, by swapping whole thirds.
    `estimate` is U(upper third) on answers. The verdict needs answers to have moved:

    - supported: `locus` on answers is the upper third, and facts, where they moved, are carried by it less
      (interval of U on answers - U on facts above 0, problems and facts are independent)
    - contradicted: another third is the locus; or the upper third's interval stays under 20%; or the upper third is
      also the locus of facts, so nothing is kept apart
    - undecided: answers did not move, or anything between

    A pair whose facts did not move cannot say where knowledge sits. Then only the first half of the sentence is
    judged, the verdict's `claim` is that half, and `because` says that the other half is untested. Where weights
    and activations changed is reported beside the effect and does not enter: a large change may do nothing.
    """
    answers = swapped(swaps, "answers")
    facts = swapped(swaps, "facts") if (rows_of(swaps, "axis")["axis"] == "facts").any() else None
    both = facts is not None and facts.moved and answers.moved
    apart = independent_difference(answers.brings[UPPER], facts.brings[UPPER]) if facts and both else None
    says, why = _decide(answers, facts, apart)
    sentences = [
        why,
        *_redundant(answers),
        _brought(answers),
        *_taken(answers),
        *_knowledge(facts, apart),
        *_where(answers if answers.moved or facts is None else facts, weights, activations),
        _would_change(answers, says),
    ]
    half_tested = answers.moved and not (facts and facts.moved)
    upper, because = answers.brings[UPPER], " ".join(sentences)
    claim = BEHAVIOUR_HALF if half_tested else CLAIM
    if upper.refused:
        return Verdict(claim, None, None, None, None, upper.n, says, because)
    return Verdict(claim, None, upper.estimate, upper.low, upper.high, upper.n, says, because)


def _decide(answers: Axis, facts: Axis | None, apart: Interval | None) -> tuple[Says, str]:
    """The rule, and its outcome in a sentence."""
    upper = answers.brings[UPPER]
    if not answers.moved:
        return "undecided", f"Answers did not move, so this pair cannot test what carries behaviour: {upper.reason}."
    if answers.locus in THIRDS and answers.locus != UPPER:
        return "contradicted", f"The {answers.locus} carries the change in answers, not the {UPPER}."
    if answers.locus != UPPER and upper.high < LITTLE:
        jointly = "; no third brings it, all blocks together do" if answers.locus == "joint" else ""
        return "contradicted", f"The {UPPER} alone brings less than {LITTLE:.0%} of the change in answers{jointly}."
    if answers.locus == "joint":
        return "undecided", f"No third alone brings {MOST:.0%} of the change in answers, all blocks together do."
    if answers.locus != UPPER:
        return "undecided", "No single third clearly carries the change in answers."
    found = f"The {UPPER} alone brings at least {MOST:.0%} of the change in answers, and no part below it does"
    if facts is None or apart is None:
        return "supported", f"{found}."
    if facts.locus == UPPER:
        return "contradicted", f"{found}; but it carries the change in facts too, so knowledge does not sit below."
    if apart.low > 0:
        return "supported", f"{found}; it brings less of the change in facts."
    return "undecided", f"{found}; whether it brings less of the change in facts is not clear."


def _brought(axis: Axis) -> str:
    whole = axis.brings[UPPER]
    moved = f"Tuned - base on {axis.name} is {shown(whole.gap, whole.gap_low, whole.gap_high)} over {whole.n} problems."
    if whole.refused:
        return moved
    loss = " Tuned is below base there: these are shares of a loss." if whole.gap < 0 else ""
    return f"{moved}{loss} Share of it that tuned's part brings to base: {_shares(axis.brings)}."


def _taken(axis: Axis) -> list[str]:
    if not axis.moved:
        return []
    return [
        f"Share of it that tuned loses with base's part: {_shares({third: axis.takes[third] for third in THIRDS})}."
    ]


def _redundant(axis: Axis) -> list[str]:
    """Whether the upper third is enough without being needed."""
    if axis.locus != UPPER:
        return []
    head, taken, sentences = axis.brings[HEAD], axis.takes[UPPER], []
    if head.low >= MOST:
        sentences.append(f"The {HEAD} alone bring it as well.")
    if taken.high < LITTLE:
        sentences.append(f"The {UPPER} is enough, not needed: tuned keeps the change with base's {UPPER} in its place.")
    return sentences


def _shares(of: dict[str, Recovered]) -> str:
    return listed([f"{part} {shown(found.estimate, found.low, found.high)}" for part, found in of.items()])


def _knowledge(facts: Axis | None, apart: Interval | None) -> list[str]:
    if facts is None:
        return ["Knowledge is untested: the task has no closed-book facts."]
    if not facts.moved:
        return [f"Knowledge is untested, since facts did not move: {facts.brings[UPPER].reason}."]
    sentences = [_brought(facts), f"What carries the change in facts: {facts.locus}."]
    if apart is not None:
        u = shown(apart.estimate, apart.low, apart.high)
        sentences.append(f"U(answers) - U(facts) of the {UPPER} is {u}.")
    return sentences


def _where(axis: Axis, weights: Measurement, activations: Measurement) -> list[str]:
    """Where weights and block outputs changed, and whether that is where the effect is."""
    shares, changed, beyond = weight_shares(weights), weight_locus(weights), activation_locus(activations)
    if not changed:
        return ["No weight of any block differs between base and tuned."]
    most = max(shares, key=shares.__getitem__)
    spread = f"sits in the {most}" if shares[most] > HALF else "is spread over the thirds"
    parts = listed([f"{third} {share:.0%}" for third, share in shares.items()])
    sentences = [f"Weight change {spread} (shares of its square: {parts}).", _blocks(activations, beyond)]
    if axis.locus in THIRDS and changed == beyond == (axis.locus,):
        sentences.append(f"Weights, block outputs and effect all name the {axis.locus}.")
    elif axis.locus in THIRDS:
        sentences.append(
            f"The measures disagree: weights changed in {_thirds(changed)}, block outputs beyond the null in "
            f"{_thirds(beyond)}, but {axis.name} are carried by the {axis.locus}: size of change is not effect."
        )
    return sentences


def _blocks(activations: Measurement, beyond: tuple[str, ...]) -> str:
    table = in_thirds(rows_of(activations, "layer", "block_diff", "null_block_mean", "null_block_high"))
    n = int((table["block_diff"] > table["null_block_high"]).sum())
    means = table.groupby("third")[["block_diff", "null_block_mean"]].mean()
    parts = [f"{third} {means.loc[third, 'block_diff']:.3f}" for third in THIRDS if third in means.index]
    nulls = [f"{means.loc[third, 'null_block_mean']:.3f}" for third in THIRDS if third in means.index]
    return (
        f"On base's own input {n} of {len(table)} blocks, in {_thirds(beyond)}, change their output beyond what random "
        f"change of equal norm does (relative change: {listed(parts)}; null: {listed(nulls)})."
    )


def _would_change(answers: Axis, says: Says) -> str:
    if not answers.moved:
        return "What would settle it: a pair in which tuning changed the answers."
    if says == "supported":
        return (
            "What would change our mind: another seed or task in which a lower part alone brings the answers as well."
        )
    if says == "contradicted":
        return f"What would change our mind: another seed, task or cut in which the {UPPER} alone brings the answers."
    return "What would settle it: more problems, or other cuts than thirds."


def _thirds(names: Iterable[str]) -> str:
    named = [f"the {name}" for name in names]
    return "all thirds" if len(named) == len(THIRDS) else listed(named) or "no third"
