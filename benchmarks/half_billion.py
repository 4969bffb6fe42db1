"""The whole report on a pair of half a billion weights, in bf16 and in shards: seconds by room and peak memory.

    python benchmarks/half_billion.py --out FOLDER      # about an hour on two busy cores; writes its block of README.md

Weights are random, in the shape of Qwen2-0.5B, so nothing that is found means anything: the run shows that a pair of
this size goes through, how long each room takes and what it needs. Finished measurements stay in `--out`, with the
seconds that each took, so that a run that was interrupted goes on.
"""

import argparse
import json
import logging
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1")

import torch
from page import write_block
from random_pair import written
from transformers import Qwen2Config

from interp.estimate import estimate
from interp.layers.room import DEPTHS, PATCHED, SPECTRA
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
PROBLEMS, NEW_TOKENS, SHARD = 18, 6, "250MB"
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
    kept = Kept(out / "seconds.json")
    log = logging.getLogger("interp")
    log.addHandler(kept)
    log.setLevel(logging.INFO)
    with kept.timed("loading"):
        pair = open_pair(str(out / "base"), str(out / "tuned"))
    told = estimate(pair, task, quick=True)
    print(told, flush=True)
    measurements: list[Measurement] = []
    for room, measure in (("layers", measure_layers), ("features", measure_features), ("routing", measure_routing)):
        kept.room = room
        measurements += measure(pair, task, folder=out / "measurements" / room, quick=True)
    with kept.timed("page"):
        write_page(measurements, out / "report", quick=True)
    files = sorted((out / "base").glob("*.safetensors"))
    write_block("half billion", "half_billion.py", section(kept, len(files), len(measurements), told))


class Kept(logging.Handler):
    """Seconds of every measurement and the most memory that any run took, kept for a run that goes on."""

    def __init__(self, path: Path) -> None:
        """Go on with what is kept there."""
        super().__init__()
        self.path, self.room = path, ""
        self.seconds: dict[str, dict[str, float]] = json.loads(path.read_text()) if path.exists() else {}

    def emit(self, record: logging.LogRecord) -> None:
        """The workbench logs each measurement when it is made, and not when it was kept."""
        print(record.getMessage(), f"({peak():.1f} GB)", flush=True)
        if record.msg.startswith("measured ") and isinstance(record.args, tuple):
            name, taken = record.args
            self.keep(self.room, str(name), float(str(taken)))

    def keep(self, room: str, name: str, seconds: float) -> None:
        """Add one, and look at memory."""
        self.seconds.setdefault(room, {})[name] = seconds
        memory = self.seconds.setdefault("memory", {})
        memory["GB"] = max(memory.get("GB", 0.0), peak())
        self.path.write_text(json.dumps(self.seconds))

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Keep what is no measurement."""
        started = time.perf_counter()
        yield
        self.keep(what, what, time.perf_counter() - started)


def section(kept: Kept, shards: int, measured: int, told: str) -> str:
    """The block: a row per room."""
    rooms = {room: kept.seconds[room] for room in ("loading", "layers", "features", "routing", "page")}
    seconds = {room: sum(took.values()) for room, took in rooms.items()}
    longest = {room: ", ".join(sorted(took, key=took.__getitem__, reverse=True)[:3]) for room, took in rooms.items()}
    rows = [f"| {room} | {took:.0f} s | {longest[room]} |" for room, took in seconds.items()]
    return "\n".join(
        [
            "## A report on half a billion weights (`python benchmarks/half_billion.py --out FOLDER`)",
            "",
            f"A random Qwen2 pair of 2 x 494 million weights in bf16, {shards} shards each, computed in fp32 on "
            f"{torch.get_num_threads()} threads; {PROBLEMS} problems, {NEW_TOKENS} tokens an answer, the quick form, "
            f"{measured} measurements. The quick form of a model this deep exchanges blocks and patches components at "
            f"{DEPTHS} depths of {CONFIG.num_hidden_layers}, the latter at {PATCHED} forks, and holds spectra against "
            f"{SPECTRA['quick']} permuted changes. Peak memory {kept.seconds['memory']['GB']:.1f} GB; at most "
            f"{LIMIT:g} is allowed. Told before it started: {told}.",
            "",
            "| room | time | longest |",
            "|---|---|---|",
            *rows,
            f"| together | {sum(seconds.values()) / 60:.0f} min | |",
        ]
    )


def problems(path: Path) -> Path:
    """Problems with worked responses whose steps are marked, in words of the benchmark's tokenizer."""
    draw = random.Random(0)
    lines = list[dict[str, Any]]()
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
