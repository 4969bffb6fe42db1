import pytest
import torch
from sae_lens import SAE

from interp.sae.features import strategy_features
from interp.sae.trained import TrainedSAE, released_sae


@pytest.fixture
def shelf(small_sae, tmp_path):
    """`shelf(**facts)`: the small SAE as somebody else would publish it, with these facts in its metadata."""

    def publish(**facts):
        small_sae.sae.save_model(tmp_path)
        sae = SAE.load_from_disk(tmp_path)
        for name, value in {"hook_name": "blocks.2.hook_resid_post", "model_name": None, **facts}.items():
            setattr(sae.cfg.metadata, name, value)
        sae.save_model(tmp_path)
        return tmp_path

    return publish


def test_a_directory_gives_the_same_features_at_its_own_hook(tiny_pair, small_sae, shelf, readings):
    pair = tiny_pair("llama")
    found = released_sae(pair, shelf(model_name=f"someone/{pair.base_checkpoint.name}"))
    assert found.hook == "blocks.2.hook_out", "an older name of the same place"
    x = torch.randn(50, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(found.encode(x), small_sae.encode(x))
    assert len(strategy_features(pair, found, {"all": readings[:60]}).table)


def test_what_is_not_of_this_pair_is_refused_with_both_names(tiny_pair, shelf):
    pair = tiny_pair("llama")
    with pytest.raises(ValueError, match=f"the SAE was trained on gpt2-small, base is {pair.base_checkpoint.name}"):
        released_sae(pair, shelf(model_name="gpt2-small"))
    assert released_sae(pair, shelf(model_name="gpt2-small"), any_model=True).trained_on["checkpoint"] == "gpt2-small"
    with pytest.raises(ValueError, match="the model has no hook 'blocks.40.hook_out'; the nearest is"):
        released_sae(pair, shelf(hook_name="blocks.40.hook_out"))
    with pytest.raises(ValueError, match="the SAE reads width 32, the pair's 'blocks.2.mlp.out.hook_in' has 64"):
        released_sae(pair, shelf(hook_name="blocks.2.mlp.out.hook_in"))
    with pytest.raises(ValueError, match="does not say which hook it reads"):
        released_sae(pair, shelf(hook_name=None))


def test_a_directory_that_is_no_sae_and_one_that_is_broken(tiny_pair, small_sae, shelf, tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing holds no cfg.json"):
        released_sae(tiny_pair("llama"), tmp_path / "nothing")
    sae = SAE.load_from_disk(shelf())
    sae.b_dec.data[0] = torch.nan
    sae.save_model(tmp_path)
    with pytest.raises(ValueError, match="is not finite in b_dec"):
        released_sae(tiny_pair("llama"), tmp_path)
    sae.cfg.normalize_activations = "expected_average_only_in"
    with pytest.raises(ValueError, match="expects activations scaled by their average norm"):
        TrainedSAE(sae, small_sae.hook, {})
