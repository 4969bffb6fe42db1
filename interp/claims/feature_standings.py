"""What is said of each strategy: does something in base tell it, beyond position and words, and is it used?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from interp.claims.effects import effect_in_words, inert, matters
from interp.claims.new_features import BESIDES, DIRECTION, FEATURE, GOOD, MATTERS, why_new
from interp.claims.sae_fits import quality
from interp.claims.verdict import rows_of, shown
from interp.measurement import Measurement

FEWEST = 100
"""With fewer positive tokens an AUROC is one or two texts' accident, and its strategy gets no verdict."""
AMPLIFIED = 1.25
"""Less than a quarter more in Cohen's d is no amplification: without any change of use (null of base seed 0, in which
nothing was tuned) it differs by up to 8%, and reinforcement learning (rl) moves it by up to 16% either way."""
Word = Literal[
    "pre-existing and causal",
    "amplified",
    "pre-existing but inert in base (repurposed)",
    "new",
    "token detector",
    "SAE invalid",
    "left to chance",
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
    "left to chance",
    "undecided",
    "too few tokens",
)
"""Of two places at which a strategy is judged, the one whose word stands first here counts."""
CONTROLS = ("raw dimension", "random direction", "shuffled labels")
"""What a single feature has to beat."""
UNTRAINED = ("untrained model", "linear probe of an untrained model")
"""What token and position alone give, where it was measured: for a feature, and for a direction."""
CEILING = "own choice"
"""What the model itself gives to the tokens that open a strategy. Nothing in it can be asked to tell more."""
_BY = tuple(f"{by}_{what}" for by in ("position", "token") for what in ("matched", "low", "high"))
_NUMBERS = ("auroc", "low", "high", "d", "d_low", "d_high", *_BY)
"""A saved column without any number comes back without a type."""


