"""A model spread over two ranks, or placed by a map, computes what it computes whole."""

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from interp.checkpoint import CheckpointError, open_checkpoint, transformers_config
from interp.loading import bridged, load_tokenizer
from interp.sharding import sharded


def test_two_ranks_compute_what_one_does(
    tiny_checkpoint: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent)  # where a rank finds its work
    from ranks import RANKS, rank

    context: Any = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["interp.pair", "torch.distributed.fsdp"])
    ranks = [context.Process(target=rank, args=(n, tiny_checkpoint("qwen2"), tmp_path)) for n in range(RANKS)]
    for one in ranks:
        one.start()
    for one in ranks:
        one.join(180)
    assert [one.exitcode for one in ranks] == [0] * RANKS
    for n in range(RANKS):
        found = json.loads((tmp_path / f"{n}.json").read_text())
        assert found["largest"] > 1 and found["share"] == pytest.approx(1 / RANKS, abs=0.02)
        # Gathering puts the same numbers together again, so nothing but the order of no sum changes.
        assert found["logits"] == 0 and len(found["streams"]) == 4 and max(found["streams"]) == 0


def test_without_a_process_group_there_is_nothing_to_shard_over(tiny_checkpoint: Callable[..., Path]) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_checkpoint("qwen2"))
    with pytest.raises(RuntimeError, match="no process group to shard over; start the ranks with torchrun"):
        sharded(model)


def placed(checkpoint: Path, **places: Any) -> Any:
    """The bridge around a model that accelerate put where a map says."""
    opened = open_checkpoint(checkpoint)
    model = AutoModelForCausalLM.from_pretrained(checkpoint, attn_implementation="eager", **places).eval()
    return bridged(model, opened, load_tokenizer(opened, transformers_config(opened)))[0]


@pytest.mark.parametrize("device_map", [{"": "cpu"}, "auto"], ids=["all on the CPU", "auto"])
def test_a_model_that_a_device_map_placed_computes_the_same(
    device_map: Any, tiny_checkpoint: Callable[..., Path], tiny_pair: Any
) -> None:
    tokens = torch.arange(3, 20)[None]
    bridge = placed(tiny_checkpoint("qwen2"), device_map=device_map)
    assert torch.equal(bridge(tokens), tiny_pair("qwen2").base(tokens))


def test_a_model_half_of_which_lies_on_disk_is_refused(tiny_checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    parts = {name: "cpu" for name in ("model.embed_tokens", "model.rotary_emb", "model.norm", "lm_head")}
    halves = {f"model.layers.{layer}": "cpu" if layer < 2 else "disk" for layer in range(4)}
    with pytest.raises(CheckpointError, match=r"does not load in TransformerBridge: .* offload targets: \['disk'\]"):
        placed(tiny_checkpoint("qwen2"), device_map=parts | halves, offload_folder=tmp_path)
