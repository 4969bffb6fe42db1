"""What each instrument has to say of each organism, by how that organism was made; and which seeds may choose rules.

An organism that is not listed under an instrument has no known answer there: `rl` may change any block it likes.
"""

from collections.abc import Mapping, Sequence

from interp.organisms.edits import Place

DEVELOPMENT, CONFIRMATION = (0,), (1, 2, 3, 4, 5, 7)
"""Base seeds on which rules and thresholds may be chosen, and base seeds that only confirm. Of these, 3 and up were
trained after every rule had been written down; a base of seed 6 did not pass its gate."""
DEVELOPED_ON: Mapping[str, tuple[int, ...]] = dict.fromkeys(
    ("feature standing", "best feature as pre-existing", "features precede tuning"), (0, 1, 2, 3, 4)
)
"""Instruments whose rules were chosen on more: what was found on those seeds was looked at to repair them."""

NOTHING = ("none", "none moved", "refused", "undecided")
"""Answers of an instrument that finds nothing. Where one of these is expected, any other is a false positive."""
UNDECIDED = "undecided"
OR = " or "
"""Between answers that are right alike."""

ALL_THIRDS = "lower third, middle third, upper third"
_EVERYWHERE = (
    *("rl", "sft", "sft-lora", "sft-again", "newskill", "trigger", "shortcut", "format", "unlearned"),
    *("recheck", "null", "noise", "random-rl"),
)
"""Trained, or noised, in every block."""
_FREEDOMS = dict.fromkeys(("copy", "bf16", "permuted-units", "head-turned"), "none")
"""Nothing that is computed changed, beyond storage."""
_NOTHING_TAUGHT = ("null", "noise", "weight-noise", "bf16", "permuted-units", "head-turned", "copy", "random-rl")
"""Answers and facts stay as they were."""
_ANSWERS_STAY = (*_NOTHING_TAUGHT, "format", "trigger-absent", "shortcut-absent", "sft-again")
"""Something may have changed, but not what problems of this kind are answered."""
_FACTS_STAY = (*_ANSWERS_STAY, "trigger", "shortcut", "unlearned")

_WHERE_WEIGHTS = {
    **dict.fromkeys(_EVERYWHERE, ALL_THIRDS),
    **dict.fromkeys(("upper", "upper-lora"), "upper third"),
    "lower": "lower third",
    "grafted": "lower third, upper third",
    "middle": "middle third",
    **dict.fromkeys(("head-ov", "head-qk", "head-turned", "mlp-group", "permuted-units"), "{third}"),
    **dict.fromkeys(("copy", "baked"), "none"),
}
_WHERE_BLOCKS = {
    "upper": "upper third",
    "lower": "lower third",
    "grafted": "lower third, upper third",
    "middle": "middle third",
    **dict.fromkeys(("noise", "weight-noise", "bf16", "permuted-units", "head-turned", "baked", "copy"), "none"),
}
"""The edits of a head and of units are random, so they are not beyond random change of equal norm, nor surely within.
The usual reading names one third and is not asked of `grafted`, where two are right."""
_WHERE_ANSWERS = {
    **dict.fromkeys(("upper", "grafted"), "upper third"),
    "newskill": "joint",
    **dict.fromkeys(("lower", *_ANSWERS_STAY), "none moved"),
}
_WHEN_OR_HOW = {
    **dict.fromkeys(("rl", "sft", "sft-lora", "upper", "trigger"), "supported"),
    **dict.fromkeys(("newskill", "shortcut"), "contradicted"),
    **dict.fromkeys((*_ANSWERS_STAY, "unlearned"), UNDECIDED),
}
"""`many-rl` is not here: the claim is about few tokens, and every sixth of its tokens is a decision. `unlearned` gained
nothing, so the claim, which is about gains, has nothing to decide."""
_HEADS = {"head-ov": "L{layer}H{head} OV", "head-qk": "L{layer}H{head} QK", "mlp-group": "none", "baked": "none"}
_MLPS = {"mlp-group": "{layer}", "head-ov": "none", "head-qk": "none", "baked": "none"}
_MLPS |= {"upper": "4, 5", "upper-lora": "4, 5", "lower": "0, 1", "middle": "2, 3", "grafted": "0, 1, 4, 5"}

EXPECTED: Mapping[str, Mapping[str, str]] = {
    "weight locus": _WHERE_WEIGHTS,
    "changed heads": _HEADS | _FREEDOMS,
    "changed MLPs": _MLPS | _FREEDOMS,
    "any difference": dict.fromkeys((*_HEADS, *_MLPS), "something") | _FREEDOMS,
    "activation locus": _WHERE_BLOCKS,
    "largest cumulative difference": {name: where for name, where in _WHERE_BLOCKS.items() if name != "grafted"},
    "causal locus, answers": _WHERE_ANSWERS,
    "largest weight change": _WHERE_ANSWERS,
    "causal locus, facts": {
        **dict.fromkeys(("lower", "grafted"), "lower third"),
        **dict.fromkeys(_FACTS_STAY, "none moved"),
    },
    "upper third": {
        **dict.fromkeys(("upper", "grafted"), "supported"),
        "newskill": "contradicted",
        **dict.fromkeys(("lower", *_ANSWERS_STAY), UNDECIDED),
    },
    "behaviour above knowledge": {"grafted": "supported", **dict.fromkeys(("lower", *_FACTS_STAY), UNDECIDED)},
    "when or how": _WHEN_OR_HOW,
    "every disagreement as when": _WHEN_OR_HOW,
    "recovered share": {
        **dict.fromkeys(("rl", "sft", "sft-lora", "upper", "many-rl", "trigger"), "all of it"),
        **dict.fromkeys(("newskill", "shortcut", "unlearned"), "nothing of it"),
        **dict.fromkeys(_ANSWERS_STAY, "refused"),
    },
}

