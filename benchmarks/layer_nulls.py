"""How often does a change that taught nothing leave its band of chance? Run: python benchmarks/layer_nulls.py

Null pairs: a base and the same base with Gaussian weight noise, the shipped organisms of which nothing was asked, and
bases stored in bfloat16. Writes the shares of layers outside their bands, with intervals, into benchmarks/README.md.
"""

import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice

os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1")

import torch
from page import write_block

from interp.intervals import wilson
from interp.layers.activations import activation_change
from interp.layers.nulls import Change, gaussian_change, rounded
from interp.organisms import shelf
from interp.organisms.corpus import three_strategies
from interp.pair import Pair, load_pair
from interp.tasks.task import Label, Reading

NOISE_PAIRS, SIZE = 40, 0.01
DRAWS = 19
DOCUMENTS = 12  # about 240 tokens: the band is about weights, and is no narrower with more text
Outside = tuple[list[bool], list[bool]]  # of the blocks' and of the accumulated profile


def texts(pair: Pair, seed: int) -> list[Reading]:
    """Documents of the organisms' world, other ones for each seed."""
    found = []
    for prompt, response in islice(three_strategies(seed), DOCUMENTS):
        tokens = tuple(pair.encode(" ".join([*prompt, *response])))
        found.append(Reading(str(len(found)), tokens, (Label("none", "text"),) * len(tokens)))
    return found


def outside(pair: Pair, seed: int, draws: int = DRAWS) -> Outside:
    """Per layer, whether block and accumulated difference are above what one more draw stays under 19 times in 20."""
    table = activation_change(pair, texts(pair, seed), draws=draws, seed=seed).table
    changed = table[table["null_block_sd"] > 0]
    return (
        (changed["block_diff"] > changed["null_block_high"]).tolist(),
        (changed["cumulative_diff"] > changed["null_cumulative_high"]).tolist(),
    )


def noise(base: str, seeds: Sequence[int]) -> Iterator[Outside]:
    """Pairs of a base and itself with noise of 1% of every matrix's norm."""
    pair = load_pair(base, base)
    state = {t.data_ptr(): t for t in pair.tuned.state_dict().values() if t.dim() > 1}
    changes = [Change(tensor, SIZE * tensor.norm().item()) for tensor in state.values()]
    for seed in seeds:
        with gaussian_change(changes, seed=10_000 + seed):
            yield outside(pair, seed)


def storage(base: str, dtype: torch.dtype) -> Outside:
    """A base and what storing it in `dtype` leaves of it."""
    pair = load_pair(base, base)
    with ExitStack() as inside:
        inside.enter_context(torch.inference_mode())
        inside.enter_context(rounded(pair.tuned, dtype))
        return outside(pair, 0)


def shares(found: Sequence[Outside]) -> list[str]:
    """Number outside, of how many layers, and the share with its interval; for both profiles."""
    cells = []
    for profile in range(2):
        layers = [layer for pair in found for layer in pair[profile]]
        low, high = wilson(sum(layers), len(layers))
        cells.append(f"{sum(layers)} of {len(layers)}: {sum(layers) / len(layers):.1%} [{low:.1%}, {high:.1%}]")
    return cells


def clustered(found: Sequence[Outside], profile: int, resamples: int = 2000) -> tuple[float, float]:
    """The 95% interval of the share outside when whole pairs are drawn again: layers of one pair hang together."""
    chance = random.Random(0)
    drawn = []
    for _ in range(resamples):
        layers = [layer for pair in chance.choices(found, k=len(found)) for layer in pair[profile]]
        drawn.append(sum(layers) / len(layers))
    drawn.sort()
    return drawn[int(0.025 * resamples)], drawn[int(0.975 * resamples)]


def main() -> None:
    """Measure, print, write."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    seeds = [seed for seed in shelf.seeds() if "base" in shelf.names(seed)]
    bases = [f"organism:base@{seed}" for seed in seeds]
    of_noise = [pair for i, base in enumerate(bases) for pair in noise(base, range(i, NOISE_PAIRS, len(bases)))]
    kinds = {f"noise of {SIZE:.0%}, {len(of_noise)} pairs": of_noise}
    for name in ("noise", "null"):
        places = [seed for seed in seeds if name in shelf.names(seed)]
        pairs = [load_pair(f"organism:base@{seed}", f"organism:{name}@{seed}") for seed in places]
        kinds[f"organism `{name}`, seeds {', '.join(map(str, places))}"] = [outside(pair, 0) for pair in pairs]
    kinds[f"stored in bfloat16, {len(bases)} bases"] = [storage(base, torch.bfloat16) for base in bases]
    ends = " and ".join("{:.1%} to {:.1%}".format(*clustered(of_noise, profile)) for profile in range(2))
    section = "\n".join(
        [
            "## Layers outside their band where nothing was taught (`python benchmarks/layer_nulls.py`)",
            "",
            f"Layers above the limit that one more of the {DRAWS} random changes would stay under 19 times in 20; 5% "
            "is what the limit promises. In brackets Wilson intervals, which take layers as independent; drawing whole "
            f"pairs again gives {ends} for the noise. About {DOCUMENTS * 20} tokens per pair, other texts and other "
            "noise each time.",
            "",
            "| nothing taught | each block on base's input | accumulated |",
            "|---|---|---|",
            *(f"| {kind} | {' | '.join(shares(found))} |" for kind, found in kinds.items()),
            "",
            "The band is that of Gaussian noise; where only the format differs, it is what rounding does to every "
            "weight, which is the whole difference. `null` is base trained further on its own data: nothing new, but a "
            "change made by gradients, which moves activations more than noise of its size, and the band says so. "
            "Only another tuning of the same base tells what such a change does by itself (`activation_nulls`).",
        ]
    )
    print(section)
    print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
    write_block("layer-nulls", "layer_nulls.py", section)


if __name__ == "__main__":
    main()
