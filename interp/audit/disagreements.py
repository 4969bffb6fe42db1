"""Answers on which the rules disagree: where a person has to look."""

import pandas as pd

from interp.measurement import Measurement


def disagreements(audit: Measurement, endings: Measurement | None = None) -> pd.DataFrame:
    """A row per answer that some rules call right and others wrong: problem, arm, right_by, wrong_by, gold and end.

    A rule that read nothing has no part in it: that is counted as an answer that does not parse. `right_by` and
    `wrong_by` list rules with what each read.
    """
    table = audit.table[audit.table["parsed"].astype(bool)]
    both = table.groupby(["problem", "arm"])["correct"].transform("nunique") > 1
    rows = []
    for (problem, arm), answers in table[both].groupby(["problem", "arm"], sort=False):
        read = [(row.correct, row.rule + (f" ({row.found})" if row.found else "")) for row in answers.itertuples()]
        sides = {name: "; ".join(text for right, text in read if right == side) for name, side in _SIDES}
        rows.append({"problem": problem, "arm": arm, **sides})
    found = pd.DataFrame(rows, columns=["problem", "arm", "right_by", "wrong_by"])
    if endings is None:
        return found.assign(gold="", end="")
    return found.merge(endings.table[["problem", "arm", "gold", "end"]], on=["problem", "arm"], how="left")


_SIDES = (("right_by", True), ("wrong_by", False))
