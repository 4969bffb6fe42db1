from dataclasses import replace

import pytest

from interp.pair import load_pair
from interp.sae.fitted import fitted_vectors
from interp.sae.sites import NothingToTell
from interp.sae.texts import repertoire
from interp.tasks.organism import organism_task


@pytest.fixture(scope="module")
def table():
    pair = load_pair("organism:base", "organism:base")
    texts = repertoire(pair, organism_task("rl", n=3, practice=40), per_problem=2)
    return fitted_vectors(pair, texts, doses=(0.0, 1.0), n_tokens=4, n_deals=3, n_places=40).table


def test_a_row_per_goal_length_and_model_and_one_model_twice_has_one_answer(table):
    assert not table[["fitted_for", "goal", "dose", "model"]].duplicated().any()
    counts = table[(table.dose == 1) & (table.model == "base")].fitted_for.value_counts().to_dict()
    assert counts == {"strategy": 4, "token": 4, "dealt labels": 3}
    base, tuned = (table[table.model == m].drop(columns="model").reset_index(drop=True) for m in ("base", "tuned"))
    assert base.equals(tuned)


def test_a_vector_of_no_length_changes_nothing(table):
    assert (table[table.dose == 0][["effect", "low", "high"]].abs() < 1e-6).all(axis=None)
    assert (table[table.dose == 1].norm.nunique(), table[table.dose == 0].norm.max()) == (1, 0)


def test_what_base_has_is_brought_about_and_labels_that_mean_nothing_are_not(table):
    """A vector cannot choose by place, so with labels that hang on nothing it gains nothing."""
    told = table[(table.dose == 1) & (table.model == "base")].groupby("fitted_for").effect
    assert told.max()["strategy"] > 0.4 and told.max()["dealt labels"] < 0.15


def test_a_token_that_opens_nothing_is_brought_about_as_well(table):
    """Why a fitted vector is no evidence: base never writes these tokens at such a place."""
    tokens = table[(table.dose == 1) & (table.model == "base") & (table.fitted_for == "token")]
    assert tokens.before.max() < 0.05 and tokens.effect.max() > 0.3


def test_texts_of_one_strategy_are_refused():
    pair = load_pair("organism:base", "organism:base")
    texts = repertoire(pair, organism_task("rl", n=3, practice=6), per_problem=1)
    alike = [
        replace(text, labels=tuple(x if x.strategy == "none" else replace(x, strategy="step") for x in text.labels))
        for text in texts
    ]
    with pytest.raises(NothingToTell, match="every token labelled as the onset of a strategy belongs to 'step'"):
        fitted_vectors(pair, alike)
