"""Every claim of the register, decided where the measurements at hand are enough, and with what it needs where not."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from interp.claims.abstention_falls import abstention_falls
from interp.claims.base_catches_up import base_catches_up
from interp.claims.chain_drives_answer import chain_drives_answer
from interp.claims.cores_overlap import cores_overlap
from interp.claims.diversity_moves import diversity_moves
from interp.claims.elicitation_reaches import elicitation_reaches
from interp.claims.execution_limits import execution_limits
from interp.claims.explorers_wander import explorers_wander
from interp.claims.forced_is_worse import forced_is_worse
from interp.claims.form_not_feasibility import form_not_feasibility
from interp.claims.format_collapses import format_collapses
from interp.claims.longer_is_worse import longer_is_worse
from interp.claims.register import REGISTER, lacking
from interp.claims.shift_costs_more import shift_costs_more
from interp.claims.steering_shortens import steering_shortens
from interp.claims.steps_inform import steps_inform
from interp.claims.verdict import Verdict, shown, verdict_table
from interp.claims.wrong_switch_more import switch_penalty_helps, wrong_switch_more
from interp.measurement import Measurement

DECIDED: dict[str, tuple[Callable[..., Verdict], str, tuple[str, ...]]] = {
    "C2": (form_not_feasibility, "feasibility", ()),
    "C5": (shift_costs_more, "shifted", ()),
    "C6": (format_collapses, "formats", ()),
    "C7": (chain_drives_answer, "faithfulness", ()),
    "C12": (steps_inform, "information", ()),
    "C13": (diversity_moves, "diversity", ()),
    "C14": (cores_overlap, "core_overlap", ()),
    "C16": (elicitation_reaches, "answers", ("ceiling",)),
    "C17": (base_catches_up, "pass_counts", ()),
    "C18": (execution_limits, "execution", ("one_steps",)),
    "C19": (abstention_falls, "abstention", ("answerability",)),
    "C20": (steering_shortens, "compression", ()),
    "C21": (wrong_switch_more, "switching", ()),
    "C21b": (switch_penalty_helps, "penalties", ()),
    "C22": (longer_is_worse, "lengths", ()),
    "C22c": (forced_is_worse, "forced", ()),
    "C23": (explorers_wander, "wandering", ()),
}
"""By claim: who decides it, on which measurement, and what else that one takes where it is there."""


def ledger(measurements: Sequence[Measurement]) -> list[Verdict]:
    """One verdict per claim of the register, in order; undecided, with what it needs, where nothing was measured."""
    have = {measurement.name: measurement for measurement in measurements}
    return [decide(key, have) for key in REGISTER]


def decide(key: str, have: Mapping[str, Measurement]) -> Verdict:
    """The verdict on one claim of the register out of measurements by name; undecided where its own is not there."""
    function, name, more = DECIDED[key]
    if name not in have:
        return lacking(key)
    beside: dict[str, Any] = {other: have[other] for other in more if other in have}
    return function(have[name], **beside)


def ledger_table(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """`verdict_table` with the claim's key in front; verdicts of claims outside the register have none."""
    keys = {paper.claim: key for key, paper in REGISTER.items()}
    table = verdict_table(verdicts)
    table.insert(0, "key", [keys.get(claim, "") for claim in table["claim"]])
    return table


def ledger_lines(verdicts: Sequence[Verdict]) -> list[str]:
    """One line per claim: key, claim, reported number, ours with its interval, the verdict and its first sentence."""
    lines = []
    for row in ledger_table(verdicts).itertuples():
        told = "no number" if pd.isna(row.reported) else f"{row.reported:+.2f}"
        found = "none" if pd.isna(row.estimate) else shown(row.estimate, row.low, row.high)
        first = row.because.partition(". ")[0].removesuffix(".")
        if "What it needs: " in row.because and pd.isna(row.estimate):
            first = f"needs {row.because.rpartition('What it needs: ')[2].removesuffix('.')}"
        lines.append(f"{row.key:4} {row.claim}: {row.says}. Reported {told}, estimated {found}, n = {row.n}. {first}.")
    return lines
