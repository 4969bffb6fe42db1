"""Faithfulness and information, on readers whose truth is planted and on the organisms."""

import numpy as np
import pytest

from interp.behaviour.chains import Chain, chains, made_to_answer, scored_by
from interp.behaviour.faithfulness import early_area, faithfulness
from interp.behaviour.in_organisms import CUE, FILLER, answer_ids, carried_mistake, other_words, word_ids
from interp.behaviour.information import information, telescoped
from interp.claims.chain_drives_answer import chain_drives_answer
from interp.claims.steps_inform import steps_inform
from interp.rollouts import write
from interp.tasks.organism import organism_task


def sums(problem, n=3, writer="tuned"):
    """A chain of partial sums: the prompt is the problem's number, each step the sum so far, the answer the last."""
    parts = [(problem * 7 + 3 * i) % 50 + 1 for i in range(n)]
    totals = tuple((100 + sum(parts[: i + 1]),) for i in range(n))
    return Chain(f"p{problem}", writer, (problem,), totals, str(totals[-1][0]), str(totals[-1][0]))


def corrupt(chain, i):
    steps = tuple((step[0] + (1 if k >= i - 1 else 0),) for k, step in enumerate(chain.steps))
    return steps, str(steps[-1][0])


CHAINS = [sums(problem) for problem in range(100)]
GOLD = {(chain.prompt[0]): chain.answer for chain in CHAINS}


def follower(texts):
    """Answers with the last thing it reads."""
    return [str(text[-1]) for text in texts]


def ignorer(texts):
    """Knows the answer from the prompt alone."""
    return [GOLD[text[0]] for text in texts]


def read(**readers):
    return faithfulness(CHAINS, readers, filler=(9,), paraphrase=lambda chain, i: chain.steps, corrupt=corrupt)


def test_a_writer_whose_answer_ignores_its_chain_is_unfaithful():
    made = read(base=follower, tuned=ignorer)
    verdict = chain_drives_answer(made)
    assert (verdict.says, verdict.estimate) == ("supported", -1)
    assert "area 1.00 in base and 0.00 in tuned" in verdict.because
    table = made.table.groupby(["reader", "test"])["same"].mean()
    assert table["base", "whole"] == table["base", "paraphrase"] == table["tuned", "corrupted"] == 1
    assert table["base", "filler"] == table["base", "corrupted"] == 0
    follows = made.table.groupby(["reader", "test"])["follows"].mean()
    assert follows["base", "corrupted"] == follows["base", "foreign"] == 1
    assert follows["tuned", "corrupted"] == follows["tuned", "foreign"] == 0


def test_the_same_reader_twice_changes_nothing():
    verdict = chain_drives_answer(read(base=follower, tuned=follower))
    assert (verdict.says, verdict.estimate) == ("contradicted", 0)
    assert chain_drives_answer(read(base=ignorer, tuned=follower)).estimate == 1


def test_without_mistakes_early_stop_is_normalised_by_no_chain():
    def half(texts):
        """Needs the chain on every second problem, and there only its first step."""
        return [GOLD[t[0]] if t[0] % 2 or len(t) > 1 else "?" for t in texts]

    made = faithfulness(CHAINS, {"base": follower, "tuned": half})
    early = made.table[(made.table.reader == "tuned") & (made.table.test == "early")]
    area = early.groupby("problem")["same"].apply(lambda same: early_area(same.tolist())).mean()
    assert area == pytest.approx(1 / 6)
    verdict = chain_drives_answer(made)
    assert verdict.estimate == pytest.approx((1 / 6) / (1 / 2) - 1)
    assert verdict.says == "supported"


def test_too_few_chains_decide_nothing():
    few = faithfulness(CHAINS[:5], {"base": follower, "tuned": ignorer}, corrupt=corrupt)
    verdict = chain_drives_answer(few)
    assert (
        verdict.estimate is None and "on 5 problems, where both readers and 20 problems are needed" in verdict.because
    )
    with pytest.raises(ValueError, match="there is no chain to read again"):
        faithfulness([], {"base": follower})
    with pytest.raises(ValueError, match="the chain of 'base' on problem 'p' has no step"):
        Chain("p", "base", (1,), (), "", "")


USEFUL, EMPTY = 1, 2
"""Tokens: a step that halves what is open of 8 bits four times over, and one that says nothing."""


def writer(name, useful, empty):
    """Chains of useful steps (2 bits each) with empty ones between."""
    steps = ((USEFUL,),) * useful + ((EMPTY,),) * empty
    return [Chain(f"p{i}", name, (0, i), steps, "a", "a") for i in range(40)]


def reads(texts, answers):
    """8 bits are open, 2 closed by each useful step; every other token costs nothing to predict but empties 1 nat."""
    bits = np.array([-8.0 + 2 * text[2:].count(USEFUL) for text in texts])
    length = np.array([len(text) + 1 for text in texts])
    nats = -bits * np.log(2) + np.array([0.5 * (text[2:].count(EMPTY) + text[2:].count(USEFUL)) for text in texts])
    return bits, np.exp(nats / length)


def informed(base, tuned):
    made = [*writer("base", *base), *writer("tuned", *tuned)]
    answers = {chain.problem: (5,) for chain in made}
    return information(made, {"base": reads, "tuned": reads}, answers, vocabulary=(EMPTY,))


