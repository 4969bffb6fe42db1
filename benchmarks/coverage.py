"""Do 95% intervals of a recovered share cover the truth 95% of the time? Run: python benchmarks/coverage.py

Draws data sets whose gap and recovered share are known, asks `gap_recovered` of each, and writes how often the truth
lay inside, and how often a share was refused, into benchmarks/README.md. About ten minutes on one core; finished cells
are kept in build/coverage (or the folder given) for as long as interp/intervals.py stays as it is.
"""

import hashlib
import itertools
import json
import math
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

os.environ.update(OMP_NUM_THREADS="1")

import numpy as np
from page import write_block
from scipy import stats

from interp import intervals
from interp.intervals import gap_recovered

SETS, RESAMPLES = 2000, 2000
LEAST, MOST = 0.93, 0.97
"""What a 95% interval may cover."""


class Half(NamedTuple):
    """Cells of one world: base solves `base`, tuned loses `lost` of all problems to it and gains that and the gap.

    `noise` is the share of all problems, in each direction, on which the hybrid differs from both where they agree.
    """

    name: str
    base: float
    lost: float
    noise: float
    gaps: tuple[float, ...]
    sizes: tuple[int, ...]
    shares: tuple[float, ...]


SIZES = (100, 200, 500, 1000, 2000)
DEVELOPMENT = Half("development", 0.15, 0.02, 0.01, (0.05, 0.1, 0.2, 0.4, 0.8), SIZES, (0.0, 0.5, 0.9))
CONFIRMATION = Half("confirmation", 0.25, 0.04, 0.02, (0.07, 0.15, 0.3, 0.6), (100, 150, 400, 1500), (0.25, 0.75, 1.1))
"""Another base rate, other losses, noise, gaps, sizes and shares: no choice was made on it. A quarter of the sets."""

Cell = dict[str, float]


def arms(
    n: int, gap: float, share: float, seed: int, half: Half = DEVELOPMENT
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """hybrid, base and tuned of one data set whose true gap is `gap` and whose true recovered share is `share`.

    Where base and tuned differ the hybrid does as tuned with probability `share`, else as base; a share above 1 is one
    of problems that neither solves. Every cell draws from seeds of its own, so that cells do not stray together.
    """
    place, copies = np.random.default_rng((seed, n, round(1000 * gap), round(1000 * share))).random((2, n))
    base = place < half.base
    tuned = (place >= half.lost) & (place < half.base + half.lost + gap)
    hybrid = np.where(copies < share, tuned, base)
    hybrid[(place >= half.lost) & (place < half.lost + half.noise)] = False  # both right
    hybrid[place >= 1 - half.noise - max(0.0, share - 1) * gap] = True  # both wrong
    return hybrid, base, tuned


def cell(n: int, gap: float, share: float, half: Half, sets: int) -> Cell:
    """Of `sets` data sets: how often the gap's interval and the share's cover, and how often a share is refused."""
    found = [gap_recovered(*arms(n, gap, share, seed, half), n_resamples=RESAMPLES, seed=seed) for seed in range(sets)]
    told = [one for one in found if not one.refused]
    inside = sum(one.low <= share <= one.high for one in told)
    return {
        "gap": sum(one.gap_low <= gap <= one.gap_high for one in found) / sets,
        "told": inside / len(told) if told else math.nan,
        "never wrong": (sets - len(told) + inside) / sets,
        "refused": 1 - len(told) / sets,
    }


def measured(half: Half, sets: int, folder: Path) -> dict[tuple[float, int, float], Cell]:
    """Every cell by gap, problems and share; kept ones are read."""
    code = hashlib.sha256(Path(intervals.__file__).read_bytes()).hexdigest()[:12]
    file = folder / f"{half.name}-{sets}-{code}.json"
    kept: dict[str, Cell] = json.loads(file.read_text()) if file.exists() else {}
    cells = {}
    for gap, n, share in itertools.product(half.gaps, half.sizes, half.shares):
        key = f"{gap} {n} {share}"
        if key not in kept:
            kept[key] = cell(n, gap, share, half, sets)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(kept))
        cells[gap, n, share] = kept[key]
    return cells


def refused_without_gap(n: int, sets: int) -> float:
    """How often a share is refused where base and tuned are equally good and differ on a tenth of the problems."""
    found = []
    for seed in range(sets):
        place, coin = np.random.default_rng((seed, n)).random((2, n))
        base, tuned = place < 0.4, np.where((place > 0.35) & (place < 0.45), coin < 0.5, place < 0.4)
        found.append(gap_recovered(tuned, base, tuned, n_resamples=RESAMPLES, seed=seed).refused)
    return float(np.mean(found))


