"""Comparing activations: how many times longer than running the two models? Run: python benchmarks/activations.py

Makes a pair of about 500 MB in a temporary directory, measures everything in one run beside its floor, and writes the
ratios into benchmarks/README.md.
"""

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1")

import torch
from page import Target, write_block, write_targets
from random_pair import written
from transformers import AutoModelForCausalLM, Qwen2Config
from transformers.utils import logging as model_logging

from interp.distances import js, kl
from interp.layers.batches import Batch, batches
from interp.layers.frozen import reference, squared_distances
from interp.layers.lens import TOKENS_AT_ONCE, logit_lens, read, streams
from interp.layers.logit_pairs import compare
from interp.layers.similarity import stream_similarity
from interp.pair import Pair, load_pair
from interp.tasks.task import Label, Reading

CONFIG = Qwen2Config(
    hidden_size=640,
    intermediate_size=1728,
    num_hidden_layers=12,
    num_attention_heads=10,
    num_key_value_heads=2,
    vocab_size=24_576,
    tie_word_embeddings=True,
)  # two of 65 million numbers: 2 x 260 MB in fp32
TEXTS, LENGTH = 4, 128
REPEATS = 5
DIFFERENCE, COMPARED = "difference of the residual streams", "KL, JS and agreement by one head"


def taken(function: Callable[[], object]) -> float:
    """Seconds that this thread computed in one run, however busy the machine is."""
    start = time.thread_time()
    function()
    return time.thread_time() - start


def table(ways: Mapping[str, Callable[[], object]]) -> tuple[list[str], dict[str, float]]:
    """A row per way, and each way's ratio: median seconds, median ratio to the first way, highest memory."""
    peaks = {name: peak(way) for name, way in ways.items()}
    times = interleaved(ways)
    floor = times[next(iter(ways))]
    ratios = {
        name: statistics.median(a / b for a, b in zip(seconds, floor, strict=True)) for name, seconds in times.items()
    }
    lines = [
        f"| {name} | {statistics.median(seconds):.2f} s | **{ratios[name]:.2f}** | {peaks[name]:.0f} MB |"
        for name, seconds in times.items()
    ]
    return lines, ratios


