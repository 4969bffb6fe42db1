"""Does an arm abstain where it should, and only there? And does its inside still know where it should?"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interp.intervals import wilson
from interp.measurement import Measurement, digest, provenance
from interp.pair import Pair
from interp.written import read_written, rows_by

FOLDS = 5
RIDGE = 1.0
"""Penalty of the probe, in units of the mean variance of an activation."""


def abstention(
    written: Measurement, should: Mapping[str, bool], abstained: Callable[[Mapping[str, Any]], bool]
) -> Measurement:
    """`abstention`: per problem and arm of `n` samples how many abstained, where that was right and where not.

    `should` says for every problem whether it has no answer; `abstained` reads it in a row, without being told which it
    should be. Columns: problem, kind, arm, n, should, abstained, wanted (n where it should, else 0), hits (abstained
    there), plain (n where it should not), alarms (abstained there), right (of plain). ValueError where a problem is not
    in `should`, or all problems are of one side.
    """
    table = read_written(written, "kind", "strict")
    if lost := sorted(set(table["problem"]) - should.keys()):
        raise ValueError(f"nobody says whether problem {lost[0]!r} has an answer; give `should` for every problem")
    sides = {should[problem] for problem in table["problem"]}
    if len(sides) < 2:
        side = "unanswerable" if sides == {True} else "answerable"
        raise ValueError(f"all problems are {side}; abstention needs both sides, or always abstaining looks perfect")
    rows = []
    for (problem, arm), of in rows_by(table, "problem", "arm").items():
        said, n, no_answer = sum(abstained(row) for row in of), len(of), bool(should[problem])
        rows.append(
            {
                "problem": problem,
                "kind": of[0]["kind"],
                "arm": arm,
                "n": n,
                "should": no_answer,
                "abstained": said,
                "wanted": n * no_answer,
                "hits": said * no_answer,
                "plain": n * (not no_answer),
                "alarms": said * (not no_answer),
                "right": sum(bool(row["strict"]) for row in of) * (not no_answer),
            }
        )
    made_with = provenance(rollouts=dict(written.made_with))
    return Measurement("abstention", "samples that abstain", pd.DataFrame(rows), made_with)


def answerability(
    pair: Pair, prompts: Sequence[str], should: Sequence[bool], *, batch_size: int = 256, seed: int = 0
) -> Measurement:
    """`answerability`: AUROC of a linear probe for "has no answer" at each prompt's last token, by model and layer.

    Ridge regression on resid_post, fitted on four fifths of the prompts and read on the rest, five times over, so that
    no prompt is read by a probe that saw it. `null` is the same with shuffled labels. Columns: model, layer, auroc,
    low, high (Hanley and McNeil 1982), null, n.
    """
    labels = np.asarray(should, dtype=bool)
    if len(prompts) != len(labels) or min(labels.sum(), (~labels).sum()) < 2 * FOLDS:
        raise ValueError(f"a probe needs {2 * FOLDS} prompts of either side, got {labels.sum()} and {(~labels).sum()}")
    rng = np.random.default_rng(seed)
    fold, mixed = rng.permutation(len(labels)) % FOLDS, rng.permutation(labels)
    rows = []
    for name in pair.models:
        for layer, states in enumerate(_last_states(pair, name, prompts, batch_size)):
            found = auroc(_probed(states, labels, fold), labels)
            low, high = _ends(found, labels)
            null = auroc(_probed(states, mixed, fold), mixed)
            rows.append({"model": name, "layer": layer, "auroc": found, "low": low, "high": high, "null": null})
    table = pd.DataFrame(rows).assign(n=len(labels))
    made_with = pair.made_with(prompts=digest(list(prompts)), seed=seed)
    return Measurement("answerability", "AUROC of a linear probe", table, made_with)


def auroc(scores: Float[np.ndarray, " row"], labels: Bool[np.ndarray, " row"]) -> float:
    """The chance that a positive scores above a negative, ties counting half."""
    ranks = pd.Series(scores).rank().to_numpy()
    n, m = int(labels.sum()), int((~labels).sum())
    return float((ranks[labels].sum() - n * (n + 1) / 2) / (n * m))


def _last_states(pair: Pair, name: str, prompts: Sequence[str], batch_size: int) -> Float[np.ndarray, "layer row d"]:
    """resid_post of every layer at each prompt's last token."""
    hooks = [f"blocks.{layer}.hook_out" for layer in range(pair.n_layers)]
    ids = [pair.encode(prompt) for prompt in prompts]
    states = np.zeros((pair.n_layers, len(ids), pair.d_model))
    for length in sorted(set(map(len, ids))):  # equal lengths together, so that nothing is padded
        same = [i for i, one in enumerate(ids) if len(one) == length]
        for start in range(0, len(same), batch_size):
            rows = same[start : start + batch_size]
            with torch.inference_mode():
                _, cache = pair.models[name].run_with_cache(
                    torch.tensor([ids[i] for i in rows], device=pair.device), names_filter=hooks
                )
            for layer, hook in enumerate(hooks):
                states[layer, rows] = _last(cache[hook])
    return states


def _last(activation: Tensor) -> Float[np.ndarray, "row d"]:
    return activation[:, -1].float().cpu().numpy()


def _probed(states: Float[np.ndarray, "row d"], labels: np.ndarray, fold: np.ndarray) -> Float[np.ndarray, " row"]:
    """Each row's score by the probe that was fitted without its fold."""
    scores = np.zeros(len(labels))
    for held in range(FOLDS):
        train = fold != held
        x, y = states[train], labels[train].astype(float)
        mean = x.mean(0)
        centred = x - mean
        penalty = RIDGE * np.trace(centred.T @ centred) / centred.shape[1]
        gram = centred.T @ centred + penalty * np.eye(centred.shape[1])
        scores[~train] = (states[~train] - mean) @ np.linalg.solve(gram, centred.T @ (y - y.mean())) + y.mean()
    return scores


def _ends(found: float, labels: np.ndarray) -> tuple[float, float]:
    """Hanley and McNeil's interval of an AUROC; where it is 0 or 1, Wilson's of the smaller side."""
    n, m = int(labels.sum()), int((~labels).sum())
    if found in (0.0, 1.0):
        return wilson(round(found * min(n, m)), min(n, m))
    q1, q2 = found / (2 - found), 2 * found**2 / (1 + found)
    variance = (found * (1 - found) + (n - 1) * (q1 - found**2) + (m - 1) * (q2 - found**2)) / (n * m)
    return found - 1.96 * variance**0.5, found + 1.96 * variance**0.5
