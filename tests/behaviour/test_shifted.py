import pytest

from interp.behaviour.shifted import shifted
from interp.claims.shift_costs_more import shift_costs_more


def both(scripted, original, variant, *, required=None, n=400):
    """Accuracies of (base, tuned) on the originals and on their variants."""

    def solve(rate):
        return lambda problem, rng: {"strict": rng.random() < rate}

    parts = []
    for rates, name in ((original, "p"), (variant, "v")):
        arms = dict(zip(("base", "tuned"), map(solve, rates), strict=True))
        written = scripted.rollouts(arms, problems=n, samples=1)
        written.table["problem"] = written.table["problem"].str.replace("p", name)
        if required:
            written.table["required"] = required[name]
        parts.append(written)
    return shifted(*parts, {f"v{i}": f"p{i}" for i in range(n)})


def test_a_drop_of_tuned_alone_is_found(scripted):
    verdict = shift_costs_more(both(scripted, (0.8, 0.9), (0.8, 0.5)))
    assert verdict.says == "supported"
    assert verdict.estimate == pytest.approx(0.4, abs=0.07)


def test_a_drop_that_base_shares_is_not(scripted):
    verdict = shift_costs_more(both(scripted, (0.9, 0.9), (0.5, 0.5)))
    assert (verdict.says, verdict.estimate) == ("contradicted", 0)
    assert "may simply be harder" in verdict.because


def test_base_at_the_floor_cannot_tell(scripted):
    verdict = shift_costs_more(both(scripted, (0.05, 0.9), (0.05, 0.3)))
    assert verdict.says == "undecided"
    assert "could not have dropped as much" in verdict.because


def test_harder_variants_are_left_out(scripted):
    with pytest.raises(ValueError, match="0 instances have variants that need as many steps"):
        shift_costs_more(both(scripted, (0.8, 0.9), (0.8, 0.5), required={"p": 3, "v": 4}))
    verdict = shift_costs_more(both(scripted, (0.8, 0.9), (0.8, 0.5), required={"p": 3, "v": 3}))
    assert "Control: 400 of 400 instances" in verdict.because


def test_bad_input(scripted):
    written = scripted.rollouts({"base": lambda p, r: {}, "tuned": lambda p, r: {}}, problems=3)
    with pytest.raises(ValueError, match="the shifted problem or original 'p0' has no partner"):
        shifted(written, written, {"p1": "p1"})
    with pytest.raises(ValueError, match="3 originals have 3 variants; give each original exactly one"):
        shifted(written, written, {"p0": "p0", "p1": "p0", "p2": "p2"})
    made = shifted(written, written, {f"p{i}": f"p{i}" for i in range(3)})
    part = made.__class__(made.name, made.unit, made.table[made.table["arm"] == "tuned"], {})
    with pytest.raises(ValueError, match="lacks base on original and base on shifted; a difference in differences"):
        shift_costs_more(part)