def interleaved(ways: Mapping[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Seconds of every way in every turn; in a turn all ways run one after the other. The first turn is dropped."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(REPEATS + 1):
        for name, way in ways.items():
            seconds = taken(way)
            if turn:
                times[name].append(seconds)
    return times


def peak(function: Callable[[], object]) -> float:
    """Megabytes of memory that a run needs at its highest beyond what was held before (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")
    before = _memory("VmRSS")
    function()
    return (_memory("VmHWM") - before) / 1e3


def _memory(field: str) -> int:
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(field))
    return int(line.split()[1])


def bodies(models: list[torch.nn.Module], batch: Batch) -> None:
    """The floor: both models in plain transformers, without their heads."""
    for model in models:
        model(batch.tokens, use_cache=False)


def difference(pair: Pair, batch: Batch) -> None:
    """What `cumulative_diff` needs."""
    counted = batch.counted[..., None].double()
    squared_distances(pair.tuned, reference(pair.base, batch, inside=False), batch, counted, ("stream",))


def cached(pair: Pair, batch: Batch) -> None:
    """The obvious way: TransformerLens' cache of both models, then the differences."""
    caches = [model.run_with_cache(batch.tokens)[1] for model in (pair.base, pair.tuned)]
    for layer in range(pair.n_layers):
        a, b = (cache[f"blocks.{layer}.hook_out"] for cache in caches)
        (a - b).double().square().sum()


def products(pair: Pair, base: list[torch.Tensor], tuned: list[torch.Tensor], heads: int) -> None:
    """The floor of the lens: the matrix products of `heads` heads with both streams, 128 tokens at a time."""
    for x, y in zip(base, tuned, strict=True):
        for start in range(0, len(x), TOKENS_AT_ONCE):
            for model in (pair.base, pair.tuned)[:heads]:
                weight = model.unembed.original_component.weight.T
                for stream in (x, y):
                    stream[start : start + TOKENS_AT_ONCE] @ weight


def one_head(
    pair: Pair, base: list[torch.Tensor], tuned: list[torch.Tensor], how: Callable[[torch.Tensor, torch.Tensor], object]
) -> None:
    """Both streams of every layer through base's head, compared."""
    for x, y in zip(base, tuned, strict=True):
        for start in range(0, len(x), TOKENS_AT_ONCE):
            part = slice(start, start + TOKENS_AT_ONCE)
            how(read(pair, x[part]), read(pair, y[part]))


def in_fp64(p: torch.Tensor, q: torch.Tensor) -> list[torch.Tensor]:
    """What `interp.distances` would do with whole pieces."""
    return [kl(p, q), js(p, q), p.argmax(-1) == q.argmax(-1)]


def main() -> None:
    """Measure, print, write."""
    torch.set_num_threads(1)
    model_logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        paths = [
            written(Path(folder) / role, CONFIG, change=change) for role, change in (("base", 0.0), ("tuned", 0.03))
        ]
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.safetensors")) / 1e6
        pair = load_pair(*paths)
        pair.made_with()  # reads both files once more, for their digests, before they are gone
        plain = [AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).model for path in paths]
    torch.manual_seed(0)
    texts = [tuple(torch.randint(5, 60, (LENGTH,)).tolist()) for _ in range(TEXTS)]
    readings = [Reading(str(i), text, (Label("none", "text"),) * LENGTH) for i, text in enumerate(texts)]
    (batch,) = batches(pair, texts, TEXTS)
    with torch.inference_mode():
        (few,) = batches(pair, texts[:1], 1)
        base, tuned = (streams(model, few, few.counted) for model in (pair.base, pair.tuned))
        forward: dict[str, Callable[[], object]] = {
            "two bodies in plain transformers": partial(bodies, plain, batch),
            DIFFERENCE: partial(difference, pair, batch),
            "the same with debiased CKA": partial(stream_similarity, pair, readings, draws=0),
            "`run_with_cache` of both": partial(cached, pair, batch),
        }
        lens: dict[str, Callable[[], object]] = {
            "products of one head": partial(products, pair, base, tuned, 1),
            COMPARED: partial(one_head, pair, base, tuned, compare),
            "the same in fp64": partial(one_head, pair, base, tuned, in_fp64),
        }
        both: dict[str, Callable[[], object]] = {
            "products of both heads": partial(products, pair, base, tuned, 2),
            "`logit_lens`, three readings": partial(logit_lens, pair, readings[:1], draws=0),
        }
        (of_forward, forwards), (of_lens, lenses), (of_both, _) = (table(ways) for ways in (forward, lens, both))
    head = ["", "| | time | / first | memory beyond the models |", "|---|---|---|---|"]
    section = "\n".join(
        [
            "## Comparing activations (`python benchmarks/activations.py`)",
            "",
            f"torch {torch.__version__}, {platform.machine()}, one thread, CPU time; a pair of Qwen2 form, {size:.0f} "
            f"MB in fp32, {CONFIG.num_hidden_layers} blocks of width {CONFIG.hidden_size}, {CONFIG.vocab_size:,} "
            f"tokens, reading {TEXTS} texts of {LENGTH}. Ratios are the median of {REPEATS} turns, in each of which "
            "all ways ran one after the other. Targets: 1.2 for the difference, 1.4 for KL through the lens.",
            *head,
            *of_forward,
            "",
            f"The lens at every layer, one of the texts, {TOKENS_AT_ONCE} tokens at a time. `logit_lens` runs both "
            "models too, and reads through base's head, tuned's, and each model's own. Memory is what a run needs at "
            "its highest beyond what the process held before it, memory kept from earlier runs included.",
            *head,
            *of_lens,
            *of_both,
        ]
    )
    print(section)
    write_block("activations", "activations.py", section)
    streams_kept = "every stream of base is kept and read again beside tuned's; not looked into further"
    passes = (
        "of about 7 ns a pair of logits beside 22 for its products, exp, expm1 and log1p take 2, reading what the "
        "products wrote 1, and twenty passes over what lies in the cache the rest, more where others use the caches"
    )
    write_targets(
        "activations.py",
        [
            Target("difference of streams / two bodies", 1.2, forwards[DIFFERENCE], streams_kept),
            Target("KL, JS and agreement / products of one head", 1.4, lenses[COMPARED], passes),
        ],
    )


if __name__ == "__main__":
    main()
