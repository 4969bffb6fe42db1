"""Where a model's weights go, and that a pair on two devices computes what it computes on one."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from interp.checkpoint import CheckpointError
from interp.devices import answer_where_asked, devices_of, parts_of, parts_of_bridge, place_of, put
from interp.pair import Pair, load_pair

Make = Callable[..., Path]
HERE = Path(__file__).parent
ROUNDING = 1e-4


@pytest.fixture
def plain(tiny_checkpoint: Make) -> Any:
    """A model whose embedding and head are one matrix."""
    return AutoModelForCausalLM.from_pretrained(tiny_checkpoint("qwen2")).eval()


@pytest.mark.slow
@pytest.mark.parametrize("family", ["qwen2", "gemma2"])
def test_a_pair_on_two_devices_says_what_it_says_on_one(family: str, tiny_checkpoint: Make) -> None:
    checkpoints = [str(tiny_checkpoint(family, seed)) for seed in (0, 1)]
    done = subprocess.run([sys.executable, str(HERE / "elsewhere.py"), *checkpoints], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found) == {"tuned elsewhere", "base spread, tuned elsewhere"}
    for far in found.values():
        assert {"logits", "hooks", "activations", "swaps", "patches", "path", "answers", "sae"} <= far.keys()
        assert max(far.values()) < ROUNDING
    assert {"sweep of activations", "sweep of answers"} <= found["tuned elsewhere"].keys()


@pytest.mark.parametrize("place", [{"": "cpu"}, "auto"], ids=["a map", "auto"])
def test_a_map_of_one_device_gives_the_same_bits(place: Any, tiny_checkpoint: Make, tiny_pair: Any) -> None:
    tokens, expected = torch.arange(3, 20)[None], tiny_pair("qwen2")
    pair = load_pair(tiny_checkpoint("qwen2", 0), tiny_checkpoint("qwen2", 1), device=place)
    assert pair.places == "cpu" and torch.equal(pair.base(tokens), expected.base(tokens))
    assert torch.equal(pair.tuned(tokens), expected.tuned(tokens))


def test_parts_that_bring_back_what_they_make_change_no_bit(
    tiny_checkpoint: Make, tiny_pair: Callable[[str], Pair], architecture: str
) -> None:
    """On one device all ways lead to where things are already; hooks fire and may still change what passes."""
    tokens, expected = torch.arange(3, 20)[None], tiny_pair(architecture).base
    bridge = load_pair(tiny_checkpoint(architecture), tiny_checkpoint(architecture)).base
    undo = answer_where_asked(parts_of_bridge(bridge))
    with torch.no_grad():
        logits, cache = bridge.run_with_cache(tokens)
        _, theirs = expected.run_with_cache(tokens)
        assert torch.equal(logits, expected(tokens))
        assert cache.keys() == theirs.keys() and all(torch.equal(cache[name], theirs[name]) for name in theirs)
        doubled = [("blocks.1.hook_mlp_out", lambda x, hook: 2 * x)]
        moved = bridge.run_with_hooks(tokens, fwd_hooks=doubled)
        assert torch.equal(moved, expected.run_with_hooks(tokens, fwd_hooks=doubled)) and not torch.equal(moved, logits)
        undo()
        assert torch.equal(bridge(tokens), logits)


def test_tied_matrices_stay_one_where_they_go(plain: Any) -> None:
    before = {name: tensor.clone() for name, tensor in plain.state_dict().items()}
    moved = put(plain, place_of(plain, "cpu", "base"))
    assert moved.lm_head.weight is moved.model.embed_tokens.weight
    assert all(torch.equal(tensor, before[name]) for name, tensor in moved.state_dict().items())
    assert devices_of(moved) == ["cpu"]


def test_the_longest_name_of_a_map_decides(plain: Any) -> None:
    places = place_of(plain, {"": "cpu", "model.layers.2": 1, "model.layers.3": "cuda:0"}, "base")
    assert places["model.layers.2.mlp.up_proj.weight"] == torch.device("cuda", 1)
    assert places["model.layers.3.input_layernorm.weight"] == torch.device("cuda", 0)
    assert places["lm_head.weight"] == places["model.layers.1.mlp.up_proj.weight"] == torch.device("cpu")
    assert [type(part).__name__ for part in parts_of(plain)].count("Qwen2DecoderLayer") == 4


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ({"model": "cpu"}, "the device map says nothing of base's lm_head.weight; a map of '' is one of everything"),
        ({"": "cpu", "model.layers.9": 0}, "the device map names 'model.layers.9', which base does not have"),
        (
            {"": "cpu", "model.layers.3": "disk"},
            "base would have model.layers.3 on disk, where TransformerBridge cannot",
        ),
        ({"": "cpu", "lm_head": 0}, "base's .*lm_head.weight would be taken apart, to cpu and cuda:0; put it on one"),
        (
            {"": "cpu", "model.layers.1.mlp": 0},
            "base's model.layers.1 would be taken apart, to cpu and cuda:0; put it on one device",
        ),
    ],
)
def test_a_map_that_cannot_be_is_refused(plain: Any, place: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        place_of(plain, place, "base")


def test_a_device_that_is_not_there_is_refused_wherever_it_is_named(tiny_checkpoint: Make) -> None:
    base = tiny_checkpoint("qwen2")
    for options in ({"tuned_device": "cuda"}, {"device": {"": "cpu", "model.layers.0": 0}}):
        with pytest.raises((ValueError, CheckpointError), match="this machine has no CUDA device; use 'cpu'"):
            load_pair(base, base, **options)  # type: ignore[arg-type]
