"""Do two tunings of one base move the same parameters most? From the weights alone; no model is built."""

from collections.abc import Mapping
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pandas as pd

from interp.checkpoint import Checkpoint
from interp.measurement import Measurement, provenance

SHARES = (0.01, 0.05)
"""Shares of the parameters that make a core; the paper's is 1%."""
LARGEST = 2**28
"""Parameters up to which all changes are held in memory at once (1 GiB a tuning in float32)."""


def core_overlap(
    base: Checkpoint, tunings: Mapping[str, Checkpoint], *, shares: tuple[float, ...] = SHARES, seed: int = 0
) -> Measurement:
    """`core_overlap`: the Jaccard index of two tunings' cores, C = the top share p of |theta_t - theta_0|.

    J = |C_s and C_t| / |C_s or C_t|. Nulls: `expected`, that of random masks, p / (2 - p); and `shuffled`, cores of the
    same size in every tensor but at random places of it, which keeps what a tensor's size of change alone makes
    overlap. Rows for every pair of tunings, share and tensor ("all" for the whole model): columns one, other, share,
    tensor, jaccard, expected, shuffled, n (parameters), core (of one). Entries that did not move are in no core, so a
    core may be smaller than its share. arXiv 2508.21741. ValueError where a tuning has other tensors than base.
    """
    if len(tunings) < 2:
        raise ValueError(f"an overlap needs at least two tunings of one base, got {len(tunings)}")
    names = base.names()
    size = sum(int(np.prod(base.shape(name))) for name in names)
    if size > LARGEST:
        raise ValueError(f"the model has {size:,} parameters, more than the {LARGEST:,} that are held at once")
    moved = {label: _moved(base, tuned, label, names) for label, tuned in tunings.items()}
    ends = np.cumsum([0, *(int(np.prod(base.shape(name))) for name in names)])
    rng, rows = np.random.default_rng(seed), list[dict[str, Any]]()
    for share in shares:
        cores = {label: _core(change, share) for label, change in moved.items()}
        places = {label: _elsewhere(core, ends, rng) for label, core in cores.items()}
        for one, other in combinations(tunings, 2):
            spans = {"all": slice(None)} | {
                name: slice(start, end) for name, start, end in zip(names, ends[:-1], ends[1:], strict=True)
            }
            for tensor, span in spans.items():
                rows.append(
                    {
                        "one": one,
                        "other": other,
                        "share": share,
                        "tensor": tensor,
                        "jaccard": _jaccard(cores[one][span], cores[other][span]),
                        "expected": share / (2 - share),
                        "shuffled": _jaccard(places[one][span], places[other][span]),
                        "n": len(cores[one][span]),
                        "core": int(cores[one][span].sum()),
                    }
                )
    of = {label: tuned.digest for label, tuned in tunings.items()}
    made_with = provenance(base=base.digest, tunings=of, seed=seed)
    return Measurement("core_overlap", "Jaccard index of the parameters that moved most", pd.DataFrame(rows), made_with)


def _moved(base: Checkpoint, tuned: Checkpoint, label: str, names: list[str]) -> np.ndarray:
    """|theta_t - theta_0| of all parameters, in base's order of tensors."""
    if sorted(names) != sorted(tuned.names()) or any(base.shape(name) != tuned.shape(name) for name in names):
        raise ValueError(f"tuning {label!r} does not have base's tensors; cores are compared entry by entry")
    return np.concatenate([(tuned.read(name).float() - base.read(name).float()).abs().flatten() for name in names])


def _core(change: np.ndarray, share: float) -> np.ndarray:
    """Whether each parameter is among the top share, and moved at all."""
    if not 0 < share < 1:
        raise ValueError(f"a core is a share of the parameters between 0 and 1, got {share}")
    k = max(1, round(share * len(change)))
    core = np.zeros(len(change), dtype=bool)
    core[np.argpartition(change, -k)[-k:]] = True
    return core & (change > 0)


def _elsewhere(core: np.ndarray, ends: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many parameters of every tensor, at random places of it."""
    return np.concatenate([rng.permutation(core[a:b]) for a, b in pairwise(ends)])


def _jaccard(one: np.ndarray, other: np.ndarray) -> float:
    either = int((one | other).sum())
    return float((one & other).sum() / either) if either else float("nan")
