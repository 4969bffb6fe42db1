from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from interp.organisms.language import make_tokenizer
from interp.tasks.chat import in_chat
from interp.tasks.grading import grade_text
from interp.tasks.task import Problem, Span, Task

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }} {% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


@pytest.fixture
def task() -> Task:
    problem = Problem("p", "run A : 1 2", "1", text="plan 1", spans=(Span(0, 4, "plan"),))
    return Task("sums", (problem,), (Problem("q", "inv B", "2"),), (Problem("f", "fact ba", "bi"),), grade_text, 8)


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerBase:
    """The organisms' own, which puts a begin token in front."""
    made = make_tokenizer()
    made.chat_template = TEMPLATE
    return made


def test_every_prompt_is_a_users_turn_and_the_result_says_so(task: Task, tokenizer: PreTrainedTokenizerBase) -> None:
    chat = in_chat(task, tokenizer)
    assert [p.prompt for p in (*chat.problems, *chat.practice, *chat.facts)] == [
        "[user] run A : 1 2 [assistant]",
        "[user] inv B [assistant]",
        "[user] fact ba [assistant]",
    ]
    assert chat.name == "sums, in a chat template"
    assert chat.digest != task.digest
    assert (chat.problems[0].text, chat.problems[0].spans) == (task.problems[0].text, task.problems[0].spans)


def test_there_is_one_begin_token_whoever_puts_it(task: Task, tokenizer: PreTrainedTokenizerBase) -> None:
    with_ours = tokenizer.encode(in_chat(task, tokenizer).problems[0].prompt)
    assert with_ours.count(tokenizer.bos_token_id) == 1
    tokenizer.backend_tokenizer.post_processor = None
    without = tokenizer.encode(in_chat(task, tokenizer).problems[0].prompt)
    assert without == with_ours


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        (None, r"the tokenizer has no chat template for task 'sums'; ask in plain text"),
        ("x" * 2**17, r"the chat template has 131,072 characters, more than 65,536 are not run"),
        ("{{ raise_exception('no') }}", r"the chat template fails on problem 'p': no"),
        ("{% for i in range(10**7) %}x{% endfor %}", r"the chat template fails on problem 'p': Range too big"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", r"the chat template fails on problem 'p': .*unsafe"),
        ("{{ messages.append(1) }}", r"the chat template fails on problem 'p': .*unsafe"),
        ("[assistant]", r"the chat template leaves out the prompt of problem 'p'"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused(
    task: Task, tokenizer: PreTrainedTokenizerBase, template: str | None, sentence: str, tmp_path: Path
) -> None:
    tokenizer.chat_template = template
    with pytest.raises(ValueError, match=sentence):
        in_chat(task, tokenizer)
