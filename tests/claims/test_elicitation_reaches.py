import pandas as pd
import pytest

from interp.claims.elicitation_reaches import elicitation_reaches, elicitors
from interp.measurement import Measurement

N = 200


def answers(**accuracies):
    """Arms whose right problems are nested, in an order that mixes the halves."""
    order = [(i * 37) % N for i in range(N)]
    rows = [
        {"arm": arm, "problem": f"p{i:03d}", "correct": order[i] < share * N, "tokens": 9}
        for arm, share in accuracies.items()
        for i in range(N)
    ]
    return Measurement("answers", "", pd.DataFrame(rows), {})


def ceiling(rate, n=16):
    rows = [
        {"problem": f"p{i:03d}", "n": n, "right": n * (i < rate * N), "verified": n * (i < rate * N)} for i in range(N)
    ]
    return Measurement("ceiling", "", pd.DataFrame(rows), {})


BOTH = {"base": 0.1, "tuned": 0.9}
TWIN = {"random steering directions": 0.1}


@pytest.mark.parametrize(
    ("arms", "says"),
    [
        (BOTH | {"base asked '{prompt} step'": 0.9, "base, surest of 10 branches": 0.2}, "supported"),
        (BOTH | {"base asked '{prompt} step'": 0.12}, "contradicted"),
        (BOTH | {"base asked '{prompt} step'": 0.5}, "undecided"),
        (BOTH | TWIN | {"steering by mean difference": 0.9}, "supported"),
        (BOTH | {"steering by mean difference": 0.9, "random steering directions": 0.9}, "undecided"),
        (BOTH | {"steering by mean difference": 0.9}, "undecided"),
        ({"base": 0.5, "tuned": 0.5, "base asked 'x'": 0.5}, "undecided"),
        (BOTH | {"decision tokens": 0.9}, "undecided"),
    ],
    ids=["prompt", "little", "half", "steering", "any direction", "no twin", "no gap", "tuned writes"],
)
def test_the_best_elicitor_decides(arms, says):
    verdict = elicitation_reaches(answers(**arms))
    assert verdict.says == says, verdict


def test_what_base_never_writes_cannot_be_elicited():
    made = answers(**BOTH, **{"base asked 'x'": 0.5})
    assert elicitation_reaches(made, ceiling=ceiling(0.5)).says == "contradicted"
    verdict = elicitation_reaches(made, ceiling=ceiling(1.0))
    assert verdict.says == "undecided" and "Base's ceiling minus tuned: 0.10" in verdict.because


def test_one_table_of_all():
    made = answers(**BOTH, **TWIN, **{"base asked 'x'": 0.5, "steering by one vector": 0.7, "decision tokens": 0.9})
    table = elicitors(made, ceiling=ceiling(0.95)).set_index("arm")
    assert table.kind.to_dict() == {
        "base asked 'x'": "prompt",
        "random steering directions": "control",
        "steering by one vector": "steering",
        "base, verified pass@16": "ceiling",
    }
    assert table.recovered["base asked 'x'"] == pytest.approx(0.5)
    assert table.accuracy["base, verified pass@16"] == pytest.approx(0.95)
    assert "What it needs" in elicitation_reaches(answers(**BOTH)).because
