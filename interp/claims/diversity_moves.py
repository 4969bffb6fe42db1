"""'Tuning lowers the diversity of form and raises that of meaning', told apart from more answers being valid."""

from interp.claims.change import decided, totals
from interp.claims.register import REGISTER
from interp.claims.verdict import Says, Verdict, rows_of, shown
from interp.intervals import Interval, difference
from interp.measurement import Measurement

PAPER = REGISTER["C13"]
LITTLE = 0.02
"""A change of a share of pairs or of bigrams that stays under this is none."""
MATCHED = "tuned, matched"
"""The arm of tuned at the temperature that brings it to base's entropy."""


def diversity_moves(diversity: Measurement) -> Verdict:
    """Did form (distinct bigrams) become less varied and meaning (pairs of valid samples that differ) more?

    `estimate` is tuned - base in differing pairs. Where there is an arm "tuned, matched", tuned at the temperature that
    brings it to base's entropy, the verdict is taken on it, since a colder model is less varied whatever it learnt; the
    change at equal temperature is told beside it.

    - supported: form falls and meaning rises, both intervals clear of 0 and at least 0.02
    - contradicted: form does not fall by 0.02, or meaning does not rise by 0.02 (far ends)
    - undecided: anything between
    """
    matched = MATCHED in set(rows_of(diversity, "arm")["arm"])
    tuned = MATCHED if matched else "tuned"
    some = rows_of(diversity, "problem", "arm", "form", "pairs").dropna(subset=["form"])
    if (n := int((some[some["arm"].isin(["base", tuned])].groupby("problem").size() == 2).sum())) < 2:
        because = PAPER.told(f"{n} problems to which both write texts of two words, which form is read from")
        return Verdict(PAPER.claim, None, None, None, None, n, "undecided", f"{because} What it needs: {PAPER.needs}.")
    form, pairs = (_change(diversity, column, tuned) for column in ("form", "pairs"))
    said = [decided(form, sign=-1, little=LITTLE), decided(pairs, sign=1, little=LITTLE)]
    says: Says = "undecided"
    if "contradicted" in said:
        says = "contradicted"
    elif said == ["supported", "supported"]:
        says = "supported"
    found = (
        f"form (distinct bigrams) changed by {shown(form.estimate, form.low, form.high)} and meaning (differing valid "
        f"pairs) by {shown(pairs.estimate, pairs.low, pairs.high)}"
    )
    temperature = "Not temperature-matched: a colder model is less varied whatever it learnt."
    if matched:
        plain = [_change(diversity, column, "tuned") for column in ("form", "pairs")]
        told = " and meaning by ".join(shown(of.estimate, of.low, of.high) for of in plain)
        temperature = f"Control: tuned is sampled at base's entropy; at base's temperature form changed by {told}."
    reasons = [PAPER.told(found), _quality(diversity, tuned), temperature]
    return Verdict(PAPER.claim, None, pairs.estimate, pairs.low, pairs.high, pairs.n, says, " ".join(reasons))


def _change(diversity: Measurement, column: str, tuned: str) -> Interval:
    table = rows_of(diversity, "problem", "arm", column)
    usable = table.groupby("problem")[column].transform(lambda values: values.notna().all())
    kept = Measurement(diversity.name, diversity.unit, table[usable.astype(bool)], diversity.made_with)
    base, other = totals(kept, column, arms=("base", tuned))
    return difference(other, base)


def _quality(diversity: Measurement, tuned: str) -> str:
    """What remains at equal numbers of valid samples."""
    table = rows_of(diversity, "arm", "valid", "n", "matched")
    valid = [table.loc[table["arm"] == arm, ["valid", "n"]].sum() for arm in ("base", tuned)]
    told = (
        f"Valid: {valid[0]['valid'] / valid[0]['n']:.2f} of base's samples and {valid[1]['valid'] / valid[1]['n']:.2f}"
    )
    both = table[table["arm"].isin(["base", tuned])]
    if int(both[both["matched"].notna()]["problem"].nunique()) < 2:
        return f"{told} of tuned's; too few problems have two valid samples in each to match quality."
    found = _change(diversity, "matched", tuned)
    told = f"{told} of tuned's. At equal numbers of valid samples the distinct meanings change by"
    return f"{told} {shown(found.estimate, found.low, found.high)} on {found.n} problems (control of quality)."
