"""Where the benchmarks' numbers stand: one block per script in README.md, between two comments that name it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parent / "README.md"
_SPEED = (
    "## Speed: targets and what was reached\n\n"
    "Ratios, each of ways that ran side by side in one run of the script named; its own block says how. Every script "
    "writes its rows here; `python benchmarks/speed.py` runs them all.\n\n"
    "| script | what | target | reached | where missed, why |\n|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Target:
    """What was aimed at; `least` tells whether larger is better. `why` is said where it was missed."""

    what: str
    target: float
    reached: float
    why: str
    least: bool = False

    @property
    def met(self) -> bool:
        """As near as two digits tell."""
        return round(self.reached, 2) >= self.target if self.least else round(self.reached, 2) <= self.target


def write_block(name: str, script: str, section: str) -> None:
    """Put the section where the block of this name stood, or at the end of the page."""
    start, end = f"<!-- {name}: written by benchmarks/{script} -->", f"<!-- {name}: end -->"
    before, found, rest = README.read_text().partition(start)
    after = rest.partition(end)[2] if found else "\n"
    README.write_text(f"{before.rstrip()}\n\n{start}\n{section}\n{end}{after}")


def write_targets(script: str, targets: Sequence[Target]) -> None:
    """Put the script's rows into the table of all targets, in place of those it wrote before."""
    kept = re.findall(r"^\| `[^`]+\.py` \|.*\|$", README.read_text(), re.MULTILINE)
    rows = [row for row in kept if not row.startswith(f"| `{script}` ")]
    for one in targets:
        bound = f"at {'least' if one.least else 'most'} {one.target:g}"
        rows.append(f"| `{script}` | {one.what} | {bound} | **{one.reached:.3g}** | {'' if one.met else one.why} |")
    write_block("speed", "page.py", "\n".join([_SPEED, *sorted(rows)]))
