"""Does a longer chain answer better? Lengths and outcomes, kept apart by what made the length."""

import math

import pandas as pd
from scipy.special import lambertw

from interp.measurement import Measurement, provenance
from interp.written import read_written

NATURAL, FORCED, PROMPTED = "natural", "forced", "prompted"
MODES = (NATURAL, FORCED, PROMPTED)


def lengths(written: Measurement, *, mode: str = NATURAL) -> Measurement:
    """`lengths`: per problem, arm and sample the `length` in tokens, `chain_steps` before the answer, and `correct`.

    `mode` says what made the length: "natural" (the model's own choice; compare within a problem only, since hard
    problems are both longer and more often wrong), "forced" (stopping was suppressed) or "prompted" (the prompt asked
    for it); the two last need a column `dose` in the rollouts: how much was asked for. Columns: problem, kind, arm,
    sample, mode, dose (NaN where natural), length, chain_steps, correct.
    """
    if mode not in MODES:
        raise ValueError(f"mode is {mode!r}; a length is {', '.join(MODES)}")
    needed = ("kind", "tokens", "spans", "strict", *(["dose"] if mode != NATURAL else []))
    table = read_written(written, *needed, samples=2 if mode == NATURAL else 1)
    rows = pd.DataFrame(
        {
            "problem": table["problem"],
            "kind": table["kind"],
            "arm": table["arm"],
            "sample": table["sample"],
            "mode": mode,
            "dose": math.nan if mode == NATURAL else table["dose"].astype(float),
            "length": table["tokens"].map(len),
            "chain_steps": [sum(span[2] != "ans" for span in spans) for spans in table["spans"]],
            "correct": table["strict"].astype(bool),
        }
    )
    return Measurement("lengths", "length and outcome per sample", rows, provenance(rollouts=dict(written.made_with)))


def optimal_steps(difficulty: float, capability: float, noise: float) -> float:
    """N* = (T/M) Z / (Z + 1) with Z = W_{-1}(-(1 - s)/e): the maximum of A(N) = [(1 - T/(M N)) (1 - s)]^N.

    T is the difficulty, M the capability, s the noise per step. The form of A(N) is that of arXiv 2502.07266 as we
    remember it (not verified); the optimum follows from it.
    """
    if not 0 < noise < 1 or difficulty <= 0 or capability <= 0:
        raise ValueError(f"noise is {noise}, between 0 and 1; T and M are above 0, got {difficulty} and {capability}")
    z = float(lambertw(-(1 - noise) / math.e, -1).real)
    return difficulty / capability * z / (z + 1)
