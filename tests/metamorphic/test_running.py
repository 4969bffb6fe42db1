"""Batch, padding, cache, order and threads change no token, and no logit by more than rounding."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from interp.decoding import decode, greedy, left_padded, sample
from interp.layers.batches import batches
from interp.layers.hooks import hooked
from interp.layers.stages import logits, stages
from interp.pair import Pair
from interp.routing.hybrid import write_together
from interp.routing.routers import every_disagreement

CLOSE = 1e-5
"""Of the largest logit: what another shape of the same product may round otherwise; observed up to 2e-6."""
TIE = 1e-4
FAMILIES = ["llama", "gpt2"]
"""Positions as a rotation and as a table: padding is counted differently."""

texts = st.lists(st.integers(4, 59), min_size=0, max_size=12).map(lambda ids: [1, *ids])


@contextmanager
def threads(n: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@torch.no_grad()
def uncached(pair: Pair, prompt: list[int], n: int) -> tuple[list[int], float]:
    """What base writes without cache, batch or padding, and by how little its choices were made."""
    text, gap = list(prompt), float("inf")
    for _ in range(n):
        best = pair.base(torch.tensor([text]))[0, -1].topk(2)
        gap = min(gap, float(best.values[0] - best.values[1]))
        text.append(int(best.indices[0]))
    return text[len(prompt) :], gap


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=5, derandomize=True)
@given(prompts=st.lists(texts, min_size=1, max_size=4), batch_size=st.integers(1, 4), n_threads=st.integers(1, 2))
def test_tokens_do_not_hang_on_batch_padding_cache_or_threads(
    tiny_pair: Callable[[str], Pair], family: str, prompts: list[list[int]], batch_size: int, n_threads: int
) -> None:
    pair = tiny_pair(family)
    alone = [uncached(pair, prompt, 5) for prompt in prompts]
    assume(all(gap > TIE for _, gap in alone))
    with threads(n_threads):
        done = decode({"base": pair.base}, prompts, greedy("base"), max_new_tokens=5, stop=(), batch_size=batch_size)
    assert [list(text.tokens) for text in done] == [text for text, _ in alone]


@settings(max_examples=5, derandomize=True)
@given(prompts=st.lists(texts, min_size=2, max_size=5), batch_size=st.integers(1, 5), pad=st.integers(0, 63))
def test_routed_and_sampled_texts_do_not_hang_on_batch_or_what_fills_the_padding(
    tiny_pair: Callable[[str], Pair], prompts: list[list[int]], batch_size: int, pad: int
) -> None:
    pair = tiny_pair("llama")
    one = write_together(pair, prompts, every_disagreement, max_new_tokens=5, batch_size=batch_size)
    other = write_together(pair, prompts, every_disagreement, max_new_tokens=5)
    assume(not any(text.near_ties for text in (*one, *other)))
    assert one == other
    draw = sample("base", seed=1, n_prompts=len(prompts), max_new_tokens=5)
    drawn = [
        decode(pair.models, prompts, draw, max_new_tokens=5, stop=(), batch_size=size, pad=fill)
        for size, fill in ((batch_size, pad), (len(prompts), 0))
    ]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=8, derandomize=True)
@given(text=texts, k=st.integers(0, 8), more=st.lists(st.integers(4, 59), min_size=1, max_size=4))
@torch.no_grad()
def test_logits_do_not_see_padding_nor_what_comes_later(
    tiny_pair: Callable[[str], Pair], family: str, text: list[int], k: int, more: list[int]
) -> None:
    model = tiny_pair(family).tuned
    alone = model(torch.tensor([text]))[0]
    tokens, mask = left_padded([text, [*text, *[7] * k]], pad=0)
    padded = model(tokens, attention_mask=mask)[0, k:]
    longer = model(torch.tensor([[*text, *more]]))[0, : len(text)]
    right = model(torch.tensor([[*text, *[0] * k]]), attention_mask=torch.tensor([[1] * len(text) + [0] * k]))[
        0, : len(text)
    ]
    for found in (padded, longer, right):
        assert (found - alone).abs().max() <= CLOSE * alone.abs().max()


@torch.no_grad()
@pytest.mark.parametrize("family", [*FAMILIES, "gemma2"])
def test_the_stream_is_the_embedding_and_everything_that_was_added(
    tiny_pair: Callable[[str], Pair], family: str
) -> None:
    pair = tiny_pair(family)
    layers = range(pair.n_layers)
    parts = [f"blocks.{layer}.hook_{part}" for layer in layers for part in ("attn_out", "mlp_out")]
    ends = ["blocks.0.hook_in", f"blocks.{pair.n_layers - 1}.hook_out"]
    _, cache = pair.tuned.run_with_cache(torch.arange(4, 24)[None], names_filter=[*parts, *ends])
    total = cache[ends[0]] + sum(cache[part] for part in parts)
    assert (total - cache[ends[1]]).abs().max() <= CLOSE * cache[ends[1]].abs().max()
    without = total - cache["blocks.1.hook_mlp_out"]
    assert (without - cache[ends[1]]).abs().max() > 0.01 * cache[ends[1]].abs().max()


@torch.no_grad()
@pytest.mark.parametrize("layer", [0, 2])
def test_a_models_own_activation_changes_nothing_and_the_others_is_its_suffix(
    tiny_pair: Callable[[str], Pair], layer: int
) -> None:
    pair, tokens, hook = tiny_pair("llama"), torch.arange(4, 24)[None], f"blocks.{layer}.hook_out"
    streams = {}
    for name, model in pair.models.items():
        with hooked(model, {hook: lambda activation, name=name: streams.update({name: activation})}):
            plain = model(tokens)
        with hooked(model, {hook: lambda _, name=name: streams[name]}):
            assert torch.equal(model(tokens), plain)
    with hooked(pair.base, {hook: lambda _: streams["tuned"]}):
        patched = pair.base(tokens)
    (batch,) = batches(pair, tokens.tolist(), 1)
    suffix = streams["tuned"]
    for block in stages(pair, batch).blocks[0][layer + 1 :]:
        suffix = block(suffix)
    torch.testing.assert_close(logits(pair, suffix, final_norm=False, unembedding=False), patched)
    assert (patched - pair.base(tokens)).abs().max() > 0.1
