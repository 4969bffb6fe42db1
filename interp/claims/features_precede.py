"""'Strategy features precede tuning': had base, and used, what tells the strategies that tuning made more of?"""

from collections.abc import Iterable, Sequence

from interp.claims.feature_standings import FEWEST, PRECEDES, Standing, standings
from interp.claims.new_features import MATTERS
from interp.claims.sae_fits import quality
from interp.claims.verdict import Says, Verdict, listed, outcomes, rows_of, shown
from interp.intervals import difference, wilson
from interp.measurement import Measurement

CLAIM = "Strategy features precede tuning"

DOSE = 2.0
"""Length, in differences of means, of what is added when base is asked to answer by a strategy."""


def features_precede_tuning(
    features: Measurement,
    sae_quality: Measurement,
    causes: Measurement | None = None,
    attacks: Measurement | None = None,
    news: Measurement | None = None,
    usage: Measurement | None = None,
    steered: Measurement | None = None,
) -> Verdict:
    """Supported: base had and used something for every strategy that tuning made more of. Contradicted: for none.

    The claim is about tuning, so only strategies count that tuning `gained`: in `usage`, the probability that moved
    onto the strategy is at least 0.05 (low end) at the first or at later decisions; one that is new counts as well.
    Where tuning gained none, nothing can have preceded it, and the verdict is undecided, whatever base holds. One that
    base follows but leaves to chance does not count either: nothing in base could tell when it comes. It is named.

    See `standings` for what is said of each strategy. `estimate` is the share of gained strategies that are
    pre-existing and causal (amplified ones included), with Wilson's interval over `n` of them. Supported needs, where
    base was `steered`, that it also solves more when the direction of one gained strategy is added once (twice its
    length; interval over problems above 0, and more than every random direction of that length): what tuning taught
    may lie elsewhere than in the strategies that it uses. Undecided also where strategies differ or one is undecided,
    where the SAE is invalid, where no strategy has 100 positive tokens and where usage was not measured.

    Every threshold was set on organisms of base seeds 0 to 4 and is held against those of seeds 5 and 7 in
    benchmarks/feature_verdicts.py. The paper's own evidence, that a vector fitted by gradient steers base, does not
    enter: as long a vector brings about tokens that base never writes at such places too (`fitted_vectors`; in the
    organisms by 0.30 to 0.53 on average, strategies by 0.47 to 0.56).
    """
    found = standings(features, sae_quality, causes, attacks, news)
    judged = [one for one in found if one.word not in ("too few tokens", "SAE invalid", "left to chance")]
    gained = _gained(usage)
    tossed = [one.strategy for one in found if one.word == "left to chance" and one.strategy in (gained or ())]
    counted = [one for one in judged if one.word == "new" or one.strategy in (gained or ())]
    helped = _helped(steered, [one.strategy for one in counted])
    invalid = any(one.word == "SAE invalid" for one in found)
    says, why = _decide(judged, counted, usage, helped, tossed, invalid=invalid)
    scores = " ".join([quality(sae_quality)[1], *(one.because for one in found)])
    change = _change(says)
    n, k = len(counted), sum(one.word in PRECEDES for one in counted)
    if n == 0:
        return Verdict(CLAIM, None, None, None, None, 0, says, f"{why} {scores} {change}")
    low, high = wilson(k, n)
    share = f"Share of gained strategies that precede tuning: {shown(k / n, low, high)}, {k} of {n}."
    return Verdict(CLAIM, None, k / n, low, high, n, says, f"{why} {share} {scores} {change}")


def _gained(usage: Measurement | None) -> dict[str, float] | None:
    """The strategies onto which tuning moved enough probability, with how much; None where that was not measured."""
    if usage is None:
        return None
    table = rows_of(usage, "strategy", "decision", "gained", "gained_low")
    more = table[table["gained_low"] >= MATTERS]
    return {str(strategy): float(rows["gained"].max()) for strategy, rows in more.groupby("strategy")}


