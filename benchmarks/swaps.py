"""Swapping every band of blocks: how many times faster than one by one? Run: python benchmarks/swaps.py

Makes a pair of about 500 MB in a temporary directory, measures everything in one run, and writes the ratios into
benchmarks/README.md.
"""

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1")

import torch
from page import Target, write_block, write_targets
from random_pair import written
from torch import Tensor
from transformers import Qwen2Config

from interp.layers.batches import Batch, batches
from interp.layers.stages import Hybrid, hybrid, logits, stages
from interp.layers.swapping import swapped
from interp.layers.sweep import one_by_one, side_by_side, sweep
from interp.pair import Pair, load_pair

N_LAYERS = 12
CONFIG = Qwen2Config(
    vocab_size=4096,
    hidden_size=640,
    intermediate_size=1792,
    num_hidden_layers=N_LAYERS,
    num_attention_heads=10,
    num_key_value_heads=2,
    max_position_embeddings=256,
    tie_word_embeddings=True,
)  # two of about 62 million numbers: 2 x 250 MB in fp32
SIZES = ((1, 16), (1, 64))
TURNS = 2

WORDS = [hybrid(N_LAYERS, range(i, j)) for i in range(N_LAYERS) for j in range(i + 1, N_LAYERS + 1)]


def slow(pair: Pair, batch: Batch) -> Iterator[tuple[Hybrid, Tensor]]:
    """Every band on its own, from the first block to the last."""
    for word in WORDS:
        with swapped(pair, [layer for layer in range(N_LAYERS) if word[1 + layer]]):
            yield word, pair.base(batch.tokens, attention_mask=batch.mask, logits_to_keep=1, use_cache=False)[:, -1]


def ours(pair: Pair, batch: Batch, how: Callable[..., Iterator[tuple[Hybrid, Tensor]]]) -> dict[Hybrid, Tensor]:
    """The last token's logits of every band."""
    bodies = {word[:-2]: word for word in WORDS}
    return {
        bodies[body]: logits(pair, stream[:, -1], final_norm=False, unembedding=False)
        for body, stream in how(stages(pair, batch), bodies)
    }


def compared(pair: Pair, rows: int, length: int) -> tuple[str, float]:
    """One row of the table, and how many times faster `sweep` is; all ways take turns, so that a busy moment falls on
    each.
    """
    generator = torch.Generator().manual_seed(length)
    (batch,) = batches(pair, torch.randint(4, CONFIG.vocab_size, (rows, length), generator=generator).tolist(), rows)
    ways: dict[str, Callable[[], object]] = {
        "forward": lambda: pair.base(batch.tokens, attention_mask=batch.mask, logits_to_keep=1, use_cache=False),
        "slow": lambda: dict(slow(pair, batch)),
        "reuse": lambda: ours(pair, batch, one_by_one),
        "together": lambda: ours(pair, batch, side_by_side),
        "sweep": lambda: ours(pair, batch, sweep),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, dict[Hybrid, Tensor]] = {}
    for turn in range(TURNS + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            result = way()
            if isinstance(result, dict):
                found[name] = result
            if turn:  # the first warms up
                times[name].append(time.perf_counter() - start)
    ratio = {
        name: statistics.median(s / t for s, t in zip(times["slow"], times[name], strict=True))
        for name in ("reuse", "together", "sweep")
    }
    forwards = {name: statistics.median(times[name]) / statistics.median(times["forward"]) for name in ways}
    apart = {name: f"{worst(found['slow'], found[name]):.0e}".replace("0e+00", "0") for name in ("reuse", "together")}
    line = (
        f"| {rows} x {length} | {statistics.median(times['forward']) * 1e3:.0f} ms | {forwards['slow']:.1f} | "
        f"{forwards['reuse']:.1f} | {forwards['together']:.1f} | {ratio['reuse']:.1f} | {ratio['together']:.1f} | "
        f"**{ratio['sweep']:.1f}** | {apart['reuse']} | {apart['together']} |"
    )
    return line, ratio["sweep"]


def worst(expected: dict[Hybrid, Tensor], found: dict[Hybrid, Tensor]) -> float:
    """The largest difference of any logit of any band, relative to the largest logit."""
    largest = max(float(tensor.abs().max()) for tensor in expected.values())
    return max(float((expected[word] - found[word]).abs().max()) for word in WORDS) / largest


@torch.inference_mode()
def main() -> None:
    """Measure, print, write."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        pair = load_pair(
            *(written(Path(folder) / role, CONFIG, seed=seed) for seed, role in enumerate(("base", "tuned")))
        )
        size = sum(p.numel() for model in pair.models.values() for p in model.original_model.parameters()) * 4 / 1e6
        lines = [compared(pair, rows, length) for rows, length in SIZES]
    section = "\n".join(
        [
            "## Swapping every band of blocks (`python benchmarks/swaps.py`)",
            "",
            f"torch {torch.__version__}, {platform.machine()}, one thread; a random pair of {N_LAYERS} blocks, "
            f"{size:.0f} MB together, {len(WORDS)} bands, logits of the last token. Ratios are the median of {TURNS} "
            "turns, in each of which all ways ran one after the other. Slow: each band exchanged and the whole model "
            "run. Reuse: shared prefixes run once (`one_by_one`). Together: also all bands in one batch per block "
            "(`side_by_side`). `sweep` chooses between them by the size of the batch. Times are in forward passes of "
            "one model. Target: at least 3 times faster, to 1e-5.",
            "",
            "| texts x tokens | forward | slow | reuse | together | slow / reuse | slow / together | slow / `sweep` | "
            "error of reuse | of together |",
            "|---|---|---|---|---|---|---|---|---|---|",
            *(line for line, _ in lines),
        ]
    )
    print(section)
    write_block("swaps", "swaps.py", section)
    why = "the blocks compute for so many tokens that loading their matrices once saves nothing; shared prefixes remain"
    sizes = (f"{rows} x {length} tokens" for rows, length in SIZES)
    write_targets(
        "swaps.py",
        [
            Target(f"one by one / `sweep` over all bands, {size}", 3, faster, why, least=True)
            for size, (_, faster) in zip(sizes, lines, strict=True)
        ],
    )


if __name__ == "__main__":
    main()
