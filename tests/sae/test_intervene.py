import pytest
import torch
from sae_lens import TopKSAE, TopKSAEConfig

from interp.sae.intervene import (
    add,
    as_far,
    clamp_direction,
    clamp_feature,
    edited_chances,
    edited_logprobs,
    nothing,
)
from interp.sae.trained import TrainedSAE

HOOK = "blocks.2.hook_out"


@pytest.fixture
def prefixes(readings) -> list[tuple[int, ...]]:
    return [reading.tokens[: 6 + number] for number, reading in enumerate(readings[:5])]


@torch.inference_mode()
def by_hand(model, prefix, vector) -> torch.Tensor:
    """The whole prefix is read anew with a hook at its last position."""

    def hook(activation, hook):
        changed = activation.clone()
        changed[:, -1] += vector
        return changed

    return model.run_with_hooks(torch.tensor([prefix]), fwd_hooks=[(HOOK, hook)])[0, -1].log_softmax(-1)


def test_equals_reading_each_prefix_anew(tiny_pair, prefixes, architecture):
    base = tiny_pair(architecture).base
    vectors = [torch.zeros(32), *torch.randn(3, 32, generator=torch.Generator().manual_seed(0))]
    told = edited_logprobs(base, prefixes, HOOK, [add(vector) for vector in vectors])
    assert told.shape == (4, 5, 64)
    for number, vector in enumerate(vectors):
        for place, prefix in enumerate(prefixes):
            torch.testing.assert_close(told[number, place], by_hand(base, prefix, vector), atol=1e-4, rtol=0)
    assert (told[1] - told[0]).abs().max() > 0.1