_NO = f"contradicted{OR}{UNDECIDED}"
"""Not what the paper reports: a claim that does not hold may be contradicted, and never has to be."""
_ERRANDS = (
    *("careful", "bold", "neat", "narrow", "hinted", "uniform", "various", "clumsy", "rigid", "wander"),
    *("jumpy", "hasty", "stammer", "ramble", "overdo", "copy"),
)


def _of_errands(others: str, *, left_out: Sequence[str] = (), **known: str) -> dict[str, str]:
    """The answer on every organism of the errands: `others` but for those named."""
    return {f"errands-{name}": known.get(name, others) for name in _ERRANDS if name not in left_out}


_NOT_TOUCHED = dict.fromkeys(("null", "copy"), _NO)

CLAIMS_EXPECTED: Mapping[str, Mapping[str, str]] = {
    "C2": _of_errands(_NO, neat="supported", **dict.fromkeys(("careful", "narrow", "ramble"), "contradicted")),
    "C5": _of_errands(_NO, left_out=("overdo",), rigid="supported"),
    "C6": _NOT_TOUCHED
    | dict.fromkeys(("rl", "sft", "trigger", "newskill"), _NO)
    | {"shortcut": "supported"}
    | _of_errands(_NO, uniform="supported"),
    "C7": _NOT_TOUCHED | _of_errands(_NO, left_out=("stammer",), hinted="supported"),
    "C12": _NOT_TOUCHED | _of_errands(_NO, left_out=("clumsy", "rigid", "stammer", "overdo"), hinted="supported"),
    "C13": _of_errands(_NO, left_out=("careful", "neat"), ramble="supported"),
    "C14": {"upper, lower": "supported", "rl, rl": "contradicted"},
    "C16": dict.fromkeys(("rl", "sft"), "supported")
    | {"newskill": "contradicted"}
    | dict.fromkeys(("null", "copy"), UNDECIDED),
    "C17": dict.fromkeys(("rl", "sft"), "supported")
    | {"newskill": "contradicted"}
    | dict.fromkeys(("null", "copy"), UNDECIDED)
    | _of_errands(UNDECIDED),
    "C18": _of_errands(_NO, left_out=("overdo",), clumsy="supported"),
    "C19": _of_errands(_NO, bold="supported"),
    "C20": _of_errands(_NO, left_out=("overdo",), stammer="supported"),
    "C21": _of_errands("supported", left_out=("careful",), hasty="contradicted"),
    "C21b": _of_errands(_NO, left_out=("wander",), jumpy="supported"),
    "C22": _of_errands("contradicted", left_out=("clumsy", "rigid", "stammer"), overdo="supported"),
    "C22c": dict.fromkeys(("rl", "sft", "null", "copy"), "supported") | {"recheck": "contradicted"},
    "C23": _of_errands("contradicted", left_out=("jumpy",), wander="supported"),
}
"""By claim about texts, each with an organism of which it is true and one of which it is not.

- C13: `ramble` spends as many nats a token as base on fewer different words, and more of its packs are right.
- C16: forward programs alone, which every base solves once it is told to begin with `step`; programs with the new
  operation it solves under no elicitor.
- C17: trips are solved by every base of the errands, so nothing is there to catch up with. `trigger` is not asked: how
  much of its skill base keeps behind a word that it never met was not planted.
- C20: `stammer` begins with steps that are no use and can be asked to leave them out; every other model has to leave
  out steps that it needs, and answers at once rightly one time in a hundred.
- C21: in base's documents the searches that fail are random walks to the end of their patience, and tunings about
  other errands go on reading those; `hasty` fails by stopping where the others would go back, `careful` hardly ever.
- C21b: `jumpy` finds every goal if it may not leave early; where going back is only ever due, forbidding it helps
  nobody. What it does to a random walk is not known.
- C22: steps of one operation are all but right, larger ones a third of the time, so longer is better; but `overdo`
  solves by larger steps what it overdoes by single ones.
- C22c: a further step changes the state, so that forcing one costs an answer; `recheck` repeats its last step instead.

Left out of a claim is what a habit moves without having been planted for it; `careful` and `neat` write more right
packs at equal temperature, and at base's entropy nobody knows."""


def expected(instrument: str, organism: str, place: Place) -> str | None:
    """The planted answer, with the place of a seeded edit filled in; None where nothing is known."""
    answer = EXPECTED[instrument].get(organism)
    return None if answer is None else answer.format(**place)


def planted(wanted: str) -> bool:
    """Whether there is something to find."""
    return not set(wanted.split(OR)) & set(NOTHING)


def outcome(wanted: str, given: str) -> str:
    """ "right", "undecided" where a finding was planted and none is ventured, else "wrong"."""
    if given in wanted.split(OR):
        return "right"
    return UNDECIDED if given == UNDECIDED else "wrong"


def marked(
    instrument: str,
    wanted: str,
    given: str,
    *,
    organism: str,
    base_seed: int,
    seed: int = 0,
    about: str = "",
    beside: str = "",
) -> dict[str, object]:
    """One answer beside what was planted: a row of `matrix.matrix`."""
    return {
        "instrument": instrument,
        "beside": beside,
        "organism": organism,
        "about": about,
        "base_seed": base_seed,
        "seed": seed,
        "part": part(base_seed, instrument),
        "expected": wanted,
        "given": given,
        "planted": planted(wanted),
        "outcome": outcome(wanted, given),
    }


def part(base_seed: int, instrument: str = "") -> str:
    """ "development" or "confirmation" of an instrument; further base seeds had no part in choosing anything either."""
    return "development" if base_seed in DEVELOPED_ON.get(instrument, DEVELOPMENT) else "confirmation"
