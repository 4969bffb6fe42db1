from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from interp.pair import Pair, load_pair
from interp.sae.directions import reinitialised
from interp.sae.features import best_candidates, strategy_features
from interp.sae.sites import Sites, is_held_out
from interp.sae.train import fit_sae, train_sae
from interp.sae.trained import TrainedSAE
from interp.tasks.task import Label

COLUMNS = (
    *("strategy", "at", "source", "feature", "model", "text", "auroc", "low", "high", "firing", "mean"),
    *("d", "d_low", "d_high", "position_matched", "token_matched", "n_positive", "n_negative", "n_searched"),
)
SOURCES = ("sae", "raw dimension", "random direction", "difference of means", "linear probe", "shuffled labels")
CEILING = "own choice"


@pytest.fixture(scope="module")
def upper_pair(tiny_checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A tuned model that differs from base in its last block and head only."""
    folder = tmp_path_factory.mktemp("upper")
    model = AutoModelForCausalLM.from_pretrained(tiny_checkpoint("llama", 0))
    generator = torch.Generator().manual_seed(0)
    for parameter in (*model.model.layers[3].parameters(), *model.lm_head.parameters()):
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    model.save_pretrained(folder)
    for file in tiny_checkpoint("llama", 0).glob("tokenizer*"):
        (folder / file.name).write_bytes(file.read_bytes())
    return load_pair(tiny_checkpoint("llama", 0), folder)


TESTED = ["p", "q", "n_found"]
"""Only of the model in which features are chosen."""


def base_and_tuned(table, columns=COLUMNS):
    parts = [table[table.model == model].drop(columns="model").reset_index(drop=True) for model in ("base", "tuned")]
    return parts[0], parts[1]


def test_table_has_a_row_per_strategy_place_source_and_model(features, small_sae):
    assert features.made_with["sae"] == dict(small_sae.trained_on)
    assert set(COLUMNS) <= set(features.table.columns)
    keys = features.table[["strategy", "at", "source", "model"]]
    assert len(keys) == 4 * 2 * 6 * 2 + 4 * 2 and not keys.duplicated().any()
    searched = features.table.groupby("source").n_searched.unique().map(list).to_dict()
    assert searched == dict(zip((*SOURCES, CEILING), ([64], [32], [64], [1], [1], [64], [1]), strict=True))
    assert set(features.table[features.table.source == CEILING]["at"]) == {"onset"}, (
        "in content nothing is left to choose"
    )
    scored = features.table.dropna(subset="auroc")
    assert len(scored) and ((scored.low <= scored.auroc) & (scored.auroc <= scored.high)).all()
    base, tuned = base_and_tuned(features.table)
    assert base.feature.equals(tuned.feature) and not base.auroc.equals(tuned.auroc)


def test_a_pair_of_one_model_has_one_table(pair_of_same, small_sae, readings):
    base, tuned = base_and_tuned(strategy_features(pair_of_same("llama"), small_sae, {"all": readings}).table)
    assert base.drop(columns=TESTED).equals(tuned.drop(columns=TESTED))


def test_below_the_tuned_blocks_the_same_text_gives_the_same_bits(upper_pair, small_sae, readings):
    table = strategy_features(upper_pair, small_sae, {"all": readings}).table
    base, tuned = base_and_tuned(table[table.source != CEILING])
    assert base.drop(columns=TESTED).equals(tuned.drop(columns=TESTED))
    base, tuned = base_and_tuned(table[table.source == CEILING])
    assert not base["mean"].equals(tuned["mean"]), "what the whole model expects does change"
    above = train_sae(upper_pair, readings, hook="blocks.3.hook_out", d_sae=32, k=4, samples=6_000)
    base, tuned = base_and_tuned(strategy_features(upper_pair, above, {"all": readings}).table)
    assert not base.auroc.equals(tuned.auroc)


def test_shuffled_labels_stay_near_one_half(features):
    table = features.table.dropna(subset="auroc")
    shuffled = table.source == "shuffled labels"
    assert (table[shuffled].auroc - 0.5).abs().max() < 0.1
    assert table[~shuffled & (table.model == "base")].low.max() > 0.6, "while real labels can be told"


def test_strategies_independent_of_the_text_are_not_found(tiny_pair, small_sae, readings):
    """No source can tell strategies that were dealt out by a coin, however many candidates are searched."""
    rng = np.random.default_rng(0)

    def dealt(labels: tuple[Label, ...]) -> tuple[Label, ...]:
        coin = rng.choice(["heads", "tails", "edge"], size=len(labels))
        return tuple(x if x.strategy == "none" else replace(x, strategy=str(coin[x.stretch])) for x in labels)

    by_coin = [replace(reading, labels=dealt(reading.labels)) for reading in readings]
    table = strategy_features(tiny_pair("llama"), small_sae, {"both": by_coin}).table
    assert set(table.strategy) == {"heads", "tails", "edge"} and table.auroc.notna().all()
    assert CEILING not in set(table.source), "no token opens one of them more often than the others"
    assert (table.auroc - 0.5).abs().max() < 0.1
    assert (table.low <= 0.5).mean() > 0.8
    assert (table.position_matched.dropna() - 0.5).abs().max() < 0.15
    told = table[(table.source == "sae") & (table.model == "base")]
    assert (told.n_found == 0).all() and (told.q > 0.05).all(), "no discovery among 64 features"


def test_few_tokens_give_their_number_and_no_auroc(tiny_pair, small_sae, readings):
    def renamed(labels: tuple[Label, ...]) -> tuple[Label, ...]:
        return tuple(replace(x, strategy="rare") if x.strategy == "plan" else x for x in labels)

    rare = [replace(r, labels=renamed(r.labels)) if n < 25 else r for n, r in enumerate(readings)]
    table = strategy_features(tiny_pair("llama"), small_sae, {"both": rare}).table.set_index("strategy").loc["rare"]
    scarce = table[table.source != "shuffled labels"]
    assert ((scarce.n_positive > 0) & (scarce.n_positive < 100)).all()
    assert scarce[["auroc", "low", "high", "firing", "mean"]].isna().all(axis=None)


def synthetic_sites(n_problems: int, per_problem: int, positive: np.ndarray) -> Sites:
    problem = np.repeat(np.arange(n_problems), per_problem)
    held_out = np.array([is_held_out(f"p{number}") for number in range(n_problems)])[problem]
    n = len(problem)
    strategy = np.where(positive, "on", "off").astype(object)
    every = np.arange(n)
    return Sites("content", every, strategy, every, problem, held_out, problem, every % per_problem, every % 7)


def best(sites: Sites, scores: dict[str, torch.Tensor], **options) -> list[dict]:
    """The candidates where both models read one text."""
    return best_candidates({"t": sites}, {(model, "t"): values for model, values in scores.items()}, **options)


@pytest.fixture(scope="module")
def planted() -> tuple[torch.Tensor, torch.Tensor, Sites]:
    """8,000 vectors of 4 out of 40 directions; the strategy is "on" where the last direction is among them."""
    generator = torch.Generator().manual_seed(1)
    directions = torch.randn(40, 32, generator=generator)
    directions /= directions.norm(dim=1, keepdim=True)
    on = torch.zeros(8_000, 40).scatter(1, torch.rand(8_000, 40, generator=generator).topk(4).indices, 1.0)
    x = on * (1 + torch.rand(8_000, 40, generator=generator)) @ directions
    return directions[-1], x, synthetic_sites(200, 40, on[:, -1].bool().numpy())


def test_a_planted_direction_is_found_and_beats_the_baselines(planted):
    direction, x, sites = planted
    sae = TrainedSAE(fit_sae(x, d_sae=64, k=4, samples=80_000), "h", {})
    rows = {row["strategy"]: row for row in best(sites, {"base": sae.encode(x)}, test=True)}
    assert float(sae.sae.W_dec[rows["on"]["feature"]] @ direction) > 0.95
    assert rows["on"]["q"] < 1e-6 and rows["on"]["n_found"] >= 1 and rows["on"]["d"] > 2
    assert rows["on"]["auroc"] > 0.97 and (rows["on"]["sign"], rows["off"]["sign"]) == (1, -1)
    raw = {row["strategy"]: row for row in best(sites, {"base": x})}
    assert raw["on"]["high"] < rows["on"]["low"]


def test_feature_and_sign_are_chosen_in_base_on_the_search_half_only(planted):
    sites = planted[2]
    on = torch.from_numpy((sites.strategy == "on").astype(np.float32))
    held_out = torch.from_numpy(sites.held_out)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(len(on), 3, generator=generator)
    # Candidate 1 tells the label where it is searched, 2 where it is scored, 0 in tuned alone.
    base, tuned = noise.clone(), noise.clone()
    base[~held_out, 1] -= 5 * on[~held_out]
    base[held_out, 2] += 5 * on[held_out]
    tuned[:, 0] += 5 * on
    rows = [row for row in best(sites, {"base": base, "tuned": tuned}) if row["strategy"] == "on"]
    assert [(row["feature"], row["sign"]) for row in rows] == [(1, -1), (1, -1)]
    assert all(abs(row["auroc"] - 0.5) < 0.1 for row in rows)


def test_firing_and_mean_are_of_held_out_positive_tokens():
    positive = np.arange(2_000) % 2 == 0
    sites = synthetic_sites(100, 20, positive)
    scores = torch.where(torch.from_numpy(positive), 3.0, 1.0)[:, None]
    scores[::4] = 0.0
    [off, on] = best(sites, {"base": scores})
    assert (on["strategy"], on["firing"], on["mean"]) == ("on", 0.5, 1.5)
    assert (off["strategy"], off["firing"], off["mean"]) == ("off", 1.0, 1.0)
    assert on["n_positive"] == (positive & sites.held_out).sum() and on["n_negative"] == on["n_positive"]


def test_an_sae_of_another_width_is_refused(tiny_pair: Callable[[str], Pair], small_sae, readings):
    with pytest.raises(
        ValueError, match=r"the SAE reads width 32, the activations at 'blocks.2.mlp.in.hook_out' have 64"
    ):
        wide = replace(small_sae, hook="blocks.2.mlp.in.hook_out")
        strategy_features(tiny_pair("llama"), wide, {"all": readings})


def test_each_text_is_read_by_both_models_and_chosen_on_the_first(tiny_pair, small_sae, readings, features):
    texts = {"both": readings, "some": readings[::2]}
    table = strategy_features(tiny_pair("llama"), small_sae, texts).table
    first = table[table.text == "both"].drop(columns="text").reset_index(drop=True)
    assert first.equals(features.table.drop(columns="text")), "a second text changes nothing on the first"
    second = table[(table.text == "some") & (table.source == "sae")]
    assert len(second) == 4 * 2 * 2
    chosen = first[first.source == "sae"].drop_duplicates(["strategy", "at"]).set_index(["strategy", "at"]).feature
    assert all(chosen[row.strategy, row.at] == row.feature for row in second.itertuples())


def test_other_saes_and_an_untrained_model_stand_beside(tiny_pair, small_sae, readings):
    pair = tiny_pair("llama")
    fresh = reinitialised(pair.base)
    others = {"second seed": (None, small_sae), "untrained model": (fresh, small_sae)}
    table = strategy_features(pair, small_sae, {"all": readings}, others=others).table
    ours = table[table.source == "sae"].drop(columns=["source", *TESTED]).reset_index(drop=True)
    again = table[table.source == "second seed"].drop(columns=["source", *TESTED]).reset_index(drop=True)
    assert ours.equals(again), "the same SAE under another name"
    untrained = table[table.source.isin(["untrained model", "linear probe of an untrained model"])]
    assert set(untrained.model) == {"base"} and untrained.auroc.notna().any()


def test_chosen_in_tuned_is_the_swapped_pair(tiny_pair, small_sae, readings):
    pair = tiny_pair("llama")
    swapped = replace(pair, base=pair.tuned, tuned=pair.base)
    ours = strategy_features(pair, small_sae, {"all": readings}, chosen_in="tuned").table
    theirs = strategy_features(swapped, small_sae, {"all": readings}).table
    theirs = theirs.assign(model=theirs.model.map({"base": "tuned", "tuned": "base"}))
    assert ours.reset_index(drop=True).equals(theirs.reset_index(drop=True))
