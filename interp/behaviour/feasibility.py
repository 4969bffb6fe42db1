"""Of what is written: is its form right, can it be right, and can it be right given the form?"""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from interp.measurement import Measurement, provenance
from interp.written import read_written, rows_by

CONSTRAINED = "base, constrained"
"""The arm of base decoding under the grammar of the form: its form is right for free."""


def feasibility(
    written: Measurement,
    form: Callable[[Mapping[str, Any]], bool],
    violations: Callable[[Mapping[str, Any]], int],
) -> Measurement:
    """`feasibility`: per problem and arm, of `n` samples the number in `form`, and `feasible`: in form, none violated.

    `form` says whether a row's text parses into what was asked for; `violations` counts the constraints that a row in
    form breaks and is asked about no other. Columns: problem, kind, arm, n, form, feasible, violations (summed over
    the samples in form). P(feasible | form) is a ratio of sums over problems.
    """
    table = read_written(written, "kind", "text")
    rows = []
    for (problem, arm), of in rows_by(table, "problem", "arm").items():
        broken = [violations(row) for row in of if form(row)]
        if any(count < 0 for count in broken):
            raise ValueError(f"a number of violations is negative for problem {problem!r}, arm {arm!r}")
        rows.append(
            {
                "problem": problem,
                "kind": of[0]["kind"],
                "arm": arm,
                "n": len(of),
                "form": len(broken),
                "feasible": sum(count == 0 for count in broken),
                "violations": sum(broken),
            }
        )
    made_with = provenance(rollouts=dict(written.made_with))
    return Measurement("feasibility", "samples in form, and feasible", pd.DataFrame(rows), made_with)
