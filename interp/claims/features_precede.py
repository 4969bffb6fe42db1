"""'Strategy features precede tuning': does base already hold, and use, what tuned tells its strategies apart by?

Four things are kept apart: that something in base tells the strategy, that it fires in base, that base uses it, and
that tuned uses it.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from interp.claims.verdict import Says, Verdict, listed, rows_of, shown
from interp.intervals import wilson
from interp.measurement import Measurement

CLAIM = "Strategy features precede tuning"

GOOD = 0.80
"""What puts a strategy's token above another's less often than this is no detector of the strategy."""
FEWEST = 100
"""With fewer positive tokens an AUROC is one or two texts' accident, and its strategy gets no verdict."""
WORST_FVU = 0.30
"""An SAE that leaves more of the variance than this unexplained does not describe the model it is read on."""
LEAST_KL = 0.80
"""Nor does one whose reconstruction loses more than a fifth of what the activation does for the prediction."""
MATTERS = 0.05
"""A smaller change in the probability of a strategy would go unnoticed in what the model writes."""
BEYOND = 0.05
"""An effect counts if at most this share of its controls reach it: of 20, none."""
AMPLIFIED = 1.25
"""Less than a quarter more in Cohen's d is what a change of scale or of another direction makes of it by the way."""
ONLY_TOKENS = 0.60
"""A detector that tells tokens of one kind apart no better than this reads which token it is, and little else."""

Word = Literal[
    "pre-existing and causal",
    "amplified",
    "pre-existing but inert in base (repurposed)",
    "new",
    "token detector",
    "SAE invalid",
    "undecided",
    "too few tokens",
]
PRECEDES: tuple[Word, ...] = ("pre-existing and causal", "amplified")
_STRONGEST: tuple[Word, ...] = (
    "amplified",
    "pre-existing and causal",
    "pre-existing but inert in base (repurposed)",
    "new",
    "token detector",
    "undecided",
    "too few tokens",
)
FEATURE, DIRECTION = "sae feature", "difference of means"
CONTROLS = ("raw dimension", "random direction", "shuffled labels")
"""What a single feature has to beat."""
UNTRAINED = ("untrained model", "linear probe of an untrained model")
"""What token and position alone give, where it was measured: for a feature, and for a direction."""


_NUMBERS = ("auroc", "low", "high", "d", "d_low", "d_high", "position_matched", "token_matched")
"""A saved column without any number comes back without a type."""


@dataclass(frozen=True)
class Standing:
    """What is said of one strategy, by what it is carried (a feature or a direction), and why."""

    strategy: str
    word: Word
    carrier: str
    because: str


def features_precede_tuning(
    features: Measurement,
    sae_quality: Measurement,
    causes: Measurement | None = None,
    attacks: Measurement | None = None,
    news: Measurement | None = None,
) -> Verdict:
    """Supported: base had and used something for every strategy that can be judged. Contradicted: for none of them.

    See `standings` for what is said of each strategy. `estimate` is the share of judged strategies that are
    pre-existing and causal (amplified ones included), with Wilson's interval over `n` strategies. Undecided where
    strategies differ or one is undecided, where the SAE is invalid or where no strategy has 100 positive tokens.
    """
    found = standings(features, sae_quality, causes, attacks, news)
    judged = [one for one in found if one.word not in ("too few tokens", "SAE invalid")]
    says, why = _decide(judged, invalid=any(one.word == "SAE invalid" for one in found))
    scores = " ".join([_quality(sae_quality)[1], *(one.because for one in found)])
    change = _change(says)
    n, k = len(judged), sum(one.word in PRECEDES for one in judged)
    if n == 0:
        return Verdict(CLAIM, None, None, None, None, 0, says, f"{why} {scores} {change}")
    low, high = wilson(k, n)
    share = f"Share of strategies that precede tuning: {shown(k / n, low, high)}, {k} of {n}."
    return Verdict(CLAIM, None, k / n, low, high, n, says, f"{why} {share} {scores} {change}")


