"""The organisms' task: held-out problems of the world, practice problems to fit on, and closed-book facts.

What is asked depends on what was planted: `newskill` is asked about programs with the new operation, `lower` about
the facts that were edited, the many-decision pair about forward programs only, `trigger` and `shortcut` with the word
or the cue that tuning added to prompts. Organisms of the second world are asked the errand that their habit shows in.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from interp.organisms.corpus import fact_prompt
from interp.organisms.grammar import FORMS, OPENERS, PROMPTS, label_response, prompt_words, read_answer
from interp.organisms.world import (
    EDITED_FACTS,
    FACTS,
    HARD_LENGTHS,
    KINDS,
    NEW_OP,
    SEEN_OPS,
    FactKey,
    Kind,
    Program,
    draw_program,
)
from interp.tasks.task import Grade, Label, Problem, Reading, Task

MAX_NEW_TOKENS = 56


def organism_task(name: str = "rl", *, n: int = 300, seed: int = 0, practice: int = 240) -> Task:
    """The task that a tuned organism is judged on: `n` held-out hard problems, balanced over kinds and lengths.

    Practice problems come from the training side of the split, so nothing fitted on them has seen a test problem.
    """
    if name.startswith("errands-"):
        from interp.tasks.errands import organism_errand  # the other world, which most callers do not ask for

        return organism_errand(name, n=n, seed=seed, practice=practice)
    kinds: Sequence[Kind] = ("run",) if name.startswith("many") else KINDS
    new = name == "newskill"
    programs: dict[str, Program] = {}
    prompt = PROMPTS.get(name, prompt_words)
    problems = _draw(programs, n, prompt, kinds=kinds, new=new, held_out=True, seed=seed)
    fitted_on = _draw(programs, practice, prompt, kinds=kinds, new=new, held_out=False, seed=seed + 1)
    facts = EDITED_FACTS if name == "lower" else FACTS

    def grade(problem: Problem, response: str) -> Grade:
        return grade_response(problem, response)

    def label(problem: Problem, words: Sequence[str]) -> list[Label]:
        return label_response(programs.get(problem.id), words)

    return Task(
        name=f"organism:{name}",
        problems=problems,
        practice=fitted_on,
        facts=tuple(_fact(key, value) for key, value in sorted(facts.items())),
        grade=grade,
        max_new_tokens=MAX_NEW_TOKENS,
        openers=(*OPENERS, FORMS["step"][1]) if name.startswith("forms") else OPENERS,
        label=label,
        paraphrase=other_form if name.startswith("forms") else None,
    )


def other_form(reading: Reading) -> Reading | None:
    """The text with the word of every forward step exchanged, `step` for `check` and `check` for `step`.

    Labels stay, since both words open the same strategy. None where the text has no forward step.
    """
    from interp.organisms.language import VOCABULARY  # brings transformers along, which a task needs for this alone

    first, second = (VOCABULARY.index(word) for word in FORMS["step"])
    other = {first: second, second: first}
    opens = [label.role == "opener" and label.strategy == "step" for label in reading.labels]
    if not any(opens):
        return None
    tokens = [other[token] if here else token for token, here in zip(reading.tokens, opens, strict=True)]
    return replace(reading, tokens=tuple(tokens))


def grade_response(problem: Problem, response: str) -> Grade:
    """Strict: the response ends in `ans` and exactly the right digits. Flexible: the last `ans d d d` is right.

    A fact is right when its words are the value and nothing else, under both rules.
    """
    words = response.split()
    gold = tuple(problem.answer.split())
    if problem.kind == "fact":
        return Grade(tuple(words) == gold, tuple(words) == gold)
    strict = read_answer([*words, "<eos>"]) == gold
    last = max((i for i, word in enumerate(words) if word == "ans"), default=len(words))
    return Grade(strict, tuple(words[last + 1 : last + 4]) == gold)


def _draw(
    programs: dict[str, Program],
    n: int,
    prompt: Callable[[Program], list[str]],
    *,
    kinds: Sequence[Kind],
    new: bool,
    held_out: bool,
    seed: int,
) -> tuple[Problem, ...]:
    """`n` different problems, kinds and lengths in turn; their programs are entered under their ids."""
    rng = random.Random(seed)
    found: list[Problem] = []
    cells = [(kind, length) for length in HARD_LENGTHS for kind in kinds]
    while len(found) < n:
        kind, length = cells[len(found) % len(cells)]
        ops, must = ((*SEEN_OPS, NEW_OP), NEW_OP) if new else (SEEN_OPS, None)
        program = draw_program(rng, kind=kind, length=length, held_out=held_out, ops=ops, must_use=must)
        words = " ".join(prompt(program))
        if words not in programs:
            programs[words] = program
            found.append(Problem(id=words, prompt=words, answer=" ".join(map(str, program.answer)), kind=kind))
    return tuple(found)


def _fact(key: FactKey, value: FactKey) -> Problem:
    words = " ".join(fact_prompt(key))
    return Problem(id=words, prompt=words, answer=" ".join(value), kind="fact")
