import pytest

from interp.behaviour.feasibility import CONSTRAINED, feasibility
from interp.claims.form_not_feasibility import form_not_feasibility


def writer(form, able):
    """In form at one rate; able to meet the constraints at another, whatever the form."""

    def write(problem, rng):
        parses, feasible = rng.random() < form, rng.random() < able
        return {"text": f"{'[1]' if parses else '1'} {0 if feasible else 2}"}

    return write


def measured(scripted, problems=300, **arms):
    arms = {name.replace("_", ", "): writer(*rates) for name, rates in arms.items()}
    written = scripted.rollouts(arms, problems=problems, samples=4)
    return feasibility(written, lambda row: row["text"].startswith("["), lambda row: int(row["text"].split()[1]))


def test_form_alone_was_taught(scripted):
    verdict = form_not_feasibility(
        measured(scripted, 1500, base=(0.3, 0.5), tuned=(0.98, 0.5), base_constrained=(1, 0.5))
    )
    assert verdict.says == "supported"
    assert abs(verdict.estimate) < 0.05
    assert "form changed by 0.68" in verdict.because and "Control: tuned is feasible" in verdict.because


def test_what_was_taught_is_more_than_form(scripted):
    verdict = form_not_feasibility(measured(scripted, base=(0.3, 0.4), tuned=(0.98, 0.8), base_constrained=(1, 0.4)))
    assert verdict.says == "contradicted" and verdict.estimate == pytest.approx(0.4, abs=0.08)


def test_without_the_grammar_nothing_is_supported(scripted):
    verdict = form_not_feasibility(measured(scripted, base=(0.3, 0.5), tuned=(0.98, 0.5)))
    assert verdict.says == "undecided" and "no arm of base under a grammar" in verdict.because
    same = form_not_feasibility(measured(scripted, base=(0.5, 0.5), tuned=(0.5, 0.5)))
    assert (same.says, same.estimate) == ("contradicted", 0)


def test_feasible_out_of_form_does_not_count(scripted):
    made = measured(scripted, base=(0.0, 1.0), tuned=(1.0, 1.0))
    table = made.table
    assert table[table["arm"] == "base"][["form", "feasible"]].sum().tolist() == [0, 0]
    verdict = form_not_feasibility(made)
    assert verdict.estimate is None and "writes nothing in form" in verdict.because
    assert CONSTRAINED == "base, constrained"


def test_a_negative_count_is_refused(scripted):
    with pytest.raises(ValueError, match="a number of violations is negative for problem 'p0', arm 'base'"):
        feasibility(scripted.rollouts({"base": writer(1, 1)}), lambda row: True, lambda row: -1)
