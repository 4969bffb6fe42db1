import re

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from interp.behaviour.abstention import abstention, answerability, auroc
from interp.claims.abstention_falls import abstention_falls
from interp.organisms.world import KINDS
from interp.tasks.organism import organism_task

SHOULD = {f"p{i}": i % 2 == 0 for i in range(400)}


def abstainer(d, c):
    """Hears the truth with d' = d and abstains above a criterion c from the middle."""

    def write(problem, rng):
        heard = rng.gauss(d / 2 if SHOULD[f"p{problem}"] else -d / 2, 1)
        return {"text": "idk" if heard > c else "ans", "strict": True}

    return write


def measured(scripted, base, tuned):
    arms = {"base": abstainer(*base), "tuned": abstainer(*tuned)}
    written = scripted.rollouts(arms, problems=400, samples=8)
    return abstention(written, SHOULD, lambda row: row["text"] == "idk")


def test_a_shift_of_the_criterion_is_told_from_lost_discrimination(scripted):
    shift = abstention_falls(measured(scripted, (2, 0), (2, 1)))
    expected = norm.cdf(0) - norm.cdf(1)
    assert shift.says == "supported" and shift.estimate == pytest.approx(expected, abs=0.03)
    assert "The fall is a shift of the criterion" in shift.because
    assert re.search(r"Precision went from 0\.8\d to 0\.9\d;", shift.because)
    lost = abstention_falls(measured(scripted, (2, 0), (0.5, 0)))
    assert lost.says == "supported" and "The fall is lost discrimination" in lost.because


def test_no_fall_is_none(scripted):
    same = abstention_falls(measured(scripted, (2, 0), (2, 0)))
    assert (same.says, same.estimate) == ("contradicted", 0)
    assert abstention_falls(measured(scripted, (1, 0.5), (2, 0))).says == "contradicted"
    never = abstention_falls(measured(scripted, (2, 0), (2, 99)))
    assert never.says == "supported" and "an arm never abstains" in never.because


def test_one_side_alone_is_refused(scripted):
    written = scripted.rollouts({"base": abstainer(1, 0)}, problems=4)
    with pytest.raises(ValueError, match="all problems are unanswerable; abstention needs both sides"):
        abstention(written, dict.fromkeys(SHOULD, True), lambda row: True)
    with pytest.raises(ValueError, match="nobody says whether problem 'p3' has an answer"):
        abstention(written, {"p0": True, "p1": False, "p2": True}, lambda row: True)


def test_auroc_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    labels, scores = rng.random(50) < 0.4, rng.integers(0, 9, 50).astype(float)
    assert auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))


def test_the_probe_reads_what_is_there_and_nothing_else(organism_pair):
    problems = organism_task("rl", n=90, practice=3).problems
    assert {problem.kind for problem in problems} == set(KINDS)
    prompts = [problem.prompt for problem in problems]
    pair = organism_pair("rl")
    there = answerability(pair, prompts, [problem.kind == "inv" for problem in problems]).table
    assert set(there["model"]) == {"base", "tuned"} and there.groupby("model")["layer"].max().eq(5).all()
    assert there.groupby("model")["auroc"].max().gt(0.95).all()
    absent = answerability(pair, prompts, (np.random.default_rng(1).random(90) < 0.5).tolist()).table
    assert absent["auroc"].between(0.25, 0.75).all()
    assert there["null"].between(0.2, 0.8).all()
    with pytest.raises(ValueError, match="a probe needs 10 prompts of either side, got 1 and 2"):
        answerability(pair, prompts[:3], [True, False, False])
