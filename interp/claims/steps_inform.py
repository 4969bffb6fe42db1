"""'Steps written after tuning carry less information on the answer': bits per chain, at equal length."""

import numpy as np
import pandas as pd

from interp.claims.change import decided
from interp.claims.register import REGISTER
from interp.claims.verdict import Verdict, rows_of, shown
from interp.intervals import Interval, difference, paired_bootstrap
from interp.measurement import Measurement

PAPER = REGISTER["C12"]
LITTLE = 0.05
"""A relative change below this is none."""
FEW = 20
"""Problems below which nothing is said."""


def steps_inform(information: Measurement, *, reader: str | None = None) -> Verdict:
    """Do tuned's steps bring fewer bits on the right answer than base's, step for step at equal length?

    `estimate` is (G_tuned - G_base) / G_base, G the mean gain per step (bits_n - bits_0) / n over problems on which
    both wrote a chain of the same number of steps. Each writer is read by itself, or both by one fixed `reader`.

    - supported: the interval lies below 0 and the fall is at least 5%
    - contradicted: a fall of 5% is excluded
    - undecided: anything between, fewer than 20 such problems, or steps of base that bring no more than foreign ones

    The published formula on the same chains stands beside it: it divides the whole text's drop in perplexity by n + 1,
    so longer chains alone lower it.
    """
    table = rows_of(information, "problem", "writer", "reader", "chain", "i", "n_steps", "bits", "perplexity")
    read = table[(table["reader"] == reader) if reader else (table["reader"] == table["writer"])]
    gains = _gains(read)
    own = gains[gains["chain"] == "own"].pivot(index="problem", columns="writer", values=["per_step", "n_steps"])
    if {"base", "tuned"} - set(own.columns.get_level_values("writer")):
        own = own.iloc[:0].reindex(columns=pd.MultiIndex.from_product([["per_step", "n_steps"], ["base", "tuned"]]))
    both = own.dropna()
    equal = both[both["n_steps", "base"] == both["n_steps", "tuned"]]
    if len(equal) < FEW:
        because = PAPER.told(
            f"{len(equal)} problems on which base and tuned wrote chains of equal length, where {FEW} are needed"
        )
        because = f"{because} {_published(gains)} What it needs: {PAPER.needs}."
        return Verdict(PAPER.claim, PAPER.number, None, None, None, len(equal), "undecided", because)
    base, tuned = (equal["per_step", writer].to_numpy(float) for writer in ("base", "tuned"))
    foreign = _beyond_foreign(gains, "base")
    bits = difference(tuned, base)
    reasons = [f"Gain per step: {base.mean():.2f} bits in base, {tuned.mean():.2f} in tuned ({_told(bits)})."]
    reasons += [_control(gains, writer) for writer in ("base", "tuned")]
    reasons.append(_published(gains))
    informs = paired_bootstrap(lambda x: x, base)
    if foreign is None or foreign.low <= 0 or informs.low <= 0:
        because = PAPER.told("steps of base that do not inform, or no more than those of other problems")
        return Verdict(
            PAPER.claim, PAPER.number, None, None, None, len(equal), "undecided", " ".join([because, *reasons])
        )
    change = paired_bootstrap(_relative, base, tuned)
    found = f"a change of {_told(change)} at equal length, on {len(equal)} of {len(both)} problems"
    says = decided(change, sign=-1, little=LITTLE)
    because = " ".join([PAPER.told(found), *reasons])
    return Verdict(PAPER.claim, PAPER.number, change.estimate, change.low, change.high, change.n, says, because)


def _relative(base: np.ndarray, tuned: np.ndarray) -> np.ndarray:
    return (tuned - base) / base


def _gains(read: pd.DataFrame) -> pd.DataFrame:
    """A row per problem, writer and chain: n_steps, the gain per step in bits, and the published number."""
    rows = []
    for (problem, writer, chain), of in read.sort_values("i").groupby(["problem", "writer", "chain"], sort=False):
        n = int(of["n_steps"].iloc[0])
        drop = of["perplexity"].iloc[0] - of["perplexity"].iloc[-1]
        rows.append(
            {
                "problem": problem,
                "writer": writer,
                "chain": chain,
                "n_steps": n,
                "per_step": (of["bits"].iloc[-1] - of["bits"].iloc[0]) / n,
                "published": drop / (n + 1),
                "last": of["bits"].iloc[-1] - of["bits"].iloc[-2],
            }
        )
    return pd.DataFrame(rows, columns=["problem", "writer", "chain", "n_steps", "per_step", "published", "last"])


def _beyond_foreign(gains: pd.DataFrame, writer: str) -> Interval | None:
    wide = gains[gains["writer"] == writer].pivot(index="problem", columns="chain", values="per_step")
    if not {"own", "foreign"} <= set(wide) or len(wide) < 2:
        return None
    wide = wide[["own", "foreign"]].dropna()
    return difference(wide["own"].to_numpy(), wide["foreign"].to_numpy())


def _control(gains: pd.DataFrame, writer: str) -> str:
    means = gains[gains["writer"] == writer].groupby("chain")["per_step"].mean()
    told = [f"{kind} {means[kind]:.2f}" for kind in ("shuffled", "foreign", "random") if kind in means]
    own = gains[(gains["writer"] == writer) & (gains["chain"] == "own")]
    total = (own["per_step"] * own["n_steps"]).sum()
    last = f"; its last step brings {own['last'].sum() / total:.0%} of all" if total > 0 else ""
    return f"Controls of {writer}, bits per step: {', '.join(told)}{last}."


def _published(gains: pd.DataFrame) -> str:
    own = gains[gains["chain"] == "own"].groupby("writer")[["published", "n_steps"]].mean()
    if {"base", "tuned"} - set(own.index):
        return "The published formula has no value for a model that wrote no chain."
    if own.published["base"] == 0:
        return "The published formula is 0 in base."
    fall = own.published["tuned"] / own.published["base"] - 1
    return (
        f"The published formula changes by {fall:+.0%}, with {own.n_steps['base']:.1f} steps in base and "
        f"{own.n_steps['tuned']:.1f} in tuned."
    )


def _told(found: Interval) -> str:
    return shown(found.estimate, found.low, found.high)