def sign_test_covers(expected: float, least: float, *, included: bool) -> float:
    """How often tables whose sign test has a p above `least` (or of it, if `included`) come up where nothing differs.

    `expected` problems are won and as many lost by chance (Poisson). An interval that depends on these two counts and
    holds 0 wherever they are less one-sided than somewhere else where it holds 0 is such a set of tables.
    """
    counts = np.arange(40)
    p = np.array([[stats.binomtest(a, a + b).pvalue if a + b else 1.0 for b in counts] for a in counts])
    chance = stats.poisson.pmf(counts, expected)
    return float(chance @ (p > least - 1e-9 if included else p > least + 1e-9) @ chance)


def few_outcomes() -> str:
    """Why a hybrid that is base cannot have an interval that covers 93 to 97% at 100 and at 200 problems."""
    p = stats.binomtest(3, 3).pvalue
    without, with_it = (
        [f"{sign_test_covers(DEVELOPMENT.noise * n, p, included=held):.1%}" for n in (100, 200)]
        for held in (True, False)
    )
    return (
        "Share 0, 100 problems: hybrid and base differ by chance alone, on "
        f"{DEVELOPMENT.noise * 100:g} problem each way to be expected, and what an interval says of 0 hangs on whether "
        f"three won and none lost count as a difference (p = {p:g} in a sign test). If not, it covers at least "
        f"{without[0]} there (at 200 problems {without[1]}); if they do, at most {with_it[0]}, and {with_it[1]} at 200 "
        f"problems, which is too few. So no interval is within {LEAST:.0%} to {MOST:.0%} at both."
    )


def outside(half: Half, cells: dict[tuple[float, int, float], Cell]) -> str:
    """Which cells of a half do not cover 93 to 97%, in words."""
    far = {at: found for at, found in cells.items() if not LEAST <= round(found["told"], 3) <= MOST}

    def named(where: dict[tuple[float, int, float], Cell]) -> str:
        told = [
            f"{found['told']:.1%} (gap {gap:g}, {n:,} problems, share {share:g}; {found['refused']:.0%} refused)"
            for (gap, n, share), found in where.items()
        ]
        return f"{len(told)}: {', '.join(told) or 'none'}"

    few = named({at: found for at, found in far.items() if found["told"] < LEAST})
    many = named({at: found for at, found in far.items() if found["told"] > MOST})
    return (
        f"The {half.name} half, outside {LEAST:.0%} to {MOST:.0%} where a share is told: {len(far)} of {len(cells)} "
        f"cells. Too narrow, {few}. Too wide, {many}."
    )


def table(half: Half, cells: dict[tuple[float, int, float], Cell]) -> list[str]:
    """A row per gap and number of problems, the shares side by side."""
    rows = [
        "| gap | problems | gap covered | share covered if told | share covered or refused | refused |",
        "|---" * 6 + "|",
    ]
    for gap, n in itertools.product(half.gaps, half.sizes):
        found = [cells[gap, n, share] for share in half.shares]
        told, never = (" / ".join(f"{cell[what]:.1%}" for cell in found) for what in ("told", "never wrong"))
        gaps, refused = (np.mean([cell[what] for cell in found]) for what in ("gap", "refused"))
        rows.append(f"| {gap:g} | {n:,} | {gaps:.1%} | {told} | {never} | {refused:.1%} |")
    return rows


def described(half: Half, sets: int) -> str:
    """The world of a half in a sentence, and a cell's standard error."""
    shares = ", ".join(f"{share:g}" for share in half.shares)
    return (
        f"The {half.name} half: {sets:,} data sets a cell, standard error {math.sqrt(0.95 * 0.05 / sets):.1%}. Base "
        f"solves {half.base:.0%}, {half.lost:.0%} of the problems are lost by tuned, the hybrid differs from both on "
        f"{half.noise:.0%} each way. Numbers side by side are of a true share of {shares}."
    )


def main() -> None:
    """Simulate, print, write."""
    folder, begun = Path(sys.argv[1] if len(sys.argv) > 1 else "build/coverage"), time.process_time()
    parts = []
    for half, sets in ((DEVELOPMENT, SETS), (CONFIRMATION, SETS // 4)):
        cells = measured(half, sets, folder)
        parts += [described(half, sets), "", *table(half, cells), "", outside(half, cells), ""]
    none = ", ".join(f"{refused_without_gap(n, SETS // 4):.1%} (n = {n:,})" for n in SIZES)
    section = "\n".join(
        [
            "## Coverage of the recovered share (`python benchmarks/coverage.py`)",
            "",
            f"{RESAMPLES:,} resamples a data set; every cell draws from seeds of its own.",
            "Covered if told: of the data sets in which a share was not refused. Where many are refused, those left "
            "are the ones whose gap came out too large, and nothing promises 95% of them; counting a refusal as no "
            "false statement, the next column is what a reader can rely on.",
            "",
            *parts,
            few_outcomes(),
            "",
            f"No gap at all: refused in {none}; it should be 95%.",
        ]
    )
    print(section)
    print(f"{time.process_time() - begun:.0f} s of CPU", file=sys.stderr)
    write_block("coverage", "coverage.py", section)


if __name__ == "__main__":
    main()
