from dataclasses import replace

import pytest
import torch

from interp.sae.activations import activations, batches, hook_name

HOOK = "blocks.2.hook_out"


def test_rows_are_what_the_model_computes_text_by_text(tiny_pair, architecture, readings):
    pair = tiny_pair(architecture)
    some = [readings[2], readings[0], readings[5], readings[1]]
    together = activations(pair.base, some, HOOK)
    alone = []
    for reading in some:
        _, cache = pair.base.run_with_cache(torch.tensor([reading.tokens]), names_filter=[HOOK])
        alone.append(cache[HOOK][0, 1:])
    torch.testing.assert_close(together, torch.cat(alone), atol=2e-5, rtol=1e-4)


def test_first_positions_are_kept_when_asked_for(tiny_pair, readings):
    pair, some = tiny_pair("llama"), readings[:3]
    kept = activations(pair.base, some, HOOK, keep_first=True)
    first = torch.cat([torch.arange(len(r.tokens)) == 0 for r in some])
    torch.testing.assert_close(kept[~first], activations(pair.base, some, HOOK))
    assert (kept[first] == kept[0]).all(), "nothing but the begin token reaches the first position"


def test_batches_hold_every_text_once_and_stay_small(tiny_pair, readings):
    seen = []
    for numbers, tokens, mask in batches(tiny_pair("llama").base, readings, tokens_at_once=300):
        seen += numbers
        assert tokens.numel() <= 300
        assert mask.sum(1).tolist() == [len(readings[number].tokens) for number in numbers]
        assert [tuple(t[m.bool()].tolist()) for t, m in zip(tokens, mask, strict=True)] == [
            readings[number].tokens for number in numbers
        ]
    assert sorted(seen) == list(range(len(readings)))


def test_a_text_longer_than_a_batch_is_still_read(tiny_pair, readings):
    sizes = [len(numbers) for numbers, _, _ in batches(tiny_pair("llama").base, readings[:4], tokens_at_once=1)]
    assert sizes == [1] * 4


def test_an_alias_is_the_canonical_hook(tiny_pair):
    assert hook_name(tiny_pair("llama").base, "blocks.1.hook_resid_post") == "blocks.1.hook_out"


@pytest.mark.parametrize(
    ("hook", "sentence"),
    [
        ("blocks.2.hook_ouy", "no hook 'blocks.2.hook_ouy'; the nearest is 'blocks.2.hook_out'"),
        ("blocks.9.hook_out", "no hook 'blocks.9.hook_out'; the nearest is 'blocks..*hook_out'"),
        ("blocks.2.attn.hook_hidden_states", "exists but nothing passes through it"),
        ("blocks.2.attn.hook_result", "blocks.2.attn.hook_result because use_attn_result is False"),
        ("blocks.2.attn.hook_pattern", "gives shape .* features are read from"),
    ],
)
def test_hooks_that_cannot_be_read_are_refused(tiny_pair, readings, hook, sentence):
    with pytest.raises(ValueError, match=sentence):
        activations(tiny_pair("llama").base, readings[:2], hook)


def test_texts_that_cannot_be_read_are_refused(tiny_pair, readings):
    base = tiny_pair("llama").base
    long = replace(readings[0], tokens=readings[0].tokens * 40, labels=readings[0].labels * 40)
    with pytest.raises(ValueError, match=f"problem 'p0' has {len(long.tokens)} tokens, the model's context is 256"):
        activations(base, [readings[1], long], HOOK)
    with pytest.raises(ValueError, match="nothing to read"):
        activations(base, [], HOOK)


def test_activations_that_are_not_finite_name_the_text(tiny_pair, readings):
    base = tiny_pair("llama").base

    def spoil(activation, hook):
        return torch.where(activation > 0, torch.nan, activation)

    with base.hooks(fwd_hooks=[(HOOK, spoil)]), pytest.raises(ValueError, match=r"not finite in the reading of .*'p0'"):
        activations(base, readings[:1], HOOK)