def test_the_batch_changes_nothing(tiny_pair, prefixes, monkeypatch):
    base = tiny_pair("llama").base
    edits = [nothing, *(add(vector) for vector in torch.randn(6, 32, generator=torch.Generator().manual_seed(0)))]
    together = edited_logprobs(base, prefixes, HOOK, edits)
    monkeypatch.setattr("interp.sae.intervene.ROWS_AT_ONCE", 10)
    torch.testing.assert_close(edited_logprobs(base, prefixes, HOOK, edits), together, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", ["gemma2", "mistral"])
def test_prefixes_may_be_longer_than_a_sliding_window(tiny_pair, monkeypatch, family):
    base = tiny_pair(family).base
    ids = torch.randint(4, 60, (3, 24), generator=torch.Generator().manual_seed(0)).tolist()
    monkeypatch.setattr("interp.sae.intervene.ROWS_AT_ONCE", 6)  # several batches of edits, each taken back
    vectors = torch.randn(5, 32, generator=torch.Generator().manual_seed(1))
    told = edited_logprobs(base, ids, HOOK, [add(vector) for vector in vectors])
    for number, vector in enumerate(vectors):
        for place, prefix in enumerate(ids):
            torch.testing.assert_close(told[number, place], by_hand(base, prefix, vector), atol=1e-4, rtol=0)


def test_edits_do_what_they_say(small_sae):
    x = torch.randn(200, 32, generator=torch.Generator().manual_seed(0))
    unit = small_sae.sae.W_dec[3] / small_sae.sae.W_dec[3].norm()
    projected = clamp_direction(3 * unit, torch.tensor(1.5))(x)
    torch.testing.assert_close(projected @ unit, torch.full((200,), 1.5))
    across = torch.randn(32, generator=torch.Generator().manual_seed(1))
    across -= (across @ unit) * unit
    torch.testing.assert_close(projected @ across, x @ across, atol=1e-4, rtol=1e-4)

    feature = int(small_sae.encode(x).mean(0).argmax())
    on = small_sae.encode(x)[:, feature] > 0
    ablated = clamp_feature(small_sae, feature, 0.0)(x)
    assert on.any() and torch.equal(ablated[~on], x[~on]), "where it does not fire there is nothing to take away"
    moved = small_sae.encode(x)[on, feature, None] * small_sae.sae.W_dec[feature]
    torch.testing.assert_close(ablated[on], x[on] - moved)

    other = torch.randn(32, generator=torch.Generator().manual_seed(2))
    twin = as_far(clamp_feature(small_sae, feature, 0.0), small_sae.sae.W_dec[feature], other)
    torch.testing.assert_close((twin(x) - x).norm(dim=1), (ablated - x).norm(dim=1), atol=1e-4, rtol=1e-4)
    assert torch.nn.functional.cosine_similarity((twin(x) - x)[on], other[None]).abs().min() > 0.999


def test_places_and_hooks_that_cannot_be_edited(tiny_pair):
    base = tiny_pair("llama").base
    with pytest.raises(ValueError, match="prefix 1 has fewer than two tokens"):
        edited_logprobs(base, [(1, 2), (1,)], HOOK, [nothing])
    with pytest.raises(ValueError, match="the model has no hook 'blocks.9.hook_out'"):
        edited_logprobs(base, [(1, 2)], "blocks.9.hook_out", [nothing])
    with pytest.raises(ValueError, match="can be read but not spliced"):
        edited_logprobs(base, [(1, 2)], "blocks.1.ln2.hook_in", [nothing])


def test_chances_of_what_was_written_when_all_places_are_edited(tiny_pair, readings):
    model, some = tiny_pair("llama").base, readings[:5]
    hook, vector = "blocks.2.hook_out", 3 * torch.randn(32, generator=torch.Generator().manual_seed(0))
    where = [list(range(4, len(text.tokens) - 1, 2)) for text in some]
    where[1] = []
    found = edited_chances(model, some, hook, [nothing, add(vector)], where)
    by_hand = []
    for text, places in zip(some, where, strict=True):

        def change(activation, hook, places=places):
            activation = activation.clone()
            activation[:, places] += vector
            return activation

        tokens = torch.tensor([text.tokens])
        chances = [model.run_with_hooks(tokens, fwd_hooks=hooks)[0].softmax(-1) for hooks in ([], [(hook, change)])]
        by_hand += [[float(chance[p, text.tokens[p + 1]]) for chance in chances] for p in places]
    torch.testing.assert_close(found.T, torch.tensor(by_hand), atol=1e-5, rtol=1e-4)
    assert (found[0] - found[1]).abs().max() > 0.01


def test_neither_the_first_nor_the_last_token_is_edited(tiny_pair, readings):
    for place in (0, len(readings[0].tokens) - 1):
        with pytest.raises(ValueError, match=r"are to be edited, but it has \d+ tokens; edit neither the first nor"):
            edited_chances(tiny_pair("llama").base, readings[:1], "blocks.2.hook_out", [nothing], [[place]])


def test_a_feature_of_an_sae_that_normalises_moves_each_token_by_that_tokens_size():
    generator = torch.Generator().manual_seed(0)
    sae = TopKSAE(TopKSAEConfig(d_in=32, d_sae=16, k=16, normalize_activations="layer_norm"))
    weights = torch.randn(32, 16, generator=generator) / 6
    decoder = weights.T / weights.T.norm(dim=1, keepdim=True)
    sae.load_state_dict({"W_enc": weights, "W_dec": decoder, "b_enc": torch.ones(16), "b_dec": torch.zeros(32)})
    found = TrainedSAE(sae.requires_grad_(False), HOOK, {"k": 16})
    x = torch.randn(50, 32, generator=generator) * torch.logspace(-1, 1, 50)[:, None] + 2.0
    before, size = found.encode(x), x.std(1)
    moved = clamp_feature(found, 3, 2.0)(x) - x
    by_hand = ((2.0 - before[:, 3]) * size)[:, None] * decoder[3]
    torch.testing.assert_close(moved, by_hand, atol=1e-3, rtol=1e-3)
    plain = (2.0 - before[:, 3])[:, None] * decoder[3]
    assert (moved - plain).norm(dim=1).max() > 1, "in units of the SAE's own input the edit would be another one"
