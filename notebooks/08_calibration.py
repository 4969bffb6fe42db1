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
# # How often is each instrument right?
#
# A verdict about your pair cannot be checked: nobody knows what tuning did to it. The organisms are pairs in which it was planted,
# so there every instrument can be marked. This notebook reads the marks that ship with this version. `interp calibrate` makes them
# again from the checkpoints.

# %%
from interp.calibration.expected import CONFIRMATION, DEVELOPMENT, EXPECTED
from interp.calibration.rates import failing, lines, rates
from interp.calibration.record import CLAIMS, SHIPPED, missed, record
from interp.claims.routing_recovers import CLAIM
from interp.measurement import Measurement
from interp.plots.calibration import calibration
from interp.plots.missed import missed as missed_curves
from interp.plots.missed import missed_by_vectors

matrix = Measurement.load(SHIPPED / "record.json")
matrix

# %% [markdown]
# One row per answer. What is right stands in code, by how each organism was made; an organism that was free to change as it liked
# has no right answer and is not asked.

# %%
EXPECTED["when or how"]

# %% [markdown]
# ## The whole matrix
#
# Pale cells are all right, grey ones undecided at most, dark ones wrong. Behind the line stand the readings that are usual for the
# same question.

# %%
calibration(matrix)

# %% [markdown]
# Verdicts on claims about what models write have organisms of their own. Where a claim is not true of an organism, both
# *contradicted* and *undecided* are right.

# %%
claims = Measurement.load(SHIPPED / CLAIMS)
calibration(claims)

# %% [markdown]
# ## Rates
#
# Rules may be chosen on development seeds only; confirmation seeds had no part in them.

# %%
DEVELOPMENT, CONFIRMATION

# %%
rates(matrix)[["instrument", "part", "n_planted", "sensitivity", "n_nothing", "false_positive", "undecided", "p_coin"]]

# %%
print("\n".join(lines(matrix)))

# %%
print("\n".join(lines(claims)))

# %% [markdown]
# An instrument that finds less than 95% of what is planted on confirmation seeds, or finds something in more than 5% of pairs with
# nothing in them, is named, and the page of a report says so beside its verdict.

# %%
failing(matrix) | failing(claims)

# %% [markdown]
# ## What stands beside a verdict

# %%
print(record(CLAIM))

# %% [markdown]
# A good record in clear-cut pairs says little about a small gap seen on few problems. So the kept answers of organisms are drawn
# again: fewer problems, and gaps made smaller by problems that tuning did not reach.

# %%
power = Measurement.load(SHIPPED / "power.json")
missed_curves(power)

# %% [markdown]
# The page of a report quotes the nearest point of this curve. A pair of your own is given as its saved measurements:

# %%
from pathlib import Path

import interp
from interp.figures.data import load_data

answers = load_data(Path(interp.__file__).parent.parent / "figures" / "data" / "rl", "answers")
print(missed(CLAIM, {"answers": answers}))

# %% [markdown]
# ## Weaker tunings
#
# Base with a part of tuning's change, measured as any other pair. Where half of the change changes no answer, the gap says so, and
# undecided is the honest answer.

# %%
weaker = Measurement.load(SHIPPED / "weaker.json").table
weaker[["instrument", "organism", "base_seed", "share", "gap", "expected", "given", "outcome"]]

# %% [markdown]
# ## Fewer vectors for an autoencoder
#
# Verdicts about features hang on an SAE. Here each was fitted on fewer activations, and everything else stayed.

# %%
vectors = Measurement.load(SHIPPED / "vectors.json")
missed_by_vectors(vectors)
