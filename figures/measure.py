"""How every table below `data/` is measured again: `TABLES[name](n)` on the first `n` problems, or on all for None.

Seconds are those of one quiet core. Everything heavy is imported when a table is asked for.
"""

from functools import cache, partial

PROBLEMS = 600
PRACTICE = 600


@cache
def _pair(tuned):
    from interp.workbench import open_pair

    return open_pair("organism:many-base" if tuned.startswith("many") else "organism:base", f"organism:{tuned}")


def _task(tuned, n):
    from interp.tasks.organism import organism_task

    return organism_task(tuned, n=n or PROBLEMS, practice=PRACTICE)


def _room(room, name, tuned, n):
    from interp import workbench

    measured = getattr(workbench, f"measure_{room}")(_pair(tuned), _task(tuned, n))
    return next(m for m in measured if m.name == name)


def _swaps(tuned, n):
    from interp.layers.swaps import block_swaps

    return block_swaps(_pair(tuned), _task(tuned, n))


def _weights(tuned, n):
    from interp.layers.weights import weight_change

    return weight_change(_pair(tuned).base_checkpoint, _pair(tuned).tuned_checkpoint)


def _answers(tuned, n):
    from interp.routing.arms import route

    return route(_pair(tuned), _task(tuned, n))


TABLES = {
    **{f"{tuned}/answers": partial(_answers, tuned) for tuned in ("rl", "newskill", "many-rl")},
    **{f"{tuned}/swaps": partial(_swaps, tuned) for tuned in ("rl", "newskill", "lower", "upper")},
    **{f"{tuned}/weights": partial(_weights, tuned) for tuned in ("rl", "lower")},
    **{f"{tuned}/activations": partial(_room, "layers", "activations", tuned) for tuned in ("rl", "lower")},
    "rl/features": partial(_room, "features", "features", "rl"),
}
SAMPLED = {name for name in TABLES if name.endswith(("/answers", "/swaps", "/weights"))}
"""Tables whose rows do not hang on the other problems, so that a sample can be compared with them."""