def standings(
    features: Measurement,
    sae_quality: Measurement,
    causes: Measurement | None = None,
    attacks: Measurement | None = None,
    news: Measurement | None = None,
) -> list[Standing]:
    """What is said of each strategy, by its better place (onset or content).

    What tells it in base, reading the first of the texts on held-out problems, is a *feature* if the best one of
    base's SAE has an AUROC of at least 0.80 (low end) above the best raw dimension, the best random direction,
    shuffled labels and, where measured, an SAE of an untrained model (low end above their high ends); otherwise a
    *direction* if the difference of means or a linear probe has, above shuffled labels and a probe of the untrained
    model. It *matters* in a model if adding, clamping or ablating it moves the strategy's probability by 0.05 or more
    in the direction meant, with an interval off zero and further than all its random twins; it is *inert* if every
    such change stays under 0.05 (end of the interval) or within its twins.

    - token detector: it fires on its favourite tokens wherever they stand, or cannot tell tokens of one kind apart
    - pre-existing and causal: found in base and matters in base; amplified if tuned, on the same text, separates the
      strategy more strongly (Cohen's d a quarter larger or more, intervals apart)
    - pre-existing but inert in base (repurposed): found in base, inert there, matters in tuned
    - new (`news`): an SAE of tuned has a feature that tells it there (AUROC 0.80, low end) and is further from all
      features of base's SAE than 95% of a second seed's features are; feature or direction matter in tuned and
      neither moves base
    - SAE invalid: it leaves 30% of the variance or a fifth of the KL in either model
    - undecided: anything else, with what is missing
    """
    table = rows_of(features, "strategy", "at", "source", "model", "auroc", "low", "high", "n_positive", "n_searched")
    table = table.assign(**{name: table[name].astype(float) for name in _NUMBERS if name in table})
    strategies = list(dict.fromkeys(table["strategy"]))
    if not _quality(sae_quality)[0]:
        return [Standing(str(s), "SAE invalid", "", f"{s}: SAE invalid.") for s in strategies]
    if "text" in table:
        table = table[table["text"] == table["text"].iloc[0]]
    return [
        min(
            [
                _standing(_here(table, strategy, at), str(strategy), str(at), causes, attacks, news)
                for at in dict.fromkeys(table[table["strategy"] == strategy]["at"])
            ],
            key=lambda one: _STRONGEST.index(one.word),
        )
        for strategy in strategies
    ]


def _here(table: pd.DataFrame, strategy: str, at: str) -> pd.DataFrame:
    return table[(table["strategy"] == strategy) & (table["at"] == at)]


def _standing(
    rows: pd.DataFrame,
    strategy: str,
    at: str,
    causes: Measurement | None,
    attacks: Measurement | None,
    news: Measurement | None,
) -> Standing:
    name = f"{strategy} at {at}" if at == "onset" else f"{strategy} in {at}"
    sae = _row(rows, "sae", strategy, at)
    if int(sae["n_positive"]) < FEWEST:
        because = f"{name}: {int(sae['n_positive'])} positive tokens, fewer than {FEWEST}, no verdict."
        return Standing(strategy, "too few tokens", "", because)
    needed = [sae, *(_row(rows, source, strategy, at) for source in CONTROLS)]
    if not all(math.isfinite(row[end]) for row in needed for end in ("auroc", "low", "high")):
        return Standing(strategy, "too few tokens", "", f"{name}: too few problems for an interval, no verdict.")
    tells, sentence = _carriers(rows, strategy, at)
    new = _new(news, strategy, at)
    if new:
        return Standing(strategy, "new", FEATURE, f"{name}: new; {new}.")
    if not tells:
        return Standing(strategy, "undecided", "", f"{name}: undecided; nothing in base tells it; {sentence}.")
    lexical = [carrier for carrier in tells if _reads_tokens(rows, attacks, strategy, at, carrier)]
    if len(lexical) == len(tells):
        return Standing(strategy, "token detector", lexical[0], f"{name}: token detector; {sentence}.")
    left = [carrier for carrier in tells if carrier not in lexical]
    word, carrier, why = _cause(rows, causes, strategy, at, left)
    return Standing(strategy, word, carrier, f"{name}: {word}; {sentence}; {why}.")


