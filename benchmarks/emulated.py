"""Does what tuning did to one pair, put on a base of another seed, bring the skill there?

    python benchmarks/emulated.py      # about a minute on one core; writes its block of README.md

Emulated fine-tuning, base + (small tuned - small base), over four shipped checkpoints of one tokenizer. The small pair
is of another seed, not of another size; the control is a small pair that was tuned towards nothing.
"""

import os
import time

os.environ.update(OMP_NUM_THREADS="1")

import numpy as np
from page import write_block

from interp.intervals import gap_recovered
from interp.pair import Pair, load_pair
from interp.routing.elicited import emulated_arm
from interp.routing.hybrid import Hybrid
from interp.routing.prompted import write_alone
from interp.tasks.organism import organism_task
from interp.tasks.task import Task

ORGANISMS, SMALL_SEEDS, PROBLEMS = ("rl", "newskill"), (1, 2), 300


def solved(pair: Pair, task: Task, texts: list[Hybrid]) -> np.ndarray:
    """Which problems were answered right by the strict rule."""
    pairs = zip(task.problems, texts, strict=True)
    return np.array([task.grade(problem, pair.text(text.completion.tokens)).strict for problem, text in pairs])


def rows(name: str) -> list[str]:
    """A row per small pair: what base, tuned and the sum solve, and the share of the gap."""
    pair, task = load_pair("organism:base", f"organism:{name}"), organism_task(name, n=PROBLEMS)
    exchanged = load_pair(f"organism:{name}", "organism:base")  # `write_alone` lets base write
    prompts = [pair.encode(problem.prompt) for problem in task.problems]
    base, tuned = (
        solved(one, task, write_alone(one, prompts, max_new_tokens=task.max_new_tokens)) for one in (pair, exchanged)
    )
    lines = []
    for small_name in (name, "null"):
        for seed in SMALL_SEEDS:
            small = load_pair(f"organism:base@{seed}", f"organism:{small_name}@{seed}")
            texts = list(emulated_arm(pair, task, small).texts())
            ours = solved(pair, task, texts)
            found = gap_recovered(ours, base, tuned)
            changed = sum(text.changed for text in texts) / sum(text.written for text in texts)
            lines.append(
                f"| {name}@0 | {small_name}@{seed} | {base.mean():.1%} | {tuned.mean():.1%} | {ours.mean():.1%} | "
                f"{found.estimate:.2f} ({found.low:.2f} to {found.high:.2f}) | {changed:.1%} |"
            )
            print(lines[-1], flush=True)
    return lines


def main() -> None:
    """All organisms, printed and written."""
    begun = time.process_time()
    lines = [line for name in ORGANISMS for line in rows(name)]
    section = "\n".join(
        [
            "## Emulated fine-tuning (`python benchmarks/emulated.py`)",
            "",
            f"Base + (small tuned - small base), greedy, {PROBLEMS} problems, 95% intervals, "
            f"{time.process_time() - begun:.0f} s of CPU. Four checkpoints of one tokenizer; the small pair is of "
            "another base seed and of the same size. `null` was tuned towards nothing: the control. The same arm for "
            "any pair: `interp routing BASE TUNED --small BASE TUNED`.",
            "",
            "| pair | small pair | base solves | tuned | the sum | gap recovered | tokens that are not base's |",
            "|---|---|---|---|---|---|---|",
            *lines,
        ]
    )
    write_block("emulated", "emulated.py", section)


if __name__ == "__main__":
    main()
