"""A task's prompts as a chat model expects them: one user's turn in a chat template, for both models alike."""

from dataclasses import replace
from typing import Any

from interp.tasks.task import Problem, Task

LONGEST = 2**16
"""Characters of a chat template that is run; the longest in use have about 20,000."""


def in_chat(task: Task, tokenizer: Any) -> Task:
    """The task with every prompt as a user's turn in the tokenizer's chat template, up to where the answer begins.

    Base and tuned are compared on one text, so both read the same template: give tuned's tokenizer to ask as tuned
    expects, base's to ask as base does, and neither (the task as it is) for plain text. The task's name says it, and
    with it every result. A begin token that the template writes is left to the tokenizer where that puts one itself.
    Spans are over the worked responses and stay where they are. The template runs in transformers' sandbox, which
    gives it no attributes of Python's and ranges up to 100,000.

    ValueError where there is no template, it is too long, it fails, or it loses a prompt.
    """
    template = tokenizer.chat_template
    if not isinstance(template, str):
        raise ValueError(f"the tokenizer has no chat template for task {task.name!r}; ask in plain text")
    if len(template) > LONGEST:
        raise ValueError(f"the chat template has {len(template):,} characters, more than {LONGEST:,} are not run")
    put = tokenizer.bos_token if tokenizer.bos_token_id in tokenizer.encode("a")[:1] else None

    def turned(problem: Problem) -> Problem:
        message = [{"role": "user", "content": problem.prompt}]
        try:
            prompt = str(tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True))
        except Exception as error:  # whatever a template raises, which is code of somebody else's
            first = str(error).partition("\n")[0]
            raise ValueError(f"the chat template fails on problem {problem.id!r}: {first}") from error
        if problem.prompt.strip() not in prompt:
            raise ValueError(f"the chat template leaves out the prompt of problem {problem.id!r}; ask in plain text")
        return replace(problem, prompt=prompt.removeprefix(put) if put else prompt)

    problems, practice, facts = (tuple(map(turned, part)) for part in (task.problems, task.practice, task.facts))
    return replace(task, name=f"{task.name}, in a chat template", problems=problems, practice=practice, facts=facts)