def _carriers(rows: pd.DataFrame, strategy: str, at: str) -> tuple[list[str], str]:
    """What tells the strategy in base, and how well, in words."""
    sae = _row(rows, "sae", strategy, at)
    controls = [*CONTROLS, *(source for source in UNTRAINED[:1] if source in set(rows["source"]))]
    best = max(controls, key=lambda source: float(_row(rows, source, strategy, at)["auroc"]))
    strongest = _row(rows, best, strategy, at)
    beats = all(sae["low"] > _row(rows, source, strategy, at)["high"] for source in controls)
    versus = "beats" if beats else "loses to" if strongest["auroc"] > sae["auroc"] else "is not clearly above"
    lower = " (lower on the strategy)" if sae.get("sign") == -1 else ""
    said = [
        f"AUROC of the best of {int(sae['n_searched'])} features{lower} {_auroc(sae)}, which {versus} its strongest "
        f"control, {best}, {_auroc(strongest)}"
    ]
    tells = [FEATURE] if beats and sae["low"] >= GOOD else []
    against = ["shuffled labels", *(source for source in UNTRAINED[1:] if source in set(rows["source"]))]
    read = [source for source in (DIRECTION, "linear probe") if source in set(rows["source"])]
    for source in read:
        row = _row(rows, source, strategy, at)
        if row["low"] >= GOOD and all(row["low"] > _row(rows, other, strategy, at)["high"] for other in against):
            tells.append(DIRECTION)
            said.append(f"a direction fitted with labels ({source}) tells it with {_auroc(row)}")
            if "position_matched" in row and math.isfinite(row["position_matched"]):
                said.append(f"at one position with {row['position_matched']:.2f}")
            break
    else:
        if read:
            row = max((_row(rows, source, strategy, at) for source in read), key=lambda row: float(row["auroc"]))
            said.append(f"the best direction fitted with labels reaches {_auroc(row)}")
    return tells, ", ".join(said)


def _reads_tokens(rows: pd.DataFrame, attacks: Measurement | None, strategy: str, at: str, carrier: str) -> bool:
    """Whether it is moved by tokens wherever they stand, or blind among tokens of one kind."""
    row = _row(rows, "sae" if carrier == FEATURE else DIRECTION, strategy, at)
    matched = float(row["token_matched"]) if "token_matched" in row else math.nan
    if matched <= ONLY_TOKENS:
        return True
    if attacks is None or carrier != FEATURE:
        return False
    table = rows_of(attacks, "strategy", "at", "attack", "says")
    return bool((_here(table, strategy, at)["says"] == "token-driven").any())


def _cause(
    rows: pd.DataFrame, causes: Measurement | None, strategy: str, at: str, carriers: Sequence[str]
) -> tuple[Word, str, str]:
    """The word for what tells a strategy in base, by whether the models use it."""
    if causes is None:
        return "undecided", carriers[0], "what it causes was not measured"
    table = _here(rows_of(causes, "strategy", "at", "source", "how", "model", "effect", "low", "high"), strategy, at)
    if table.empty:
        return "undecided", carriers[0], "what it causes here was not measured"
    for carrier in carriers:
        if (row := matters(table, carrier, "base")) is not None:
            word: Word = "amplified" if _stronger(rows, carrier) else "pre-existing and causal"
            return word, carrier, f"in base, {_effect(row, carrier)}"
    for carrier in carriers:
        row = matters(table, carrier, "tuned")
        if row is not None and inert(table, carrier, "base"):
            why = f"inert in base, while in tuned, {_effect(row, carrier)}"
            return "pre-existing but inert in base (repurposed)", carrier, why
    return "undecided", carriers[0], "no effect on either model's choice could be told from its random twins'"


def matters(causes: pd.DataFrame, carrier: str, model: str) -> pd.Series | None:
    """The clearest effect of a strategy's carrier in a model that counts as one; None if there is none."""
    rows = causes[(causes["source"] == carrier) & (causes["model"] == model)]
    counted = [row for _, row in rows.iterrows() if _counts(row)]
    return max(counted, key=lambda row: abs(float(row["effect"])), default=None)


def inert(causes: pd.DataFrame, carrier: str, model: str) -> bool:
    """Whether every change stays too small to notice, or within what random twins do."""
    rows = causes[(causes["source"] == carrier) & (causes["model"] == model)]
    return len(rows) > 0 and all(_end(row) < MATTERS or row["rank_p"] > BEYOND for _, row in rows.iterrows())


def _counts(row: pd.Series) -> bool:
    sign = -1 if row["how"] == "ablate" else 1
    nearest = row["low"] if sign > 0 else -row["high"]
    return bool(sign * row["effect"] >= MATTERS and nearest > 0 and row["rank_p"] <= BEYOND)


def _end(row: pd.Series) -> float:
    """The far end of the interval in the direction meant."""
    return float(-row["low"] if row["how"] == "ablate" else row["high"])


def _stronger(rows: pd.DataFrame, carrier: str) -> bool:
    """Whether tuned separates the strategy more strongly than base on the same text, intervals apart."""
    if not {"d", "d_low", "d_high"} <= set(rows.columns):
        return False
    source = rows[rows["source"] == ("sae" if carrier == FEATURE else carrier)].set_index("model")
    if "tuned" not in source.index:
        return False
    base, tuned = source.loc["base"], source.loc["tuned"]
    return bool(tuned["d_low"] > base["d_high"] and tuned["d"] >= AMPLIFIED * base["d"])


