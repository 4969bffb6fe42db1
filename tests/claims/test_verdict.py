"""A verdict is checked at birth, speaks strict JSON, and the claims need no torch."""

import json
import math
import subprocess
import sys

import pandas as pd
import pytest

from interp.claims.verdict import Verdict, listed, outcomes, rows_of, shown
from interp.measurement import Measurement


def test_json_has_the_eight_keys_and_no_number_that_is_not_finite() -> None:
    verdict = Verdict("it works", 0.91, 0.5, 0.2, math.inf, 30, "undecided", "too few problems")
    plain = json.loads(json.dumps(verdict.to_json(), allow_nan=False))
    assert plain == {
        "claim": "it works",
        "reported": 0.91,
        "estimate": 0.5,
        "low": 0.2,
        "high": None,
        "n": 30,
        "says": "undecided",
        "because": "too few problems",
    }


def test_a_verdict_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="gives no reason"):
        Verdict("it works", None, None, None, None, 3, "undecided", "")
    with pytest.raises(ValueError, match=r"come together or not at all, got \(0\.5, None, None\)"):
        Verdict("it works", None, 0.5, None, None, 3, "supported", "seen")
    with pytest.raises(ValueError, match="is None, not NaN"):
        Verdict("it works", None, math.nan, 0.0, 1.0, 3, "supported", "seen")


def test_jupyter_shows_it_with_html_made_harmless() -> None:
    page = Verdict("<b>", None, 0.5, 0.25, 0.75, 3, "supported", "a < b")._repr_html_()
    assert "&lt;b&gt;" in page
    assert "0.50 (0.25 to 0.75)" in page
    assert "a &lt; b" in page


def test_numbers_and_lists_as_a_reader_wants_them() -> None:
    assert shown(-0.001, -math.inf, 1.0) == "0.00 (unbounded to 1.00)"
    assert [listed(list(words)) for words in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]


def test_a_missing_column_is_named() -> None:
    table = Measurement("answers", "share", pd.DataFrame({"arm": ["base"]}), {})
    with pytest.raises(ValueError, match="measurement 'answers' has no column tokens; it has arm"):
        rows_of(table, "arm", "tokens")


def test_arms_are_compared_on_the_same_problems_only() -> None:
    rows = pd.DataFrame({"arm": ["a", "a", "b"], "problem": ["p", "q", "p"], "correct": [True, False, True]})
    with pytest.raises(ValueError, match="arm 'b' has an outcome for 1 of 2 problems"):
        outcomes(rows, "arm")
    with pytest.raises(ValueError, match="arm 'a' answers problem 'p' twice; give one row per arm and problem"):
        outcomes(pd.concat([rows, rows]), "arm")


def test_draws_of_one_arm_are_averaged_per_problem() -> None:
    fixed = pd.DataFrame({"arm": "a", "draw": 0, "problem": ["p", "q"], "correct": [True, False]})
    random = pd.DataFrame(
        {"arm": "b", "draw": [0, 0, 1, 1], "problem": list("pqpq"), "correct": [True, True, False, True]}
    )
    table = outcomes(pd.concat([fixed, random]), "arm")
    assert table.to_dict("list") == {"a": [1.0, 0.0], "b": [0.5, 1.0]}
    with pytest.raises(ValueError, match="give one row per arm, problem and draw"):
        outcomes(pd.concat([fixed, random, random]), "arm")


def test_the_claims_load_no_torch() -> None:
    script = (
        "import sys, interp.claims.routing_recovers, interp.claims.upper_layers, interp.claims.features_precede\n"
        "print(sorted({'torch', 'transformers', 'transformer_lens', 'sae_lens'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
