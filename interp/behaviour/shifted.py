"""The same problems with one element of their structure changed: who loses how much?"""

import pandas as pd

from interp.measurement import Measurement, provenance
from interp.written import read_written

ORIGINAL, SHIFTED = "original", "shifted"


def shifted(original: Measurement, variants: Measurement, of: dict[str, str]) -> Measurement:
    """`shifted`: accuracy per problem, arm and split ("original", "shifted"), aligned by instance.

    `of` names, for each shifted problem, the original it was made from; every original has exactly one variant. Where
    both tables have a column `required` (the steps that the oracle needs), it is kept: a variant may simply be harder.
    Columns: problem (the original's), arm, split, correct (mean over samples), required (NaN where not known).
    ValueError where a variant has no original, or the arms differ.
    """
    tables = {
        ORIGINAL: read_written(original, "strict", arms=("base", "tuned")),
        SHIFTED: read_written(variants, "strict", arms=("base", "tuned")),
    }
    known, made = set(tables[ORIGINAL]["problem"]), set(tables[SHIFTED]["problem"])
    if lost := sorted(made - of.keys()) or sorted(set(map(of.__getitem__, made)) - known):
        raise ValueError(f"the shifted problem or original {lost[0]!r} has no partner; give `of` for every variant")
    if len(set(map(of.__getitem__, made))) < len(made) or len(made) < len(known):
        raise ValueError(f"{len(known)} originals have {len(made)} variants; give each original exactly one")
    rows = []
    for split, table in tables.items():
        names = table["problem"].map(of) if split == SHIFTED else table["problem"]
        required = table["required"].astype(float) if "required" in table else float("nan")
        scored = table.assign(problem=names, split=split, correct=table["strict"].astype(float), required=required)
        keys = ["problem", "arm", "split"]
        rows.append(scored.groupby(keys, sort=False, as_index=False)[["correct", "required"]].mean())
    made_with = provenance(original=dict(original.made_with), variants=dict(variants.made_with))
    return Measurement("shifted", "accuracy on originals and variants", pd.concat(rows, ignore_index=True), made_with)