@dataclass(frozen=True)
class Standing:
    """What is said of one strategy, by what it is carried (a feature or a direction), and why."""

    strategy: str
    word: Word
    carrier: str
    because: str


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
    model. Either has to tell it with 0.60 (low end) among tokens at one position too: what only counts positions is
    no detector. It *matters* in a model if adding, clamping or ablating it moves the strategy's probability by 0.05 or
    more in the direction meant, with an interval that no twin reaches: the same activations moved as far along 20 other
    features, or 20 random directions and 20 of dealt-out labels (six looks at an onset, two at content). It is *inert*
    if every such change stays under 0.05 (end of the interval) or within its twins.

    - token detector: it fires on its favourite tokens wherever they stand, or tells tokens of one kind apart with less
      than 0.60 (low end), or a paraphrase takes half of it away
    - pre-existing and causal: found in base and matters in base; amplified if tuned, on the same text, separates the
      strategy more strongly (Cohen's d a quarter larger or more, intervals apart)
    - pre-existing but inert in base (repurposed): found in base, inert there, matters in tuned
    - new (`news`): tuned tells it (AUROC 0.80, low end) by a feature of its own SAE that is further from all features
      of base's than 95% of a second seed's are, or by a direction whose cosine with base's is under 0.80; tuned
      carries it out and base, reading the same text, does not; and with either set at all tokens base wins back less
      than a tenth of that (high end)
    - left to chance: nothing tells it, and base, which does open with it (probability 0.05 or more where it comes),
      does not know itself: by the standards above (0.80, and 0.60 at one position) its own probability of the opening
      tokens tells no more. Which of its ways base follows is a coin's toss there, so no feature of it could be found
    - SAE invalid: it leaves 30% of the variance or a fifth of the KL in either model; undecided: anything else
    """
    needed = ("auroc", "low", "high", "n_positive", "n_searched", "position_low", "token_low")
    table = rows_of(features, "strategy", "at", "source", "model", *needed)
    table = table.assign(**{name: table[name].astype(float) for name in _NUMBERS if name in table})
    if not quality(sae_quality)[0]:
        return [Standing(str(s), "SAE invalid", "", f"{s}: SAE invalid.") for s in table["strategy"].unique()]
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
        for strategy in dict.fromkeys(table["strategy"])
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
    tells, lexical, sentence = _carriers(rows, attacks, strategy, at)
    new = why_new(news, strategy, at)
    if new:
        return Standing(strategy, "new", new[0], f"{name}: new; {new[1]}.")
    if tells:
        word, carrier, why = _cause(rows, causes, strategy, at, tells)
        return Standing(strategy, word, carrier, f"{name}: {word}; {sentence}; {why}.")
    if lexical:
        return Standing(strategy, "token detector", lexical[0], f"{name}: token detector; {sentence}.")
    if tossed := _left_to_chance(rows):
        return Standing(strategy, "left to chance", "", f"{name}: left to chance; {tossed}; {sentence}.")
    return Standing(strategy, "undecided", "", f"{name}: undecided; nothing in base tells it; {sentence}.")


def _left_to_chance(rows: pd.DataFrame) -> str:
    """That base opens with the strategy and does not know itself when, in words; or nothing."""
    own = rows[(rows["source"] == CEILING) & (rows["model"] == "base")]
    if own.empty or not math.isfinite(own.iloc[0]["auroc"]):
        return ""
    row = own.iloc[0]
    if row["mean"] < MATTERS or (row["low"] >= GOOD and row["position_low"] >= BESIDES):
        return ""
    return (
        f"base itself, which opens with it with probability {row['mean']:.2f} where it comes, does not know when: its "
        f"own probability tells it with {_auroc(row)}, at one position {_at_one(row)}"
    )


def _carriers(
    rows: pd.DataFrame, attacks: Measurement | None, strategy: str, at: str
) -> tuple[list[str], list[str], str]:
    """What tells the strategy in base, what only reads its words, and how well, in words."""
    there = set(rows["source"])
    sae = _row(rows, "sae", strategy, at)
    controls = [*CONTROLS, *(source for source in UNTRAINED[:1] if source in there)]
    best = max(controls, key=lambda source: float(_row(rows, source, strategy, at)["auroc"]))
    strongest = _row(rows, best, strategy, at)
    beats = all(sae["low"] > _row(rows, source, strategy, at)["high"] for source in controls)
    versus = "beats" if beats else "loses to" if strongest["auroc"] > sae["auroc"] else "is not clearly above"
    lower = " (lower on the strategy)" if sae.get("sign") == -1 else ""
    said = [
        f"AUROC of the best of {int(sae['n_searched'])} features{lower} {_auroc(sae)}, which {versus} its strongest "
        f"control, {best}, {_auroc(strongest)}"
    ]
    good = {FEATURE: sae} if beats and sae["low"] >= GOOD else {}
    against = ["shuffled labels", *(source for source in UNTRAINED[1:] if source in there)]
    fitted = {source: _row(rows, source, strategy, at) for source in (DIRECTION, "linear probe") if source in there}
    for source, row in fitted.items():
        if row["low"] >= GOOD and all(row["low"] > _row(rows, other, strategy, at)["high"] for other in against):
            good[DIRECTION] = row
            said.append(f"a direction fitted with labels ({source}) tells it with {_auroc(row)}")
            break
    else:
        if fitted:
            row = max(fitted.values(), key=lambda row: float(row["auroc"]))
            said.append(f"the best direction fitted with labels reaches {_auroc(row)}")
    tells, lexical = [], []
    for carrier, row in good.items():
        what = "the feature" if carrier == FEATURE else "the direction"
        if not row["position_low"] >= BESIDES:
            said.append(f"{what} only tells how far the text has come: at one position its AUROC is {_at_one(row)}")
        elif words := _reads_words(row, attacks, strategy, at, carrier):
            lexical.append(carrier)
            said.append(f"{what} reads words: {words}")
        else:
            tells.append(carrier)
            said.append(f"{what} at one position {_at_one(row)}")
    return tells, lexical, ", ".join(said)


def _at_one(row: pd.Series, by: str = "position") -> str:
    """A matched AUROC in words."""
    if not math.isfinite(row[f"{by}_low"]):
        return "not to be had, since no two kinds of token share one"
    return shown(*(float(row[f"{by}_{what}"]) for what in ("matched", "low", "high")))


def _reads_words(row: pd.Series, attacks: Measurement | None, strategy: str, at: str, carrier: str) -> str:
    """Why a detector is one of tokens, or nothing."""
    if not row["token_low"] >= BESIDES:
        return f"among tokens of one kind its AUROC is {_at_one(row, 'token')}"
    if attacks is None or carrier != FEATURE:
        return ""
    found = _here(rows_of(attacks, "strategy", "at", "attack", "says"), strategy, at)
    if (found["says"] == "token-driven").any():
        return "its favourite tokens raise it wherever they stand"
    if (found[found["attack"] == "paraphrase"]["says"] == "does not survive").any():
        return "said in other words, most of it is gone"
    return ""


def _cause(
    rows: pd.DataFrame, causes: Measurement | None, strategy: str, at: str, carriers: Sequence[str]
) -> tuple[Word, str, str]:
    """The word for what tells a strategy in base, by whether the models use it."""
    if causes is None:
        return "undecided", carriers[0], "what it causes was not measured"
    needed = ("source", "how", "model", "effect", "low", "high", "controls_low", "controls_high", "rank_p")
    table = _here(rows_of(causes, "strategy", "at", *needed), strategy, at)
    if table.empty:
        return "undecided", carriers[0], "what it causes here was not measured"
    for carrier in carriers:
        if (row := matters(table, carrier, "base")) is not None:
            word: Word = "amplified" if _stronger(rows, carrier) else "pre-existing and causal"
            return word, carrier, f"in base, {effect_in_words(row, carrier)}"
    for carrier in carriers:
        row = matters(table, carrier, "tuned")
        if row is not None and inert(table, carrier, "base"):
            why = f"inert in base, while in tuned, {effect_in_words(row, carrier)}"
            return "pre-existing but inert in base (repurposed)", carrier, why
    return "undecided", carriers[0], "no effect on either model's choice could be told from its twins'"


def _stronger(rows: pd.DataFrame, carrier: str) -> bool:
    """Whether tuned separates the strategy more strongly than base on the same text, intervals apart."""
    if not {"d", "d_low", "d_high"} <= set(rows.columns):
        return False
    source = rows[rows["source"] == ("sae" if carrier == FEATURE else carrier)].set_index("model")
    if "tuned" not in source.index:
        return False
    base, tuned = source.loc["base"], source.loc["tuned"]
    return bool(tuned["d_low"] > base["d_high"] and tuned["d"] >= AMPLIFIED * base["d"])


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
