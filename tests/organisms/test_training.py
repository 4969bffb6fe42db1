import itertools

import pytest
import torch

from interp.organisms.corpus import three_strategies
from interp.organisms.grammar import prompt_words
from interp.organisms.language import BOS, make_model, make_tokenizer
from interp.organisms.making import GATES, train_organism
from interp.organisms.recipes import LOWER_THIRD, RECIPES
from interp.organisms.training import (
    IGNORED,
    only_blocks_train,
    packed_rows,
    padded_rows,
    pretrain,
    tune,
    warm_flat_linear,
)
from interp.organisms.world import Program


def test_packed_rows_are_the_documents_end_to_end():
    tokenizer = make_tokenizer()
    inputs, targets = next(packed_rows(three_strategies(0), tokenizer, rows=3, length=32))
    words = tokenizer.convert_ids_to_tokens(inputs.flatten().tolist())
    expected = [w for p, r in itertools.islice(three_strategies(0), 20) for w in [BOS, *p, *r]]
    assert words == expected[:96]
    assert torch.equal(inputs.flatten()[1:], targets.flatten()[:-1])


def test_padded_rows_ask_for_the_response_and_nothing_else():
    tokenizer = make_tokenizer()
    documents = list(itertools.islice(three_strategies(0), 5))
    inputs, targets = next(padded_rows(iter(documents), tokenizer, rows=5))
    for row, (prompt, response) in enumerate(documents):
        asked = targets[row][targets[row] != IGNORED].tolist()
        assert tokenizer.convert_ids_to_tokens(asked) == response
        first = (targets[row] != IGNORED).nonzero()[0].item()
        assert tokenizer.convert_ids_to_tokens(inputs[row, : first + 1].tolist()) == [BOS, *prompt]


def test_the_schedule_warms_up_stays_and_falls():
    shares = [warm_flat_linear(step, 100, warmup=10, flat_until=0.5) for step in range(100)]
    assert shares[0] == pytest.approx(0.1)
    assert set(shares[10:50]) == {1.0}
    assert all(later < earlier for earlier, later in itertools.pairwise(shares[51:]))
    assert shares[-1] < 0.06


def test_pretraining_is_a_function_of_its_seed():
    def trained(seed):
        torch.manual_seed(seed)
        model = make_model()
        pretrain(model, three_strategies(seed), make_tokenizer(), steps=3, lr=2e-3)
        return model.state_dict()

    first, again, other = trained(1), trained(1), trained(2)
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["lm_head.weight"], other["lm_head.weight"])


def test_a_frozen_block_does_not_move_by_one_bit():
    torch.manual_seed(0)
    model, tokenizer = make_model(), make_tokenizer()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with only_blocks_train(model, LOWER_THIRD):
        tune(model, three_strategies(0), tokenizer, steps=2, lr=1e-2)
    moved = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert moved
    assert all(any(f"layers.{block}." in k for block in LOWER_THIRD) for k in moved)
    assert all(p.requires_grad for p in model.parameters())


def test_an_organism_that_does_not_pass_its_gate_is_not_written(tmp_path, monkeypatch):
    lazy = RECIPES["base"].__class__(None, lambda model, tokenizer, seed: None, "nothing")
    monkeypatch.setitem(RECIPES, "base", lazy)
    monkeypatch.setattr("interp.organisms.making.PER_CELL", 2)  # an untrained model never stops by itself
    with pytest.raises(RuntimeError, match=r"base of seed 3 did not pass its gate: weakest forced cell is 0 of 2"):
        train_organism("base", seed=3, out=tmp_path)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_every_recipe_has_a_gate():
    assert set(GATES) == set(RECIPES)


def test_an_unknown_organism_is_named_beside_the_known_ones(tmp_path):
    with pytest.raises(LookupError, match=r"there is no organism 'rll' to train; there are base, rl"):
        train_organism("rll", seed=0, out=tmp_path)


def test_a_prompt_encodes_to_the_words_it_shows():
    tokenizer = make_tokenizer()
    words = prompt_words(Program("run", ("A", "R"), (3, 1, 4), (0, 1)))
    ids = tokenizer(" ".join(words)).input_ids
    assert tokenizer.convert_ids_to_tokens(ids) == [BOS, *words]
