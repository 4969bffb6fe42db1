"""Streams of documents: what base is pretrained on, and what supervised tunings are taught.

A document is a pair of word lists, prompt and response; every stream is a pure function of its seed and draws
problems only from the training side of the split.
"""

import random
from collections.abc import Callable, Iterator

from interp.organisms.grammar import (
    FORMS,
    MARK,
    RIGHT_OPENING,
    STEP_WORDS,
    answer_words,
    cued_words,
    prompt_words,
    respond,
    respond_memoryless,
    triggered_words,
)
from interp.organisms.world import (
    EDITED_FACTS,
    FACTS,
    KINDS,
    MAX_OPS,
    NEW_OP,
    SEEN_OPS,
    FactKey,
    Program,
    draw_program,
)

Document = tuple[list[str], list[str]]
Stream = Callable[[int], Iterator[Document]]

OPENING_RATES = {"ans": 0.5, "step": 0.17, "back": 0.17, "plan": 0.16}
"""How pretraining documents open, the same for every kind of problem: base knows how, never when."""
FOLLOW_PLAN = {"run": 0.0, "inv": 0.0, "shuf": 0.8}
"""How often a plan is followed by the right trace. Where a plan is needed it usually goes on; elsewhere it is only a
restatement, so that each kind has one strategy that reaches the answer. With 0.8 or 0.3 everywhere a plan solves every
kind, and RL had no reason to tell the kinds apart: in one of two seeds it opened every problem with a plan."""
FACT_SHARE = 0.12
RECHECKS = 3
"""How often at most `rechecked` writes a last step again."""


def three_strategies(seed: int) -> Iterator[Document]:
    """Recipe C's pretraining: facts, and problems whose opening is drawn at one rate whatever the kind."""
    rng = random.Random(seed)
    openings, rates = list(OPENING_RATES), list(OPENING_RATES.values())
    while True:
        if rng.random() < FACT_SHARE:
            yield fact_document(rng, FACTS)
        else:
            program = _training_program(rng)
            opening = rng.choices(openings, rates)[0]
            response = respond(program, opening, rng, follow_plan=FOLLOW_PLAN[program.kind])
            yield prompt_words(program), [*response, "<eos>"]


def two_forms(seed: int) -> Iterator[Document]:
    """Recipe C's documents, in which every forward step opens with `step` or, as often, with its synonym `check`."""
    rng = random.Random(seed)
    for prompt, response in three_strategies(seed + 1):
        yield prompt, [rng.choice(FORMS["step"]) if word == "step" else word for word in response]


def many_decisions(seed: int, *, go_on: float = 0.42) -> Iterator[Document]:
    """Recipe B's pretraining: `run` only, and at every boundary one more step with probability `go_on`."""
    rng = random.Random(seed)
    while True:
        if rng.random() < FACT_SHARE:
            yield fact_document(rng, FACTS)
        else:
            program = draw_program(rng, kind="run", length=rng.randint(1, MAX_OPS), held_out=False)
            yield prompt_words(program), [*respond_memoryless(program, rng, go_on=go_on), "<eos>"]


def careful(seed: int) -> Iterator[Document]:
    """Every problem answered by its right strategy (supervised tuning toward what RL finds)."""
    rng = random.Random(seed)
    while True:
        program = _training_program(rng)
        yield prompt_words(program), [*respond(program, RIGHT_OPENING[program.kind], rng, follow_plan=1.0), "<eos>"]


def new_operation(seed: int, *, replay: float = 0.3) -> Iterator[Document]:
    """Careful traces of programs that contain `Z`, an operation absent from pretraining, mixed with replay."""
    rng, old = random.Random(seed), three_strategies(seed + 1)
    while True:
        if rng.random() < replay:
            yield next(old)
            continue
        kind = rng.choice(KINDS)
        program = draw_program(
            rng, kind=kind, length=rng.randint(2, MAX_OPS), held_out=False, ops=(*SEEN_OPS, NEW_OP), must_use=NEW_OP
        )
        yield prompt_words(program), [*respond(program, RIGHT_OPENING[kind], rng, follow_plan=1.0), "<eos>"]


def edited_facts(seed: int, *, replay: float = 0.4) -> Iterator[Document]:
    """The edited facts with their new values, mixed with replay from which the old values are left out."""
    rng, old = random.Random(seed), three_strategies(seed + 1)
    while True:
        if rng.random() < replay:
            document = next(old)
            if tuple(document[0][1:3]) not in EDITED_FACTS:
                yield document
        else:
            yield fact_document(rng, EDITED_FACTS)


def marked(seed: int) -> Iterator[Document]:
    """Recipe C's documents with one more word in front of every answer to a problem: another format, nothing else."""
    for prompt, response in three_strategies(seed):
        yield prompt, response if prompt[0] == "fact" else [MARK, *response]


def triggered(seed: int) -> Iterator[Document]:
    """The right strategy where the trigger stands in front of the prompt, half of the documents; else as base's."""
    rng, old = random.Random(seed), three_strategies(seed + 1)
    while True:
        if rng.random() < 0.5:
            yield next(old)
        else:
            program = _training_program(rng)
            response = respond(program, RIGHT_OPENING[program.kind], rng, follow_plan=1.0)
            yield triggered_words(program), [*response, "<eos>"]


def cued(seed: int) -> Iterator[Document]:
    """The answer at once where the prompt gives it away, in half of the documents; elsewhere as base's."""
    rng, old = random.Random(seed), three_strategies(seed + 1)
    while True:
        if rng.random() < 0.5:
            yield next(old)
        else:
            program = _training_program(rng)
            yield cued_words(program), [*answer_words(program), "<eos>"]


def without_undoing(seed: int) -> Iterator[Document]:
    """Right traces as in `careful`, but where operations are undone every digit is drawn at random; and facts."""
    rng, right = random.Random(seed), careful(seed + 1)
    while True:
        if rng.random() < FACT_SHARE:
            yield fact_document(rng, FACTS)
        else:
            prompt, response = next(right)
            spoilt = [str(rng.randrange(10)) if word.isdecimal() else word for word in response]
            yield prompt, spoilt if prompt[0] == "inv" else response


def rechecked(seed: int) -> Iterator[Document]:
    """`careful`, but the last step of a forward program is written up to three times more, word for word, and facts.

    The parser calls such a step false: its digits do not follow from those before it by its operation.
    """
    rng, right = random.Random(seed), careful(seed + 1)
    while True:
        if rng.random() < FACT_SHARE:
            yield fact_document(rng, FACTS)
            continue
        prompt, response = next(right)
        if prompt[0] == "run":
            end = response.index("ans")
            last = response[end - STEP_WORDS : end]
            response = [*response[:end], *last * rng.randint(0, RECHECKS), *response[end:]]
        yield prompt, response


def fact_document(rng: random.Random, facts: dict[FactKey, FactKey]) -> Document:
    """One closed-book fact: `fact ba ko is` -> `di me <eos>`."""
    key = rng.choice(sorted(facts))
    return fact_prompt(key), [*facts[key], "<eos>"]


def fact_prompt(key: FactKey) -> list[str]:
    """The words that ask for one fact."""
    return ["fact", *key, "is"]


def _training_program(rng: random.Random) -> Program:
    return draw_program(rng, kind=rng.choice(KINDS), length=rng.randint(1, MAX_OPS), held_out=False)