def _effect(row: pd.Series, carrier: str) -> str:
    verb = {"add": "adding", "clamp": "clamping", "ablate": "ablating"}[str(row["how"])]
    what = "the feature" if carrier == FEATURE else "the difference of means"
    twins = f"(twins {row['controls_low']:+.2f} to {row['controls_high']:+.2f})" if "controls_low" in row else ""
    change = shown(float(row["effect"]), float(row["low"]), float(row["high"]))
    return f"{verb} {what} changes the strategy's probability by {change} {twins}".strip()


def _new(news: Measurement | None, strategy: str, at: str) -> str:
    """Why the strategy's feature in tuned's SAE is new, or nothing."""
    if news is None:
        return ""
    columns = ("strategy", "at", "source", "how", "model", "effect", "low", "high", "told_low", "cosine", "seed_low")
    table = _here(rows_of(news, *columns), strategy, at)
    if table.empty:
        return ""
    first = table.iloc[0]
    unmatched = pd.notna(first["told_low"]) and first["told_low"] >= GOOD and first["cosine"] < first["seed_low"]
    for carrier in (FEATURE, DIRECTION):
        row = matters(table, carrier, "tuned")
        if unmatched and row is not None and all(inert(table, one, "base") for one in (FEATURE, DIRECTION)):
            return (
                f"the feature of tuned's SAE has no match in base's (cosine {first['cosine']:.2f}; of a second seed's "
                f"features 95% reach {first['seed_low']:.2f}), base is not moved, and in tuned {_effect(row, carrier)}"
            )
    return ""


def _decide(judged: Sequence[Standing], *, invalid: bool) -> tuple[Says, str]:
    if invalid:
        return "undecided", "SAE invalid: it does not describe both models well enough for its features to be compared."
    if not judged:
        return "undecided", f"No strategy has {FEWEST} positive tokens to be judged by."
    words = {one.word for one in judged}
    if words <= set(PRECEDES):
        return "supported", "Base had, and used, something for every strategy that could be judged."
    if not words & {*PRECEDES, "undecided"}:
        return "contradicted", f"Base had and used nothing for any strategy that could be judged: {_by_word(judged)}."
    return "undecided", f"No one answer for all strategies: {_by_word(judged)}."


def _by_word(judged: Iterable[Standing]) -> str:
    told: dict[str, list[str]] = {}
    for one in judged:
        told.setdefault(one.word, []).append(one.strategy)
    return listed([f"{word} for {listed(names)}" for word, names in told.items()])


def _auroc(row: pd.Series) -> str:
    return shown(float(row["auroc"]), float(row["low"]), float(row["high"]), digits=3)


def _row(rows: pd.DataFrame, source: str, strategy: str, at: str) -> pd.Series:
    found = rows[(rows["source"] == source) & (rows["model"] == "base")]
    if len(found) != 1:
        raise ValueError(
            f"strategy {strategy!r} at {at!r} has {len(found)} rows of {source!r} in base, and has to have one: "
            "the candidate chosen on the other half of the problems"
        )
    return found.iloc[0]


def _quality(sae_quality: Measurement) -> tuple[bool, str]:
    """Whether the SAE is valid, and its fit in a sentence; without the first position, where no feature is read."""
    table = rows_of(sae_quality, "model", "bos", "fvu", "kl_recovered")
    rows = table[table["bos"] == "excluded"].set_index("model")
    if sorted(rows.index) != ["base", "tuned"]:
        raise ValueError(
            f"measurement {sae_quality.name!r} has to hold base and tuned once each with the first position excluded"
        )
    fvu, kept = ({m: float(rows.loc[m, c]) for m in ("base", "tuned")} for c in ("fvu", "kl_recovered"))
    fits = max(fvu.values()) < WORST_FVU and min(kept.values()) >= LEAST_KL
    unexplained = f"{fvu['base']:.3f} of the variance unexplained in base and {fvu['tuned']:.3f} in tuned"
    return fits, f"The SAE leaves {unexplained}, and keeps {kept['base']:.2f} and {kept['tuned']:.2f} of the KL."


def _change(says: Says) -> str:
    if says == "supported":
        return "What would change our mind: other text or another surface form in which the effect is gone."
    if says == "contradicted":
        return "What would change our mind: a feature or direction of base that moves base's own choice."
    return "What would settle it: more text, another SAE seed or layer, or more places to intervene at."
