"""Where did tuning act, by weights, by block outputs and by effect, and is it where it was planted?

Run: python benchmarks/locus.py. Measures every organism of every seed on the shelf and writes the table into
benchmarks/README.md.
"""

import os
import time
from collections.abc import Sequence

os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1")

import torch
from page import write_block

from interp.calibration.expected import expected
from interp.claims.locus import THIRDS, activation_locus, locus, swapped, weight_locus, weight_shares
from interp.claims.upper_layers import upper_layers_carry_behaviour
from interp.claims.upper_third import upper_third_carries_change
from interp.claims.verdict import shown
from interp.layers.activations import activation_change
from interp.layers.swaps import block_swaps
from interp.layers.weights import weight_change
from interp.organisms import shelf
from interp.pair import load_pair
from interp.rollouts import readings, rollouts
from interp.tasks.organism import organism_task

N_PROBLEMS, N_READ, DRAWS = 60, 30, 99

ORGANISMS = ("upper", "lower", "newskill", "null", "noise", "rl", "sft")


def measured(name: str, seed: int) -> tuple[str, list[str]]:
    """One row of the table, and where it is not what was planted."""
    pair, task = load_pair(f"organism:base@{seed}", f"organism:{name}@{seed}"), organism_task(name, n=N_PROBLEMS)
    practice = task.practice[:N_READ]
    written = rollouts(pair, practice, max_new_tokens=task.max_new_tokens, seed=0)
    swaps = block_swaps(pair, task)
    weights = weight_change(pair.base_checkpoint, pair.tuned_checkpoint)
    activations = activation_change(pair, readings(pair, task, written), draws=DRAWS)
    answers, facts, blocks = locus(swaps, "answers"), locus(swaps, "facts"), activation_locus(activations)
    found = {
        "causal locus, answers": answers,
        "causal locus, facts": facts,
        "weight locus": ", ".join(weight_locus(weights)) or "none",
        "activation locus": ", ".join(blocks) or "none",
    }
    wrong = [
        f"{name}@{seed}: {instrument} {found[instrument]}, planted {truth}"
        for instrument in found
        if (truth := expected(instrument, name, {})) is not None and found[instrument] != truth
    ]
    upper = swapped(swaps, "answers").brings["upper third"]
    share = "–" if upper.refused else shown(upper.estimate, upper.low, upper.high)
    shares = " ".join(f"{weight_shares(weights)[third]:.0%}" for third in THIRDS)
    verdicts = upper_third_carries_change(swaps, weights, activations), upper_layers_carry_behaviour(swaps)
    cells = [f"{name}@{seed}", shares, said(blocks), answers, share, facts]
    return f"| {' | '.join([*cells, *(verdict.says for verdict in verdicts)])} |", wrong


def said(places: Sequence[str]) -> str:
    """Thirds in a word each."""
    return "all thirds" if places == THIRDS else ", ".join(place.split()[0] for place in places) or "none"


def main() -> None:
    """Measure, print, write."""
    torch.set_num_threads(1)
    lines, wrong, started = [], [], time.process_time()
    for seed in shelf.seeds():
        for name in (name for name in ORGANISMS if name in shelf.names(seed)):
            line, differs = measured(name, seed)
            print(line, *differs, sep="\n  ", flush=True)
            lines.append(line)
            wrong += differs
    section = "\n".join(
        [
            "## Where tuning acted (`python benchmarks/locus.py`)",
            "",
            f"Every organism on the shelf, {N_PROBLEMS} held-out problems and 64 facts each, {DRAWS} random changes as "
            f"the activations' null; {time.process_time() - started:.0f} s of one core. Weights: each third's share of "
            "the squared change, lower to upper. Blocks: thirds with a block that, on base's own input, changed its "
            "output beyond the null's limit over the whole depth, which one pair in a hundred leaves by chance. "
            "Effect: the third that alone brings the change in answers, or in facts (`claims.locus`); U is the share "
            "of the change in answers that the upper third brings. Verdicts: `upper_third_carries_change` and "
            "`upper_layers_carry_behaviour`.",
            "",
            "| organism | weights | blocks | effect on answers | U(upper third) | effect on facts | upper third | "
            "behaviour above knowledge |",
            "|---|---|---|---|---|---|---|---|",
            *lines,
            "",
            "Where it is not what was planted: " + ("; ".join(wrong) if wrong else "nowhere") + ".",
        ]
    )
    print(section)
    write_block("locus", "locus.py", section)


if __name__ == "__main__":
    main()
