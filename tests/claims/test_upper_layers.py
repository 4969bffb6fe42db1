"""U(behaviour) - U(knowledge) of the upper half, on tables of swaps whose truth is planted."""

import numpy as np
import pandas as pd
import pytest

from interp.claims.upper_layers import upper_layers_carry_behaviour
from interp.measurement import Measurement

SIZES = {"answers": 300, "facts": 64, "output format": 300}


def swaps(**axes: tuple[float, float, float]) -> Measurement:
    """Per axis: base, base with tuned's upper half, tuned; nested, so that shares are exact but for rounding."""
    tables = []
    for axis, (base, hybrid, tuned) in axes.items():
        n = SIZES[axis.replace("_", " ")]
        place = np.random.default_rng(n).permutation(n) / n
        for part, direction, share in (
            ("nothing", "tuned into base", base),
            ("nothing", "base into tuned", tuned),
            ("upper half", "tuned into base", hybrid),
            ("upper half", "base into tuned", base),
        ):
            rows = {"swapped": part, "direction": direction, "axis": axis.replace("_", " "), "correct": place < share}
            tables.append(pd.DataFrame({**rows, "problem": [f"{axis}{i}" for i in range(n)]}))
    return Measurement("swaps", "answered correctly", pd.concat(tables, ignore_index=True), {})


def test_behaviour_above_and_knowledge_below_supports() -> None:
    verdict = upper_layers_carry_behaviour(swaps(answers=(0.0, 0.98, 1.0), facts=(0.0, 0.05, 1.0)))
    assert verdict.says == "supported"
    assert verdict.estimate == pytest.approx(0.93, abs=0.02)
    assert verdict.low is not None and verdict.low > 0.8
    assert "brings the change in answers more than that in facts" in verdict.because


@pytest.mark.parametrize("half", [0.02, 0.98])
def test_both_in_the_same_place_contradicts(half: float) -> None:
    verdict = upper_layers_carry_behaviour(swaps(answers=(0.0, half, 1.0), facts=(1.0, 1 - half, 0.0)))
    assert verdict.says == "contradicted"
    assert verdict.estimate == pytest.approx(0.0, abs=0.03)


def test_knowledge_above_and_behaviour_below_contradicts() -> None:
    verdict = upper_layers_carry_behaviour(swaps(answers=(0.0, 0.1, 1.0), facts=(0.0, 0.9, 1.0)))
    assert verdict.says == "contradicted"
    assert verdict.high is not None and verdict.high < 0


def test_apart_but_with_little_of_the_behaviour_is_undecided() -> None:
    verdict = upper_layers_carry_behaviour(swaps(answers=(0.0, 0.4, 1.0), facts=(0.0, 0.0, 1.0)))
    assert verdict.says == "undecided"
    assert "brings too little of answers" in verdict.because


@pytest.mark.parametrize(
    ("axes", "sentence"),
    [
        ({"answers": (0.0, 1.0, 1.0), "facts": (1.0, 1.0, 1.0)}, "Facts did not move, so this pair cannot tell"),
        ({"answers": (0.5, 0.5, 0.5), "facts": (0.0, 0.0, 1.0)}, "Answers did not move, so this pair cannot tell"),
        (
            {"answers": (0.5, 0.5, 0.5), "facts": (1.0, 1.0, 1.0)},
            "Answers and facts did not move, so this pair cannot tell",
        ),
        ({"answers": (0.0, 1.0, 1.0)}, "Knowledge is untested: the task has no closed-book facts."),
    ],
)
def test_an_axis_that_did_not_move_leaves_it_undecided(
    axes: dict[str, tuple[float, float, float]], sentence: str
) -> None:
    verdict = upper_layers_carry_behaviour(swaps(**axes))
    assert verdict.says == "undecided"
    assert (verdict.estimate, verdict.low, verdict.high) == (None, None, None)
    assert sentence in verdict.because


def test_format_is_told_beside_and_does_not_enter() -> None:
    axes = {"answers": (0.0, 0.98, 1.0), "facts": (0.0, 0.05, 1.0)}
    with_format = upper_layers_carry_behaviour(swaps(**axes, output_format=(0.2, 0.2, 1.0)))
    assert "U(output format) of the upper half is 0.00" in with_format.because
    assert with_format.estimate == upper_layers_carry_behaviour(swaps(**axes)).estimate


def test_a_missing_upper_half_is_named() -> None:
    made = swaps(answers=(0.0, 1.0, 1.0), facts=(0.0, 0.0, 1.0))
    kept = made.table[made.table.swapped != "upper half"]
    with pytest.raises(ValueError, match="lacks upper half on the axis 'answers'; swap it"):
        upper_layers_carry_behaviour(Measurement("swaps", "", kept, {}))
