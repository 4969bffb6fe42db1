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
# # Reviewing a figure
#
# Does the plot follow from the numbers, and do the numbers follow from the checkpoints? The first question needs neither
# torch nor a GPU: every figure is drawn again from its saved table and compared with the committed one, number by number.

# %%
from pathlib import Path

import interp
from interp.figures.check import check_drawing, saved
from interp.figures.manifest import open_script, read_manifest

folder = Path(interp.__file__).parent.parent / "figures"
figures = read_manifest(folder)
list(figures)

# %%
for figure in figures.values():
    for check in check_drawing(folder, figure):
        print(check)

# %% [markdown]
# A figure's table says what it was made with: checkpoints and their digests, problems, seed, versions, commit.

# %%
figure = figures["arms-rl"]
data = saved(folder, figure)
data["rl/answers"].made_with

# %%
open_script(folder, figure).draw(data)

# %% [markdown]
# The numbers a caption quotes are computed from the table, verdict included.

# %%
open_script(folder, figure).headline(data)

# %% [markdown]
# From a shell, `interp figures check` does this for all figures; `--level shard` measures a sample again from the shipped
# checkpoints, and `--level full` everything.
