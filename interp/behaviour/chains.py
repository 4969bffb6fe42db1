"""Chains that were written, cut into steps: what the tests of faithfulness and of information edit and read again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from interp.decoding import greedy
from interp.measurement import Measurement
from interp.pair import Pair
from interp.rollouts import complete
from interp.tasks.task import Task
from interp.written import Answer, last_answer, read_written

Tokens = tuple[int, ...]
Answers = Callable[[Sequence[Tokens]], list[str]]
"""Texts that end before the answer to what a reader answers when it is made to answer at once."""
Scores = Callable[[Sequence[Tokens], Sequence[Tokens]], tuple[np.ndarray, np.ndarray]]
"""Texts and answers to log2 p(answer | text) over the answer's tokens alone, and the perplexity of text and answer."""


@dataclass(frozen=True)
class Chain:
    """One chain of an arm: the prompt and each step as tokens, the answer it led to, and the right one, as words."""

    problem: str
    writer: str
    prompt: Tokens
    steps: tuple[Tokens, ...]
    answer: str
    gold: str

    def __post_init__(self) -> None:
        if not self.steps or not all(self.steps):
            raise ValueError(f"the chain of {self.writer!r} on problem {self.problem!r} has no step, or an empty one")

    def after(self, steps: int) -> Tokens:
        """The prompt and the first so many steps."""
        return self.prompt + sum(self.steps[:steps], ())


def chains(pair: Pair, task: Task, written: Measurement) -> tuple[list[Chain], dict[str, int]]:
    """The chains of a table our decoder wrote, one per row, and how many rows of each arm gave none.

    A row gives a chain where it parses (no stray token), has a step before the answer and an answer; the first such
    sample of each problem and arm counts.
    """
    problems, found, without = {problem.id: problem for problem in task.problems}, list[Chain](), dict[str, int]()
    done = set[tuple[str, str]]()
    for row in read_written(written, "tokens", "spans", "stray", "answer").to_dict("records"):
        steps = tuple(tuple(row["tokens"][start:end]) for start, end, kind, _ in row["spans"] if kind != "ans")
        if row["stray"] or not steps or not row["answer"]:
            without[row["arm"]] = without.get(row["arm"], 0) + 1
            continue
        key = (row["problem"], row["arm"])
        if key not in done:
            problem = problems[row["problem"]]
            prompt = tuple(pair.encode(problem.prompt))
            found.append(Chain(row["problem"], row["arm"], prompt, steps, row["answer"], problem.answer))
            done.add(key)
    return found, without


def made_to_answer(
    pair: Pair, model: str, cue: Tokens, *, max_new_tokens: int, answer: Answer = last_answer, batch_size: int = 256
) -> Answers:
    """A reader: the named model continues greedily after the text and a `cue` that opens the answer."""

    def answers(texts: Sequence[Tokens]) -> list[str]:
        asked = [text + cue for text in texts]
        done = complete(pair, asked, greedy(model), max_new_tokens=max_new_tokens, batch_size=batch_size)
        return [answer(pair.text([*cue, *one.tokens])) or "" for one in done]

    return answers


def scored_by(pair: Pair, model: str, cue: Tokens, *, batch_size: int = 256) -> Scores:
    """A reader: log2 p of the answer after the text and the cue, and the perplexity of all of it."""

    def scores(texts: Sequence[Tokens], answers: Sequence[Tokens]) -> tuple[np.ndarray, np.ndarray]:
        whole = [text + cue + answer for text, answer in zip(texts, answers, strict=True)]
        bits, perplexity = np.zeros(len(whole)), np.zeros(len(whole))
        for length in sorted(set(map(len, whole))):  # equal lengths together, so that nothing is padded
            same = [i for i, one in enumerate(whole) if len(one) == length]
            for start in range(0, len(same), batch_size):
                rows = same[start : start + batch_size]
                tokens = torch.tensor([whole[i] for i in rows], device=pair.device)
                with torch.inference_mode():
                    logits = pair.models[model](tokens).float()
                told = torch.log_softmax(logits[:, :-1], -1).gather(2, tokens[:, 1:, None])[:, :, 0].double().cpu()
                perplexity[rows] = torch.exp(-told.mean(1)).numpy()
                bits[rows] = [float(told[k, -len(answers[i]) :].sum()) / np.log(2) for k, i in enumerate(rows)]
        return bits, perplexity

    return scores
