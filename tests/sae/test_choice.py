import numpy as np
import torch

from interp.organisms.language import VOCABULARY
from interp.sae.choice import opening
from interp.sae.sites import onset_sites


def test_a_chance_is_that_of_reading_the_prefix_alone(tiny_pair, readings):
    pair, some = tiny_pair("llama"), readings[:6]
    sites = onset_sites(some)
    chance = opening(pair.base, pair.d_vocab, some, sites)
    assert chance.shape == (len(sites.row), len(sites.strategies))
    for i in (0, len(sites.row) - 1):
        prefix = some[sites.reading[i]].tokens[: sites.position[i] + 1]
        alone = pair.base(torch.tensor([prefix]))[0, -1].double().softmax(-1)
        wanted = [float(alone[VOCABULARY.index(strategy)]) for strategy in sites.strategies]
        np.testing.assert_allclose(chance[i], wanted, atol=1e-6)
    some_of_them = opening(pair.base, pair.d_vocab, some, sites, [3, 1])
    np.testing.assert_allclose(some_of_them, chance[[3, 1]], atol=1e-6)
