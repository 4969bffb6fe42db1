"""Comparing weights: how many times longer than reading them? Run: python benchmarks/weights.py

Makes a pair of about 500 MB in a temporary directory, measures everything in one run beside its floor, and writes the
ratios into benchmarks/README.md.
"""

import json
import os
import platform
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1")

import torch
from page import Target, write_block, write_targets
from safetensors.torch import save_file

from interp.checkpoint import Checkpoint, open_checkpoint
from interp.layers.partners import partners
from interp.layers.singular import gram
from interp.layers.weights import weight_change

N_LAYERS, D_MODEL, D_MLP, D_VOCAB = 7, 896, 2432, 4096  # two of about 70 million numbers: 2 x 260 MB in fp32
REPEATS = 5


def made(folder: Path, seed: int, dtype: torch.dtype) -> Checkpoint:
    """A Llama of random weights; seed 1 is seed 0 with a small change."""
    shapes = {"model.embed_tokens.weight": (D_VOCAB, D_MODEL), "lm_head.weight": (D_VOCAB, D_MODEL)}
    for layer in range(N_LAYERS):
        for letter in "qkvo":
            shapes[f"model.layers.{layer}.self_attn.{letter}_proj.weight"] = (D_MODEL, D_MODEL)
        for name, shape in (("gate", (D_MLP, D_MODEL)), ("up", (D_MLP, D_MODEL)), ("down", (D_MODEL, D_MLP))):
            shapes[f"model.layers.{layer}.mlp.{name}_proj.weight"] = shape
    tensors = {}
    for number, (name, shape) in enumerate(shapes.items()):
        weights = torch.randn(shape, generator=torch.Generator().manual_seed(number)) / 30
        weights += seed * 1e-2 * torch.randn(shape, generator=torch.Generator().manual_seed(1000 + number)) / 30
        tensors[name] = weights.to(dtype)
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": D_MODEL}
    config |= {"intermediate_size": D_MLP, "num_hidden_layers": N_LAYERS, "num_attention_heads": 14}
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": D_VOCAB, "tie_word_embeddings": False}))
    return open_checkpoint(folder)


