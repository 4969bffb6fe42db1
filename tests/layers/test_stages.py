from collections.abc import Callable

import pytest
import torch

from interp.layers.batches import batches
from interp.layers.stages import Block, Stages, check_stages, complement, hybrid, logits, stages, sweep
from interp.layers.swapping import swapped
from interp.pair import Pair

TEXTS = [[1, 5, 9, 20, 7], [1, 30], [1, 8, 8, 8, 41, 7]]
BANDS = [hybrid(4, range(i, j)) for i in range(4) for j in range(i + 1, 5)]


@torch.no_grad()
def test_a_mixture_is_the_models_with_exchanged_weights(architecture: str, tiny_pair: Callable[[str], Pair]) -> None:
    pair = tiny_pair(architecture)
    check_stages(pair)
    (batch,) = batches(pair, TEXTS, 8)
    words = [hybrid(4, [1, 2]), hybrid(4, [0, 3], embedding=True), hybrid(4, head=True), complement(hybrid(4, [3]))]
    streams = dict(sweep(stages(pair, batch), [word[:-1] for word in words]))
    for word in words:
        embedding, *body, head = word
        with swapped(pair, [layer for layer in range(4) if body[layer]], embedding=embedding, head=head):
            expected = pair.base(batch.tokens, attention_mask=batch.mask)[batch.counted]
        found = logits(pair.tuned if head else pair.base, streams[word[:-1]])[batch.counted]
        assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


@torch.no_grad()
def test_shared_prefixes_change_no_bit_and_are_run_once(tiny_pair: Callable[[str], Pair]) -> None:
    pair = tiny_pair("qwen2")
    (batch,) = batches(pair, TEXTS, 8)
    cut, runs = stages(pair, batch), []

    def counted(block: Block) -> Block:
        return lambda stream: runs.append(1) or block(stream)

    counting = Stages(cut.starts, tuple([counted(block) for block in blocks] for blocks in cut.blocks))
    found = dict(sweep(counting, [word[:-1] for word in BANDS]))
    shared, runs[:] = len(runs), []
    for word in BANDS:
        ((_, alone),) = sweep(counting, [word[:-1]])
        assert torch.equal(found[word[:-1]], alone)
    prefixes = {word[: 2 + layer] for word in BANDS for layer in range(4)}
    assert (shared, len(runs)) == (len(prefixes), 4 * len(BANDS))
    assert len({id(stream) for stream in found.values()}) == len(BANDS)


def test_a_model_that_does_more_than_its_parts_is_refused(
    tiny_pair: Callable[[str], Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = tiny_pair("llama")
    monkeypatch.setattr(pair.base.original_model.config, "final_logit_softcapping", 0.5, raising=False)
    with pytest.raises(ValueError, match="is more than its parts in a row: run one after the other they differ"):
        check_stages(pair)
