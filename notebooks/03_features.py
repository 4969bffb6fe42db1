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
# # Was it there before?
#
# Before tuning, had base something that tells the strategies apart which tuning later made more of, and did base use it? A
# sparse autoencoder is trained on base alone. Its features, and directions that need no autoencoder, are scored on problems
# they were not chosen on, attacked, and changed to see what follows. All of it is small here, to take seconds; `interp
# features` reads more text and trains more controls.

# %%
from interp.claims.feature_standings import standings
from interp.pair import load_pair
from interp.plots.attacks import attacks
from interp.plots.causes import causes
from interp.plots.feature_pages import feature_pages
from interp.plots.features import features
from interp.rollouts import readings, rollouts
from interp.sae.attacks import feature_attacks
from interp.sae.causes import feature_causes
from interp.sae.contexts import feature_contexts
from interp.sae.features import strategy_features
from interp.sae.quality import sae_quality
from interp.sae.texts import repertoire
from interp.sae.train import train_sae
from interp.sae.usage import strategy_usage
from interp.tasks.organism import organism_task

pair = load_pair("organism:base", "organism:rl")
task = organism_task("rl", n=6, practice=100)

# %% [markdown]
# ## Text
#
# Strategies are looked for in what base writes when it may write anything: several samples to each practice problem, every
# token labelled by the task's parser. What both models wrote is what the autoencoder is trained and judged on.

# %%
texts = repertoire(pair, task, per_problem=4)
written = readings(pair, task, rollouts(pair, task.practice, max_new_tokens=task.max_new_tokens))
len(texts), pair.words(texts[0].tokens)

# %% [markdown]
# ## Is tuning about strategies at all?
#
# At the same places in the same texts: how likely is each model to open with each strategy? Only what tuning made more of can
# have been there before.

# %%
usage = strategy_usage(pair, texts)
usage.table[usage.table.decision == "first"]

# %% [markdown]
# ## Is the autoencoder good enough?
#
# It has to describe *both* models, although it saw only one: variance left unexplained (`fvu`), and how much of the prediction
# survives when its reconstruction stands in (`kl_recovered`). The first position is left out: its norm is like no other's.

# %%
sae = train_sae(pair, [*written, *texts], samples=40_000)
quality = sae_quality(pair, sae, written, max_tokens=2_000)
quality.table[["model", "bos", "fvu", "kl_recovered", "l0", "dead"]]

# %% [markdown]
# ## Can a strategy be told?
#
# AUROC on held-out problems: 0.5 is chance. The best of hundreds of features has to beat the best of as many random directions
# and of the raw dimensions, which went through the same search. Often it does not, while a direction fitted with the labels
# does: base holds the strategy, and not in one feature.

# %%
told = strategy_features(pair, sae, {"base": texts})
features(told, at="onset")

# %%
features(told, at="content")

# %% [markdown]
# ## Does it read more than words?
#
# A feature's favourite tokens are put where the strategy is not. If they alone raise it, it is a token detector. Features that
# tell too little are not attacked, and the title says which.

# %%
attacked = feature_attacks(pair, sae, texts, told, n_texts=30)
attacks(attacked)

# %% [markdown]
# ## Does it matter?
#
# The activation at one token is changed, and the next token's probabilities are read. The bar behind a mark spans twins
# of the same change: inside its bar a mark says nothing. (Few places and few twins are asked here.)

# %%
caused = feature_causes(pair, sae, texts, told, strategies=["back", "step"], n_places=12)
causes(caused)

# %% [markdown]
# ## Look at a feature
#
# The texts on which each feature is highest, as both models read them. They are chosen to impress, so they come last.

# %%
feature_pages(feature_contexts(pair, sae, texts, told), told, attacked, caused)

# %% [markdown]
# ## What is said of each strategy
#
# One word for each, and why. A strategy that was not intervened on, or has too few tokens, gets no verdict.

# %%
for standing in standings(told, quality, caused, attacked):
    print(standing.because)
