from collections.abc import Callable

import pytest
import torch

from interp.layers.hooks import hooked
from interp.pair import Pair

TOKENS = torch.arange(1, 9)[None]


def test_a_hook_reads_and_replaces_what_the_model_computes(tiny_pair: Callable[[str], Pair]) -> None:
    model = tiny_pair("llama").base
    seen: list[torch.Tensor] = []
    with hooked(model, {"blocks.1.hook_out": seen.append, "blocks.2.hook_in": torch.zeros_like}):
        changed = model(TOKENS)
    _, cache = model.run_with_cache(TOKENS)
    assert torch.equal(seen[0], cache["blocks.1.hook_out"])
    expected = model.run_with_hooks(TOKENS, fwd_hooks=[("blocks.2.hook_in", lambda x, hook: torch.zeros_like(x))])
    assert torch.equal(changed, expected)


def test_hooks_are_gone_afterwards_also_after_an_exception(tiny_pair: Callable[[str], Pair]) -> None:
    model = tiny_pair("llama").base
    before = model(TOKENS)
    with pytest.raises(KeyError), hooked(model, {"blocks.0.hook_in": torch.zeros_like}):
        raise KeyError
    assert torch.equal(model(TOKENS), before)


def test_an_unknown_name_is_refused_with_the_nearest(tiny_pair: Callable[[str], Pair]) -> None:
    model = tiny_pair("llama").base
    sentence = r"no hook 'blocks.1.hook_outt'.*did you mean 'blocks.1.hook_out'"
    with pytest.raises(ValueError, match=sentence), hooked(model, {"blocks.1.hook_outt": torch.zeros_like}):
        pass


def test_a_hook_that_never_fires_is_an_error(tiny_pair: Callable[[str], Pair]) -> None:
    model, sentence = tiny_pair("llama").base, r"hooks \['blocks.1.hook_out'\] never fired"
    with pytest.raises(ValueError, match=sentence), hooked(model, {"blocks.1.hook_out": torch.zeros_like}):
        pass
