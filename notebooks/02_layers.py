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
# # Where in the depth did tuning act?
#
# Weights, activations and causal effect can each be read layer by layer, and they can disagree. Here they are read on
# a small pair whose tuning (reinforcement learning over all weights) taught *which strategy belongs to which problem*.

# %%
from dataclasses import replace

from interp.claims.upper_layers import upper_layers_carry_behaviour
from interp.claims.upper_third import upper_third_carries_change
from interp.layers.activations import activation_change
from interp.layers.divergence import first_divergence
from interp.layers.gauge import hidden_unit_gauge
from interp.layers.lens import logit_lens
from interp.layers.parts import activation_parts
from interp.layers.patches import component_patches
from interp.layers.spectra import singular_values, weight_spectra
from interp.layers.swaps import block_swaps, depth_sweep
from interp.layers.weights import weight_change
from interp.pair import load_pair
from interp.plots.depth_profiles import depth_profiles
from interp.plots.depth_sweep import depth_curves
from interp.plots.divergence import interaction_by_boundary
from interp.plots.head_grid import head_grid
from interp.plots.lens import lens
from interp.plots.spectra import spectra
from interp.plots.token_classes import token_classes
from interp.plots.weight_map import weight_map
from interp.rollouts import readings, rollouts
from interp.tasks.organism import organism_task

pair = load_pair("organism:base", "organism:rl")
task = organism_task("rl", n=24, practice=40)
task = replace(task, facts=task.facts[:16])  # every hybrid below answers them all

# %% [markdown]
# ## Weights
#
# Read from the two files, no model is built. The change is spread evenly over the depth.

# %%
weights = weight_change(pair.base_checkpoint, pair.tuned_checkpoint)
weight_map(weights)

# %% [markdown]
# How many directions each change has: singular values beside those of its own entries in random order, and where rounding to
# the stored format ends. What gradients write stands out; that does not make it matter.

# %%
spectra(singular_values(pair.base_checkpoint, pair.tuned_checkpoint, draws=3))

# %%
ranks = weight_spectra(pair.base_checkpoint, pair.tuned_checkpoint, draws=3).table
ranks[["layer", "component", "stable_rank", "stable_rank_permuted", "effective_rank", "overlap", "overlap_by_chance"]]

# %% [markdown]
# Is it a change at all, or the same function in other coordinates? Hidden units in another order would change every weight and
# nothing that is computed.

# %%
hidden_unit_gauge(pair.base_checkpoint, pair.tuned_checkpoint).table

# %% [markdown]
# ## Activations
#
# Each block of tuned reads what base's block read (middle), so only its own change counts. What accumulates (bottom)
# climbs wherever tuning acted and says little by itself: it stands beside random noise of the same norm.

# %%
written = rollouts(pair, task.practice, max_new_tokens=task.max_new_tokens)
texts = readings(pair, task, written)
activations = activation_change(pair, texts, draws=5)
depth_profiles(weights, activations)

# %% [markdown]
# The middle profile taken apart, by half of the block and by the token that is about to be written.

# %%
token_classes(activation_parts(pair, texts, draws=2))

# %% [markdown]
# When do the two models part? Both streams after every block, read through one head.

# %%
lens(logit_lens(pair, texts, max_tokens=500, draws=2))

# %% [markdown]
# ## Effect
#
# Base's stream up to a layer, continued by tuned's blocks; and one of tuned's blocks alone. Four axes are read from
# the same texts: answers, closed-book facts, output format, and the token that opens the strategy. (The sweep asks six problems,
# so its intervals are wide.)

# %%
swaps = block_swaps(pair, task)
depth_curves(depth_sweep(pair, replace(task, problems=task.problems[:6])))

# %% [markdown]
# ## State or stack?
#
# At the first token that the two models write differently: what does tuned's late stack do to base's stream, what to
# tuned's own, and what do both together do that neither does alone?

# %%
interaction_by_boundary(first_divergence(pair, task))

# %% [markdown]
# Which component carries that choice, patched from one model into the other.

# %%
head_grid(component_patches(pair, task))

# %% [markdown]
# ## Verdicts
#
# The first is about the upper third alone. The second compares behaviour with knowledge and needs both to have moved:
# the facts of this pair did not, so it stays undecided.

# %%
upper_third_carries_change(swaps, weights, activations)

# %%
upper_layers_carry_behaviour(swaps)

# %% [markdown]
# A pair in which both moved: from the organism whose facts were edited in its lower blocks to the one that learned
# strategies. Facts go back with the lower blocks, answers come with the upper half.

# %%
both_moved = load_pair("organism:lower", "organism:rl")
upper_layers_carry_behaviour(block_swaps(both_moved, organism_task("lower", n=24, practice=3)))