def touch(base: Checkpoint, tuned: Checkpoint) -> None:
    """Fault in every page of both files: one number of each is read."""
    for checkpoint in (base, tuned):
        for name in checkpoint.names():
            tensor = checkpoint.read(name).view(-1)
            tensor[:: 4096 // tensor.element_size()].clone()


def naive(base: Checkpoint, tuned: Checkpoint) -> list[float]:
    """Whole tensors in fp64: change, both norms and the cosine."""
    numbers = []
    for name in base.names():
        a, b = base.read(name).double().view(-1), tuned.read(name).double().view(-1)
        numbers += [(b - a).norm().item(), a.norm().item(), b.norm().item(), (a @ b).item(), (a != b).sum().item()]
    return numbers


def seconds(function: Callable[[], object]) -> tuple[float, float]:
    """One run: seconds on the clock, and seconds of computing on all cores together."""
    start, computing = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - start, time.process_time() - computing


def anonymous() -> int:
    """Megabytes of this process that are not pages of files."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) // 1024


def peak(function: Callable[[], object]) -> int:
    """The most anonymous memory in one run, less what there was before it, looked at every millisecond."""
    before, most, ended = anonymous(), [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.001):
            most[0] = max(most[0], anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    function()
    ended.set()
    watcher.join()
    return max(0, most[0] - before)


def compared(base: Checkpoint, tuned: Checkpoint, dtype: str) -> tuple[str, float, float]:
    """One row of the first table, and what ours takes beside touching and beside a dot product.

    All ways take turns, so that a busy moment falls on each.
    """
    partners(base, tuned)  # imports what names the tensors, which is no part of the comparison
    memory = peak(lambda: weight_change(base, tuned))
    flat = [torch.cat([c.read(name).view(-1) for name in c.names()]).float() for c in (base, tuned)]
    ways = {
        "touch": lambda: touch(base, tuned),
        "dot": lambda: [torch.dot(x, y) for x, y in zip(flat[0].split(2**18), flat[1].split(2**18), strict=True)],
        "naive": lambda: naive(base, tuned),
        "ours": lambda: weight_change(base, tuned),
    }
    clock: dict[str, list[float]] = {name: [] for name in ways}
    computing: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(REPEATS + 1):
        for name, way in ways.items():
            on_clock, on_cores = seconds(way)
            if turn:  # the first reads the disk and imports
                clock[name].append(on_clock)
                computing[name].append(on_cores)

    def ratio(times: dict[str, list[float]], name: str, floor: str) -> float:
        return statistics.median(x / y for x, y in zip(times[name], times[floor], strict=True))

    size = sum(c.files[c.names()[0]].stat().st_size for c in (base, tuned)) / 1e6
    middle = {name: statistics.median(taken) * 1e3 for name, taken in clock.items()}
    touching, dot = ratio(clock, "ours", "touch"), ratio(clock, "ours", "dot")
    line = (
        f"| {dtype} | {size:.0f} MB | {middle['touch']:.0f} ms | {middle['ours']:.0f} ms | "
        f"**{touching:.1f}** | {dot:.1f} | "
        f"{ratio(computing, 'ours', 'touch'):.1f} | {ratio(computing, 'ours', 'dot'):.1f} | "
        f"{ratio(clock, 'naive', 'touch'):.1f} | {memory} MB |"
    )
    return line, touching, dot


def values(matrix: torch.Tensor) -> torch.Tensor:
    """Singular values, largest first, as `weight_spectra` computes them."""
    return torch.linalg.eigvalsh(gram(matrix.double())).flip(0).sqrt()


def spectra(rows: int, columns: int) -> tuple[str, float]:
    """One row of the second table, and how many times faster ours is."""
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(0))
    exact = torch.linalg.svdvals(matrix.double())
    errors = [
        ((sigma.double() - exact) / exact).abs().max().item()
        for sigma in (values(matrix), torch.linalg.svdvals(matrix))
    ]
    ours, theirs = [], []
    for _ in range(REPEATS):
        ours.append(seconds(lambda: values(matrix))[1])
        theirs.append(seconds(lambda: torch.linalg.svdvals(matrix))[1])
    ratio = statistics.median(x / y for x, y in zip(theirs, ours, strict=True))
    line = (
        f"| {rows} x {columns} | {statistics.median(ours) * 1e3:.0f} ms | {statistics.median(theirs) * 1e3:.0f} ms | "
        f"**{ratio:.1f}** | {errors[0]:.0e} | {errors[1]:.0e} |"
    )
    return line, ratio


def main() -> None:
    """Measure, print, write."""
    torch.set_num_threads(1)
    load, lines = os.getloadavg()[0], []
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with tempfile.TemporaryDirectory() as folder:
            pair = [made(Path(folder) / role, seed, dtype) for seed, role in enumerate(("base", "tuned"))]
            lines.append(compared(*pair, name))
    spectral = [spectra(512, 2048), spectra(896, 2432)]
    section = "\n".join(
        [
            "## Comparing weights (`python benchmarks/weights.py`)",
            "",
            f"torch {torch.__version__}, {platform.machine()}, {os.cpu_count()} cores with a load of {load:.1f} when "
            f"it started; files in the page cache; ratios are the median of {REPEATS} turns, in each of which all ways "
            "ran one after the other.",
            "Touch: every page of both files faulted in, nothing computed. Dot: one dot product of both in memory, as "
            "fp32. Naive: whole tensors in fp64. These take one thread, `weight_change` two. The clock tells how long "
            "one waits, on a busy machine also how busy it was; computing counts the seconds of all threads, and is "
            "what to compare between machines. Memory: the most that is not pages of the files, once all is imported. "
            "Targets on the clock: at most 2.5 times touch in fp32, 4 in bf16 (on a load of 1 or less), and 64 MB and "
            "the largest difference (15 MB here) of memory.",
            "",
            "| stored | both files | touch | `weight_change` | / touch | / dot | computing / touch | computing / dot "
            "| naive / touch | memory |",
            "|---|---|---|---|---|---|---|---|---|---|",
            *(line for line, _, _ in lines),
            "",
            "All singular values: ours (Gram matrix in fp64) beside `torch.linalg.svdvals` in fp32; errors are "
            "the largest relative one, against svdvals in fp64. Seconds of computing, one thread.",
            "",
            "| shape | ours | svdvals | times faster | error | error of svdvals |",
            "|---|---|---|---|---|---|",
            *(line for line, _ in spectral),
        ]
    )
    print(section)
    write_block("weights", "weights.py", section)
    why = (
        "touching faults pages that are in memory already and reads hardly a byte; one dot product, which has to "
        "read them all, takes {:.1f} times as long, and the sums in fp64 are the rest"
    )
    (_, *fp32), (_, *bf16) = lines
    write_targets(
        "weights.py",
        [
            Target("`weight_change` / touching both files, fp32", 2.5, fp32[0], why.format(fp32[0] / fp32[1])),
            Target("`weight_change` / touching both files, bf16", 4, bf16[0], why.format(bf16[0] / bf16[1])),
            *(
                Target(f"`svdvals` / singular values, {size}", 3, faster, "", least=True)
                for size, (_, faster) in zip(("512 x 2048", "896 x 2432"), spectral, strict=True)
            ),
        ],
    )


if __name__ == "__main__":
    main()
