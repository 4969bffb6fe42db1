from dataclasses import replace

import pytest
import torch

from interp.sae.splice import ablate, splice


@pytest.fixture
def tokens(readings) -> torch.Tensor:
    return torch.tensor([readings[0].tokens, readings[0].tokens[::-1]])


@torch.inference_mode()
def test_with_its_error_and_no_edit_it_changes_nothing(tiny_pair, small_sae, tokens):
    base = tiny_pair("llama").base
    clean = base(tokens)
    identity = base.run_with_hooks(tokens, fwd_hooks=[splice(small_sae, error_term=True)])
    torch.testing.assert_close(identity, clean, atol=1e-5, rtol=0)
    reconstructed = base.run_with_hooks(tokens, fwd_hooks=[splice(small_sae)])
    assert (reconstructed - clean).abs().max() > 0.1, "the hook fired"
    assert torch.equal(base(tokens), clean), "and is gone"


@torch.inference_mode()
def test_the_model_goes_on_from_the_reconstruction(tiny_pair, small_sae, tokens):
    base, hook = tiny_pair("llama").base, small_sae.hook
    _, cache = base.run_with_cache(tokens, names_filter=[hook])
    reconstruction = small_sae.sae.decode(small_sae.sae.encode(cache[hook]))
    by_hand = base.run_with_hooks(tokens, fwd_hooks=[(hook, lambda activation, hook: reconstruction)])
    assert torch.equal(base.run_with_hooks(tokens, fwd_hooks=[splice(small_sae)]), by_hand)


@torch.inference_mode()
def test_an_edit_moves_the_residual_along_that_feature_alone(tiny_pair, small_sae, tokens):
    base, after = tiny_pair("llama").base, "blocks.3.hook_in"
    _, clean = base.run_with_cache(tokens, names_filter=[after])

    def add(features: torch.Tensor) -> torch.Tensor:
        edited = features.clone()
        edited[..., 5] += 2
        return edited

    with base.hooks(fwd_hooks=[splice(small_sae, add, error_term=True)]):
        _, cache = base.run_with_cache(tokens, names_filter=[after])
    moved = cache[after] - clean[after]
    torch.testing.assert_close(moved, (2 * small_sae.sae.W_dec[5]).expand_as(moved), atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_the_first_position_is_left_alone_when_asked(tiny_pair, small_sae, tokens):
    base = tiny_pair("llama").base
    clean = base(tokens)
    for hook in (splice(small_sae, keep_first=True), ablate(small_sae.hook, keep_first=True)):
        changed = (base.run_with_hooks(tokens, fwd_hooks=[hook]) != clean).any(-1)
        assert not changed[:, 0].any() and changed[:, 1:].all()
    assert (base.run_with_hooks(tokens, fwd_hooks=[ablate(small_sae.hook)]) != clean).any(-1)[:, 0].all()


def test_a_hook_that_feeds_only_the_mlp_cannot_be_spliced(small_sae):
    with pytest.raises(ValueError, match=r"'blocks.1.ln2.hook_in' can be read but not spliced"):
        splice(replace(small_sae, hook="blocks.1.ln2.hook_in"))
