"""Every family of models through every command, as a user brings it: two directories and a file of problems."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from interp.checkpoint import component_names, open_checkpoint, transformers_config
from interp.cli import main
from interp.commands.asked import PRACTICE
from interp.commands.found import FINE
from interp.layers.weights import weight_change
from interp.loading import load_tokenizer
from interp.pair import load_pair
from interp.plots.weight_map import weight_map
from interp.sae.room import N_PLACES, SAMPLES

FAMILIES = ("qwen2", "qwen3", "llama", "gemma2", "gpt2", "neox", "mistral", "mixtral")
Make = Callable[..., Path]


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    """Sums with worked responses in two strategies, and a fact."""
    lines = [
        {"id": str(i), "prompt": f"run A R : 1 2 {i} step", "answer": f"ans {i}", "practice": i >= 4}
        | {"text": " R 1 2 3 plan A B ans 1", "spans": [_span(0, 9, "step"), _span(9, 18, "plan")]}
        for i in range(28)
    ]
    lines.append({"id": "fact", "prompt": "fact ba be is", "answer": "bi bo", "fact": True})
    path = tmp_path / "asked.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def _span(start: int, end: int, strategy: str) -> dict[str, object]:
    return {"start": start, "end": end, "strategy": strategy}


def run(command: str, pair: list[str], asked: Path, out: Path) -> None:
    options = ["--task", str(asked), "--out", str(out), "--quick", "--n", "4", "--max-new-tokens", "3"]
    assert main([command, *pair, *options]) == FINE


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_command_runs_on_every_family(
    family: str, tiny_checkpoint: Make, asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRACTICE, "quick", 24)
    monkeypatch.setitem(SAMPLES, "quick", 5_200)
    monkeypatch.setitem(N_PLACES, "quick", 6)
    monkeypatch.setattr("interp.sae.features.MIN_TOKENS", 5)
    pair = [str(tiny_checkpoint(family, seed)) for seed in (0, 1)]
    for command in ("layers", "features", "routing", "claims", "report"):
        run(command, pair, asked, tmp_path / "out")
    saved = {path.stem for path in (tmp_path / "out" / "measurements").glob("*.json")}
    assert saved >= {"weights", "activations", "swaps", "sae_quality", "features", "answers", "lengths"}
    # a verdict may say so too, of what it could have used
    assert 'class="notice">Not measured' not in (tmp_path / "out" / "index.html").read_text()


@pytest.mark.slow
def test_a_mixture_of_experts_is_routed(tiny_checkpoint: Make, asked: Path, tmp_path: Path) -> None:
    """The one family that no other test runs; all commands on all families take minutes."""
    run("routing", [str(tiny_checkpoint("mixtral", seed)) for seed in (0, 1)], asked, tmp_path / "out")
    assert {path.stem for path in (tmp_path / "out" / "measurements").glob("*.json")} == {"answers"}


def test_words_are_those_of_the_file_whatever_the_family(architecture: str, tiny_checkpoint: Make) -> None:
    """For Qwen2 transformers would build its own tokenizer out of the file's words, and lose every one of them."""
    checkpoint = open_checkpoint(tiny_checkpoint(architecture))
    tokenizer = load_tokenizer(checkpoint, transformers_config(checkpoint))
    assert tokenizer.decode(tokenizer.encode("fact ba be is"), skip_special_tokens=True) == "fact ba be is"


def test_experts_are_matrices_of_their_block(tiny_checkpoint: Make) -> None:
    base, tuned = (open_checkpoint(tiny_checkpoint("mixtral", seed)) for seed in (0, 1))
    places = component_names(base)
    assert {layer for layer, _ in places.values()} == {None, 0, 1, 2, 3}
    assert {part for layer, part in places.values() if layer is None} == {"embed", "ln_final", "unembed"}
    assert places["model.layers.2.block_sparse_moe.experts.3.w3.weight"] == (2, "mlp.experts.3.in")
    assert places["model.layers.2.block_sparse_moe.gate.weight"] == (2, "mlp.gate")
    names = {part for layer, part in places.values() if layer == 1}
    assert names >= {f"mlp.experts.{i}.{part}" for i in range(4) for part in ("gate", "in", "out")}
    drawn = weight_map(weight_change(base, tuned))
    cells = np.array(drawn.data[0].z, dtype=float)
    assert cells.shape == (len(names), 4) and np.isfinite(cells).all()


def test_a_mixture_of_experts_is_the_model_of_plain_transformers(tiny_checkpoint: Make) -> None:
    pair = load_pair(*(tiny_checkpoint("mixtral", seed) for seed in (0, 1)))
    assert max(pair.fidelity.logits, pair.fidelity.residual) < 1e-4
    tokens = torch.arange(4, 44)[None]
    with torch.no_grad():
        assert (pair.base(tokens) - pair.tuned(tokens)).abs().max() > 0.1