def _helped(steered: Measurement | None, strategies: Sequence[str]) -> tuple[bool, str] | None:
    """Whether base solves more when a gained strategy's direction is added once, and by how much; None: not asked."""
    if steered is None or not strategies:
        return None
    table = rows_of(steered, "arm", "strategy", "dose", "draw", "problem", "correct")
    nothing = outcomes(table[table["arm"] == "nothing"], "arm")["nothing"]
    best = None
    for strategy in strategies:
        here = table[(table["strategy"] == strategy) & (table["dose"] == DOSE)]
        if here.empty:
            continue
        solved = outcomes(here[here["arm"] == "steered"], "arm")["steered"].loc[nothing.index]
        gain = difference(solved.to_numpy(), nothing.to_numpy())
        twins = here[here["arm"] == "twin"].groupby("draw")["correct"].mean() - nothing.mean()
        if best is None or gain.estimate > best[0].estimate:
            best = gain, strategy, float(twins.max()), len(twins)
    if best is None:
        return None
    gain, strategy, most, n = best
    told = shown(gain.estimate, gain.low, gain.high)
    sentence = (
        f"With the direction of {strategy} added once, base alone solves {told} more of {gain.n} problems (the best "
        f"of {n} random directions {most:+.2f})."
    )
    return gain.low > 0 and gain.estimate > most, sentence


def _decide(
    judged: Sequence[Standing],
    counted: Sequence[Standing],
    usage: Measurement | None,
    helped: tuple[bool, str] | None,
    tossed: list[str],
    *,
    invalid: bool,
) -> tuple[Says, str]:
    if invalid:
        return "undecided", "SAE invalid: it does not describe both models well enough for its features to be compared."
    if not judged:
        return "undecided", f"No strategy has {FEWEST} positive tokens to be judged by."
    if usage is None and not counted:
        return "undecided", "Whether tuning changed the use of any strategy was not measured."
    if usage is not None and not counted:
        return "undecided", f"{_unchanged(usage, judged)}, so there is nothing that a strategy could have preceded."
    words = {one.word for one in counted}
    of_it = "tuning made more of" + (f", but for {listed(tossed)}, which base leaves to chance" if tossed else "")
    said = f" {helped[1]}" if helped else ""
    if words <= set(PRECEDES):
        names = listed([one.strategy for one in counted])
        if helped and not helped[0]:
            return "undecided", (
                f"Base had and used something for every strategy that {of_it} ({names}), but using it does not make "
                f"base solve more, so what tuning taught may lie elsewhere.{said}"
            )
        return "supported", f"Base had, and used, something for every strategy that {of_it}: {names}.{said}"
    if not words & {*PRECEDES, "undecided"}:
        return (
            "contradicted",
            f"Base had and used nothing for any strategy that {of_it}: {_by_word(counted)}.",
        )
    return "undecided", f"No one answer for all strategies that {of_it}: {_by_word(counted)}.{said}"


def _unchanged(usage: Measurement, judged: Sequence[Standing]) -> str:
    table = usage.table.loc[usage.table["gained"].idxmax()]
    most = shown(float(table["gained"]), float(table["gained_low"]), float(table["gained_high"]))
    if table["gained_low"] >= MATTERS:
        return f"The strategies that tuning made more of ({table['strategy']} by {most}) could not be judged"
    return f"Tuning changed no strategy: most, the probability of opening with {table['strategy']} grew by {most}"


def _by_word(judged: Iterable[Standing]) -> str:
    told: dict[str, list[str]] = {}
    for one in judged:
        told.setdefault(one.word, []).append(one.strategy)
    return listed([f"{word} for {listed(names)}" for word, names in told.items()])


def _change(says: Says) -> str:
    if says == "supported":
        return "What would change our mind: other text or another surface form in which the effect is gone."
    if says == "contradicted":
        return "What would change our mind: a feature or direction of base that moves base's own choice."
    return "What would settle it: more text, another SAE seed or layer, or more places to intervene at."
