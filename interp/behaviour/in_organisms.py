"""What the organisms' language knows of itself: other words for a step, mistakes that are carried on, and a filler."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pandas as pd

from interp.behaviour.chains import Chain
from interp.behaviour.choosing import edited, kept_going
from interp.behaviour.faithfulness import Corrupt, Paraphrase, Steps
from interp.behaviour.lengths import FORCED, lengths
from interp.decoding import greedy
from interp.measurement import Measurement
from interp.organisms.grammar import FORMS
from interp.organisms.world import State, apply, undo
from interp.pair import Pair
from interp.rollouts import write
from interp.tasks.task import Task

FILLER = ":"
"""The word that fills where steps were: one that the language has and that says nothing about a state."""
CUE = "ans"


def word_ids(pair: Pair, words: Sequence[str]) -> tuple[int, ...]:
    """Token ids of words, without a begin token."""
    return tuple(int(i) for i in pair.tokenizer.convert_tokens_to_ids(list(words)))


def carried_mistake(pair: Pair) -> Corrupt:
    """Adds 1 to the first digit of step i's state; later steps follow from it, and so does the answer."""

    def corrupt(chain: Chain, i: int) -> tuple[Steps, str] | None:
        said = [pair.words(step) for step in chain.steps]
        if any(len(words) != 5 or words[0] not in ("step", "check", "back") for words in said[i - 1 :]):
            return None  # a plan shows no state of its own, and what follows it would not follow from a mistake in it
        state = _state(said[i - 1][2:])
        wrong: State = ((state[0] + 1) % 10, state[1], state[2])
        steps, made = list(chain.steps[: i - 1]), [[*said[i - 1][:2], *map(str, wrong)]]
        for words in said[i:]:
            wrong = (undo if words[0] == "back" else apply)(words[1], wrong)
            made.append([*words[:2], *map(str, wrong)])
        return (*steps, *(word_ids(pair, words) for words in made)), " ".join(map(str, wrong))

    return corrupt


def other_words(pair: Pair) -> Paraphrase:
    """The first i steps with `step` for `check` and `check` for `step`; only pairs that met both words read it."""
    first, second = word_ids(pair, FORMS["step"])
    other = {first: second, second: first}

    def paraphrase(chain: Chain, i: int) -> Steps | None:
        said = chain.steps[:i]
        if not all(step[0] in other for step in said):
            return None
        return (*((other[step[0]], *step[1:]) for step in said), *chain.steps[i:])

    return paraphrase


def answer_ids(pair: Pair) -> Callable[[str], tuple[int, ...]]:
    """Words of an answer to token ids: what the right answer's tokens are."""
    return lambda answer: word_ids(pair, answer.split())


def forced_steps(
    pair: Pair, task: Task, *, extra: Sequence[int] = (0, 1, 2), seed: int = 0, batch_size: int = 256
) -> Measurement:
    """`forced`: the `lengths` of forward programs when no answer may begin before so many steps beyond those needed.

    The dose is the number of steps too many: where a model would open its answer earlier, it opens a step instead. A
    dose of 0 forces nobody who writes all steps. Greedy, so one text per problem, arm and dose.
    """
    step, answer = word_ids(pair, ["step", CUE])
    parts = list[pd.DataFrame]()
    said = {problem.id: problem.prompt.split() for problem in task.problems if problem.kind == "run"}
    sizes = {name: words.index(":") - words.index("run") - 1 for name, words in said.items()}
    for size in sorted(set(sizes.values())):
        same = replace(task, problems=tuple(problem for problem in task.problems if sizes.get(problem.id) == size))
        for number, dose in enumerate(extra):
            edit = kept_going([answer, *pair.stop_ids], step, times=size + dose)
            choose = {model: edited(greedy(model), model, edit) for model in pair.models}
            made = write(pair, same, temperature=None, choose=choose, seed=seed, batch_size=batch_size)
            parts.append(made.table.assign(dose=float(dose), sample=number))
    written = Measurement("written", made.unit, pd.concat(parts, ignore_index=True), made.made_with)
    return replace(lengths(written, mode=FORCED), name="forced")


def _state(words: Sequence[str]) -> State:
    a, b, c = (int(word) for word in words)
    return a, b, c
