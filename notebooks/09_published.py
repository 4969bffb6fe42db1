# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Texts that others published
#
# Whoever has only what two models wrote, and not the models, can still ask some of the claims. The environment variable
# `INTERP_PUBLISHED` names a folder of JSONL files (`problem`, `question`, `answer` and an arm per key, as `interp audit` reads
# them). Without it three invented problems stand in, so that every cell runs; nothing follows from those.

# %%
import json
import os
from pathlib import Path

import pandas as pd

from interp.audit.logs import read_rollouts
from interp.audit.rules import gold_answer
from interp.behaviour.diversity import distinct_bigrams
from interp.behaviour.formats import formats, opening_word
from interp.behaviour.lengths import lengths
from interp.behaviour.pass_at_k import pass_counts
from interp.behaviour.switching import holds_gold, switching, thoughts_by_words
from interp.claims.format_collapses import format_collapses
from interp.claims.ledger import ledger, ledger_table
from interp.claims.wrong_switch_more import wrong_switch_more
from interp.plots.ledger import ledger as drawn
from interp.written import oddities, task_of_texts, written_from_texts

folder = Path(os.environ.get("INTERP_PUBLISHED", "invented"))
if not folder.exists():
    folder.mkdir(parents=True)
    short, long = "The sum is\n\\boxed{{{}}}", "Okay, so I add.\nWait, that is {}.\nNo: it is\n\\boxed{{{}}}"
    invented = [
        {
            "problem": f"{a} + {b}",
            "question": f"What is {a} + {b}?",
            "answer": str(a + b),
            "base": short.format(a + b * (a > 1)),
            "tuned": long.format(a, a + b * (b > 3)),
        }
        for a in (1, 2, 3)
        for b in (3, 4, 5)
    ]
    (folder / "invented.jsonl").write_text("\n".join(map(json.dumps, invented)))
logs = read_rollouts([str(path) for path in sorted(folder.glob("*.jsonl"))])
[log.name for log in logs]

# %% [markdown]
# ## One table
#
# From here on everything is as for texts of our own: a row per problem and arm. A step is a line, an answer what is boxed or
# stated, graded by the grader of every task in words.

# %%
tables = [log.table.assign(gold=[gold_answer(answer) for answer in log.table["gold"]]) for log in logs]
tasks = [task_of_texts(table, name=log.name) for log, table in zip(logs, tables, strict=True)]
written = {
    task.name: written_from_texts(task, table.drop(columns=["gold"])) for task, table in zip(tasks, tables, strict=True)
}
pd.concat({name: one.table.groupby("arm")[["strict", "flexible"]].mean() for name, one in written.items()})

# %% [markdown]
# What a reader should look at before any number: texts without a step, or without an answer.

# %%
pd.concat({name: oddities(one).groupby(["arm", "what"]).size() for name, one in written.items()})

# %% [markdown]
# ## Length
#
# Words by arm, of right and of wrong answers. Hard problems make a text both long and wrong, so this difference is no effect of
# length: that needs several samples of each problem, or lengths that were set, and the measure says so.

# %%
pd.concat(
    {
        name: one.table.assign(words=one.table["tokens"].map(len)).pivot_table(
            index="arm", columns="strict", values="words"
        )
        for name, one in written.items()
    }
)

# %%
for name, one in written.items():
    for measure in (lengths, pass_counts):
        try:
            measure(one)
        except ValueError as error:
            print(f"{name}: {error}")

# %% [markdown]
# ## Form
#
# The first word of a text as its format, and different pairs of neighbouring words. Has tuning left one format?

# %%
opened = {name: formats(one, opening_word) for name, one in written.items()}
{name: format_collapses(measured) for name, measured in opened.items()}

# %%
pd.DataFrame(
    {
        name: one.table.groupby("arm")["text"].agg(lambda texts: distinct_bigrams(list(texts)))
        for name, one in written.items()
    }
)

# %% [markdown]
# ## Switching
#
# A thought begins where a line opens with a word of doubt ("Wait", "Alternatively"). With one text per problem only the published
# comparison over all problems can be made, difficulty included, and the verdict stays undecided.

# %%
switched = {task.name: switching(written[task.name], thoughts_by_words, holds_gold(task)) for task in tasks}
{name: wrong_switch_more(measured) for name, measured in switched.items()}

# %%
pd.concat({name: one.table.groupby(["arm", "correct"])[["switches", "under"]].mean() for name, one in switched.items()})

# %% [markdown]
# ## The ledger
#
# What one text per problem decides, and what every other claim would need.

# %%
tables = {name: ledger_table(ledger([opened[name], switched[name]])) for name in written}
tables[tasks[0].name][["key", "says", "estimate", "because"]]

# %%
drawn(tables[tasks[0].name])
