"""'Different tunings of one base change different core parameters': Jaccard indices against masks that chance makes."""

import numpy as np

from interp.claims.register import REGISTER
from interp.claims.verdict import Says, Verdict, rows_of
from interp.measurement import Measurement

PAPER = REGISTER["C14"]
SHARE, GROUPED = 0.01, 0.10
"""The paper's core, and the Jaccard index from which it puts two tasks into one group."""


def cores_overlap(core_overlap: Measurement, *, share: float = SHARE) -> Verdict:
    """Do the tunings' cores overlap by less than a Jaccard index of 0.1?

    `estimate` is the median over pairs of tunings, `low` and `high` the least and the greatest of them: all parameters
    are seen, so there is no sampling interval, and the spread over tunings is what there is.

    - supported: every pair stays under 0.1 (each task has a core of its own)
    - contradicted: every pair reaches 0.1, and twice the overlap of cores shuffled within their tensors
    - undecided: pairs differ, or an overlap that where the change is large in general explains
    """
    table = rows_of(core_overlap, "one", "other", "share", "tensor", "jaccard", "expected", "shuffled", "n")
    of = table[(table["tensor"] == "all") & np.isclose(table["share"], share)]
    if of.empty or of["jaccard"].isna().any():
        raise ValueError(f"measurement 'core_overlap' has no overlap of whole models at a share of {share:g}")
    low, middle, high = (float(of["jaccard"].quantile(q)) for q in (0, 0.5, 1))
    beyond = bool((of["jaccard"] > 2 * of["shuffled"]).all())
    says: Says = "supported" if high < GROUPED else "contradicted" if low >= GROUPED and beyond else "undecided"
    pairs = "; ".join(f"{row.one} and {row.other} {row.jaccard:.3f}" for row in of.itertuples())
    because = (
        f"{PAPER.told(f'a Jaccard index of {middle:.3f} ({low:.3f} to {high:.3f} over {len(of)} pairs of tunings)')} "
        f"Each: {pairs}. Controls: random masks {of['expected'].iloc[0]:.3f}, cores shuffled within their tensors "
        f"{of['shuffled'].median():.3f}. Whether freezing cores helps needs training and is not tested here."
    )
    return Verdict(PAPER.claim, None, middle, low, high, int(of["n"].iloc[0]), says, because)
