"""The whole report on a pair of half a billion weights, in bf16 and in shards: seconds by room and peak memory.

    python benchmarks/half_billion.py --out FOLDER      # about an hour on two busy cores; writes its block of README.md

Weights are random, in the shape of Qwen2-0.5B, so nothing that is found means anything: the run shows that a pair of
this size goes through, how long each room takes and what it needs. Finished measurements stay in `--out`, with the
seconds that each took, so that a run that was interrupted goes on.
"""

import argparse
import json
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1")

import torch
from page import write_block
from random_pair import written
from transformers import Qwen2Config

from interp.measurement import Measurement
from interp.tasks.text import text_task
from interp.workbench import measure_features, measure_layers, measure_routing, open_pair, write_page

CONFIG = Qwen2Config(
    hidden_size=896,
    intermediate_size=4864,
    num_hidden_layers=24,
    num_attention_heads=14,
    num_key_value_heads=2,
    vocab_size=151_936,
    tie_word_embeddings=True,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=0,
)  # 494 million numbers, as Qwen2-0.5B
PROBLEMS, NEW_TOKENS, SHARD = 24, 8, "250MB"
LIMIT = 12.0
"""Gigabytes that it may take."""


def main() -> None:
    """Make the pair and the task where they are missing, measure, write the page and the block."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    for role, change in (("base", 0.0), ("tuned", 0.03)):
        if not (out / role / "config.json").exists():
            written(out / role, CONFIG, change=change, dtype=torch.bfloat16, shard=SHARD)
    task = text_task(problems(out / "problems.jsonl"), max_new_tokens=NEW_TOKENS)
    seconds = {"loading": 0.0, "layers": 0.0, "features": 0.0, "routing": 0.0, "page": 0.0}

    @contextmanager
    def timed(room: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        seconds[room] = time.perf_counter() - started

    with timed("loading"):
        pair = open_pair(str(out / "base"), str(out / "tuned"))
    measurements: list[Measurement] = []
    for room, measure in (("layers", measure_layers), ("features", measure_features), ("routing", measure_routing)):
        with timed(room):
            measurements += measure(pair, task, folder=out / "measurements" / room, quick=True)
        print(room, f"{seconds[room]:.0f} s", f"{peak():.1f} GB", flush=True)
    with timed("page"):
        write_page(measurements, out / "report", quick=True)
    files = sorted((out / "base").glob("*.safetensors"))
    write_block("half billion", "half_billion.py", section(seconds, len(files), len(measurements)))


def section(seconds: dict[str, float], shards: int, measured: int) -> str:
    """The block: a row per room."""
    rows = [f"| {room} | {took:.0f} s |" for room, took in seconds.items()]
    return "\n".join(
        [
            "## A report on half a billion weights (`python benchmarks/half_billion.py --out FOLDER`)",
            "",
            f"A random Qwen2 pair of 2 x 494 million weights in bf16, {shards} shards each, computed in fp32 on "
            f"{torch.get_num_threads()} threads; {PROBLEMS} problems, {NEW_TOKENS} tokens an answer, the quick form, "
            f"{measured} measurements. Peak memory {peak():.1f} GB; at most {LIMIT:g} is allowed.",
            "",
            "| room | time |",
            "|---|---|",
            *rows,
            f"| together | {sum(seconds.values()) / 60:.0f} min |",
        ]
    )


def problems(path: Path) -> Path:
    """Problems with worked responses whose steps are marked, in words of the benchmark's tokenizer."""
    draw = random.Random(0)
    lines = []
    for number in range(PROBLEMS):
        state, operations = [draw.randrange(10) for _ in range(3)], draw.sample("RLSABCDE", 3)
        prompt, text, spans = f"run {' '.join(operations)} : {' '.join(map(str, state))}", "", []
        for operation in operations:
            state = [draw.randrange(10) for _ in range(3)]
            said = f"{'step' if draw.random() < 0.5 else 'back'} {operation} {' '.join(map(str, state))}"
            spans.append({"start": len(text) + 1, "end": len(text) + 1 + len(said), "strategy": said[:4]})
            text += " " + said
        answer = " ".join(map(str, state))
        lines.append({"id": f"p{number}", "prompt": prompt, "answer": answer, "text": text + f" ans {answer}"})
        lines[-1]["spans"] = spans
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def peak() -> float:
    """The most memory that this process has held, in GB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1e6


if __name__ == "__main__":
    main()
