"""A model spread over two ranks computes what it computes whole."""

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

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