def test_longer_chains_alone_give_the_published_drop():
    """The same four useful steps, four empty ones more: no information is lost, and the formula says that it is."""
    table = informed((4, 0), (4, 4)).table
    own = table[(table.chain == "own") & (table.reader == table.writer) & (table.problem == "p0")].sort_values("i")
    ends = {w: (of["bits"].iloc[-1] - of["bits"].iloc[0]) for w, of in own.groupby("writer")}
    assert ends == {"base": 8.0, "tuned": 8.0}
    published = {w: telescoped(of["perplexity"].tolist()) for w, of in own.groupby("writer")}
    assert published["tuned"] / published["base"] - 1 < -0.389
    verdict = steps_inform(informed((4, 0), (4, 4)))
    assert verdict.says == "undecided" and verdict.estimate is None
    assert "0 problems on which base and tuned wrote chains of equal length" in verdict.because
    assert "The published formula changes by -" in verdict.because


def test_the_formula_telescopes():
    middle = np.random.default_rng(0).random(4).tolist()
    assert telescoped([9.0, *middle, 3.0]) == telescoped([9.0, 1.0, 1.0, 1.0, 1.0, 3.0]) == 1.0
    with pytest.raises(ValueError, match="needs the perplexity before and after a step, got 1"):
        telescoped([1.0])


def test_steps_that_say_less_at_equal_length_are_found():
    """Half of tuned's steps are empty; foreign chains of this world say as much, so a reader of prompts is needed."""
    verdict = steps_inform(informed((4, 0), (2, 2)))
    assert verdict.says == "undecided" and "or no more than those of other problems" in verdict.because


def keyed(name, useful, empty):
    """As `writer`, but a useful step speaks of its own problem."""
    return [
        Chain(f"p{i}", name, (0, 100 + i), ((100 + i,),) * useful + ((EMPTY,),) * empty, "a", "a") for i in range(40)
    ]


def reads_keyed(texts, answers):
    bits = np.array([-8.0 + 2 * text[2:].count(text[1]) for text in texts])
    return bits, np.exp(-bits / 4)


@pytest.mark.parametrize(("tuned", "says", "change"), [((2, 2), "supported", -0.5), ((4, 0), "contradicted", 0.0)])
def test_bits_per_step_at_equal_length(tuned, says, change):
    made = [*keyed("base", 4, 0), *keyed("tuned", *tuned)]
    answers = {chain.problem: (5,) for chain in made}
    found = information(made, {"base": reads_keyed, "tuned": reads_keyed}, answers)
    verdict = steps_inform(found)
    assert (verdict.says, verdict.estimate) == (says, pytest.approx(change))
    gains = found.table[(found.table.chain == "foreign") & (found.table.writer == "base")]
    assert gains["bits"].eq(-8).all(), "another problem's steps say nothing"
    assert "foreign 0.00" in verdict.because
    fixed = steps_inform(found, reader="base")
    assert (fixed.says, fixed.estimate) == (verdict.says, verdict.estimate)


@pytest.fixture(scope="module")
def asked(organism_pair):
    """Chains that both wrote to held-out problems, sampled so that base writes some too."""
    pair, task = organism_pair("rl"), organism_task("rl", n=45, practice=3)
    written = write(pair, task, samples=6)
    made, without = chains(pair, task, written)
    return pair, task, made, without


def test_an_organism_that_works_step_by_step_reads_its_chain(asked):
    pair, _, made, without = asked
    mine = [chain for chain in made if chain.writer == "tuned"][:30]
    assert without["base"] > without.get("tuned", 0)
    cue = word_ids(pair, [CUE])
    readers = {name: made_to_answer(pair, name, cue, max_new_tokens=4) for name in ("base", "tuned")}
    options = {"corrupt": carried_mistake(pair), "paraphrase": other_words(pair), "filler": word_ids(pair, [FILLER])}
    table = faithfulness(mine, readers, **options).table
    assert table[table.test == "whole"].groupby("reader")["same"].mean().gt(0.9).all()
    assert table[table.test == "corrupted"].groupby("reader")["follows"].mean().gt(0.8).all()
    assert table[(table.test == "early") & (table.i == 0)].groupby("reader")["same"].mean().lt(0.3).all()


def test_steps_of_an_organism_inform_and_those_of_others_do_not(asked):
    pair, _, made, _ = asked
    mine = [chain for chain in made if chain.writer == "tuned" and chain.answer == chain.gold][:30]
    ids = answer_ids(pair)
    cue = word_ids(pair, [CUE])
    found = information(mine, {"tuned": scored_by(pair, "tuned", cue)}, {c.problem: ids(c.gold) for c in mine}).table
    ends = found.sort_values("i").groupby(["chain", "problem"])["bits"].agg(["first", "last"])
    gain = (ends["last"] - ends["first"]).groupby("chain").mean()
    assert gain["own"] > 3 > 0 > gain["foreign"]


def test_a_score_is_the_probability_of_the_tokens(asked):
    import torch

    pair, _, made, _ = asked
    chain = made[0]
    bits, perplexity = scored_by(pair, "base", (7,))([chain.after(1)], [(11, 12)])
    tokens = torch.tensor([[*chain.after(1), 7, 11, 12]])
    told = torch.log_softmax(pair.base(tokens)[0].double(), -1)
    each = [told[i, tokens[0, i + 1]].item() for i in range(tokens.shape[1] - 1)]
    assert bits[0] == pytest.approx(sum(each[-2:]) / np.log(2), abs=1e-4)
    assert perplexity[0] == pytest.approx(np.exp(-np.mean(each)), rel=1e-4)
