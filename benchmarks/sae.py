"""SAEs: how far from the floor are encoding, reading activations and training? Run: python benchmarks/sae.py

Measures everything in one run beside its floor or beside sae-lens and writes the ratios into benchmarks/README.md.
"""

import os
import platform
import statistics
import time
from collections.abc import Callable

os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1")

import torch
from page import Target, write_block, write_targets
from sae_lens import TrainingSAE

import interp.sae.train as train
from interp.pair import load_pair
from interp.sae.activations import TOKENS_AT_ONCE, activations, batches
from interp.sae.quality import reconstruction
from interp.sae.texts import repertoire
from interp.sae.topk import Weights, topk_gradients, train_topk
from interp.sae.train import fit_sae, shuffled_batches, training_config
from interp.sae.trained import TrainedSAE
from interp.tasks.organism import organism_task

SIZES = ((512, 4096), (896, 4096))  # d_in, d_sae
K, BATCH, REPEATS, STEPS = 32, 256, 5, 4
HOOK = "blocks.3.hook_out"


def seconds(function: Callable[[], object]) -> float:
    """Seconds that this process computed in one run, however busy the machine is."""
    start = time.process_time()
    function()
    return time.process_time() - start


def turns(ways: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """All ways take turns, so that a busy moment falls on each; the first turn does not count."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(REPEATS + 1):
        for name, way in ways.items():
            taken = seconds(way)
            if turn:
                times[name].append(taken)
    return times


def ratio(times: dict[str, list[float]], name: str, floor: str) -> float:
    """The median over turns."""
    return statistics.median(x / y for x, y in zip(times[name], times[floor], strict=True))


def ms(times: dict[str, list[float]], name: str) -> str:
    """The median of one way."""
    return f"{statistics.median(times[name]) * 1e3:.0f} ms"


def drawn(d_in: int, n: int) -> torch.Tensor:
    """Activations of a few hundred directions, so that features come and go."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(4 * d_in, d_in, generator=generator) / d_in**0.5
    on = torch.rand(n, 4 * d_in, generator=generator).topk(20).indices
    return (directions[on] * torch.rand(n, 20, 1, generator=generator)).sum(1) * 20


@torch.inference_mode()
def encoding(d_in: int, d_sae: int) -> tuple[str, float]:
    """One row, and its ratio: `TrainedSAE.encode` against its matrix product."""
    x = drawn(d_in, 2048)
    sae = TrainingSAE.from_dict(training_config("topk", d_in, d_sae, K).to_dict())
    sae.cfg.rescale_acts_by_decoder_norm = False
    found = TrainedSAE(sae.eval(), HOOK, {"k": K})
    times = turns({"product": lambda: x @ sae.W_enc, "encode": lambda: found.encode(x)})
    share = ratio(times, "encode", "product")
    return f"| {d_in} x {d_sae} | {ms(times, 'product')} | {ms(times, 'encode')} | **{share:.2f}** |", share


def training(d_in: int, d_sae: int) -> tuple[str, float]:
    """One row, and its ratio: a few steps of our TopK training against as many of sae-lens'."""
    x = drawn(d_in, 4096)
    x *= d_in**0.5 / x.norm(dim=1).mean()

    def run(trainer: Callable[..., None]) -> Callable[[], object]:
        sae = TrainingSAE.from_dict(training_config("topk", d_in, d_sae, K).to_dict())
        stream = shuffled_batches(x, BATCH, 0)
        return lambda: trainer(sae, stream, steps=20 * STEPS, lr=1e-3, patience=10**6)

    weights = Weights(*(torch.randn(shape) / 30 for shape in ((d_sae, d_in), (d_sae,), (d_sae, d_in), (d_in,))))
    none = torch.zeros(d_sae, dtype=torch.bool)
    half = torch.arange(d_sae) % 2 == 0
    times = turns(
        {
            "product": lambda: x[:BATCH] @ weights.encoder.T,
            "gradients": lambda: topk_gradients(x[:BATCH], weights, K, none),
            "half dead": lambda: topk_gradients(x[:BATCH], weights, K, half),
        }
    )
    trainers = {"ours": train_topk, "sae-lens": train._train}
    whole = [{name: seconds(run(way)) for name, way in trainers.items()} for _ in range(2)]
    steps = {name: min(turn[name] for turn in whole) / (20 * STEPS) for name in trainers}
    faster = steps["sae-lens"] / steps["ours"]
    line = (
        f"| {d_in} x {d_sae} | {steps['ours'] * 1e3:.0f} ms | {steps['sae-lens'] * 1e3:.0f} ms | **{faster:.1f}** | "
        f"{ratio(times, 'gradients', 'product'):.1f} | {ratio(times, 'half dead', 'product'):.1f} |"
    )
    return line, faster


def on_the_organism() -> tuple[str, float, list[str]]:
    """Reading activations against the bare prefix of the model, and training at equal quality over three seeds.

    What to say of the first, its ratio, and a row for each seed of the second.
    """
    pair = load_pair("organism:base", "organism:rl")
    readings = repertoire(pair, organism_task("rl", n=10), per_problem=4)

    @torch.inference_mode()
    def bare() -> None:
        for _, tokens, mask in batches(pair.base, readings, tokens_at_once=TOKENS_AT_ONCE):
            pair.base(tokens, attention_mask=mask, stop_at_layer=4)

    times = turns({"bare": bare, "read": lambda: activations(pair.base, readings, HOOK)})
    x = activations(pair.base, readings, HOOK)
    n = len(x) * 4 // 5
    rows = []
    for seed in range(3):
        found, taken = {}, {}
        for name, way in (("ours", train_topk), ("sae-lens", train._train)):
            start = time.process_time()
            train.train_topk = way
            found[name] = reconstruction(
                TrainedSAE(fit_sae(x[:n], d_sae=512, k=16, samples=50_000, seed=seed), HOOK, {}), x[n:]
            )
            taken[name] = time.process_time() - start
        train.train_topk = train_topk
        cells = [f"{one['fvu']:.4f} | {one['dead']:.3f}" for one in found.values()]
        rows.append(f"| {seed} | {cells[0]} | {cells[1]} | **{taken['sae-lens'] / taken['ours']:.1f}** |")
    reading = ratio(times, "read", "bare")
    line = (
        f"{len(x):,} tokens of the organism: {ms(times, 'read')} beside {ms(times, 'bare')} for the bare forward pass "
        f"up to the layer, **{reading:.2f}** times."
    )
    return line, reading, rows


def main() -> None:
    """Measure, print, write."""
    torch.set_num_threads(1)
    line, reading, rows = on_the_organism()
    encoded, trained = ([way(*size) for size in SIZES] for way in (encoding, training))
    section = "\n".join(
        [
            "## Sparse autoencoders (`python benchmarks/sae.py`)",
            "",
            f"torch {torch.__version__}, {platform.machine()}, one thread, CPU time; ratios are the median of "
            f"{REPEATS} turns, in each of which all ways ran one after the other.",
            "",
            f"Encoding 2,048 tokens, TopK with k = {K}, beside its matrix product alone. Target: at most 1.5.",
            "",
            "| d_in x d_sae | product | `encode` | / product |",
            "|---|---|---|---|",
            *(row for row, _ in encoded),
            "",
            f"Reading activations. Target: at most 1.15. {line}",
            "",
            f"One step of TopK training, batches of {BATCH}, k = {K}: ours (gradients of active features only) beside "
            f"sae-lens' trainer, both of {20 * STEPS} steps, the faster of two runs. Target: at least 3 times faster. "
            "The last columns are our gradients in encoder products, with no feature dead and with half of them dead.",
            "",
            "| d_in x d_sae | ours | sae-lens | times faster | gradients / product | half dead / product |",
            "|---|---|---|---|---|---|",
            *(row for row, _ in trained),
            "",
            "Equal quality: the same SAE (64 x 512, k = 16, 50,000 samples) fitted by both, on held-out tokens.",
            "",
            "| seed | FVU, ours | dead | FVU, sae-lens | dead | times faster |",
            "|---|---|---|---|---|---|",
            *rows,
        ]
    )
    print(section)
    write_block("sae", "sae.py", section)
    sizes = [f"{d_in} x {d_sae}" for d_in, d_sae in SIZES]
    # Each beside the encoder's product, one thread, widths 512 and 896: 2,048 tokens, and batches of 256.
    topk = "finding the k largest takes 0.4 of the product by itself, the bias and an empty result the rest"
    steps = "clipping and Adam's pass over all weights, which both make, take a product, our gradients 2.5"
    write_targets(
        "sae.py",
        [
            *(Target(f"`encode` / its product, {s}", 1.5, x, topk) for s, (_, x) in zip(sizes, encoded, strict=True)),
            Target("reading activations / bare forward pass", 1.15, reading, "rows are copied out of the cache"),
            *(
                Target(f"sae-lens / our training step, {s}", 3, x, steps, least=True)
                for s, (_, x) in zip(sizes, trained, strict=True)
            ),
        ],
    )


if __name__ == "__main__":
    main()
