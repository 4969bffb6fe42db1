"""How long a report may take, told before it starts."""

import time
from collections.abc import Sequence

import torch

from interp.pair import Pair
from interp.tasks.task import Task

PARTS = 10
"""Parts that `block_swaps` exchanges, each both ways."""
SUBSETS = 16
"""Mixtures that `shapley` asks."""
ARMS = {"full": 30, "quick": 24}
"""Arms that `route` asks without being asked for more, controls included: about."""
SAMPLED = 48


def estimate(pair: Pair, task: Task, *, quick: bool = False) -> str:
    """One line: how long the arithmetic of the models and of the spectra may take, by room, on this processor.

    Texts count as long as they may get, and a mixture of two models as if it wrote a third text, so that most runs take
    less. Files, SAEs and statistics come on top: for models of a few million parameters they are most of the time. A
    GPU has its own speed.
    """
    from interp.layers.activations import RUN_FREELY
    from interp.layers.room import DEPTHS, DRAWS, READ, SPECTRA, SWEPT
    from interp.sae.room import PER_PROBLEM

    size = "quick" if quick else "full"
    problems, few = len(task.problems) + len(task.facts), min(len(task.problems), SWEPT[size]) + len(task.facts)
    one, layers = _tokens(pair, task), pair.n_layers
    depths = min(layers, DEPTHS) if quick else layers
    sweeps = 2 * (3 * depths + 3) + SUBSETS + (0 if quick else layers * (layers + 1))
    written = 2 * len(task.practice) * one
    # Parts apart, and rivals: each reads as `activation_change` does, with as many draws as are run freely.
    further = 0 if quick else 2 * (3 + 2 * RUN_FREELY)
    passes = 3 + DRAWS[size] + min(DRAWS[size], RUN_FREELY) + further
    tokens = {
        "layers": written + min(READ, written) * passes + 3 * one * (2 * PARTS * problems + sweeps * few),
        "features": 4 * PER_PROBLEM[size] * len(task.practice) * one,
        "routing": 2 * ARMS[size] * len(task.problems) * one,
    }
    parameters = sum(parameter.numel() for parameter in pair.base.parameters())
    speed, threads = core_speed(), torch.get_num_threads()
    seconds = {room: 2.0 * parameters * n / speed / threads for room, n in tokens.items()}
    seconds["layers"] += _spectra(pair, SPECTRA[size]) / speed
    rooms = ", ".join(f"{room} {_said(taken)}" for room, taken in seconds.items())
    return (
        f"at most about {_said(sum(seconds.values()))} of arithmetic ({rooms}) at {speed / 1e9:.0f} GFLOP/s a core, "
        f"{threads} {'thread' if threads == 1 else 'threads'}; files, SAEs and statistics come on top"
    )


def core_speed() -> float:
    """Multiplications and additions per second of one thread, in a product of two matrices that fit its cache."""
    threads, side = torch.get_num_threads(), 384
    torch.set_num_threads(1)
    try:
        a = torch.ones(side, side)
        torch.mm(a, a)
        started = time.perf_counter()
        for _ in range(4):
            torch.mm(a, a)
        return 4 * 2 * side**3 / (time.perf_counter() - started)
    finally:
        torch.set_num_threads(threads)


def spectrum_flops(shape: Sequence[int], draws: int) -> float:
    """About 4 m n^2 + 32 n^3 each for the change, base, tuned and every permuted draw; 0 for a vector.

    In products of fp32: the Gram matrix is in fp64, which is half as fast, and its eigenvectors take 32 n^3 (measured
    at n = 896, alone and with m = 4864).
    """
    short, long = sorted(shape[-2:]) if len(shape) > 1 else (0, 0)
    return (4.0 * long * short**2 + 32.0 * short**3) * (3 + draws)


def _tokens(pair: Pair, task: Task) -> float:
    """Tokens of a prompt and the longest text to it, on average over some."""
    some = [*task.problems, *task.practice][:SAMPLED]
    return sum(len(pair.encode(problem.prompt)) for problem in some) / len(some) + task.max_new_tokens


def _spectra(pair: Pair, draws: int) -> float:
    checkpoint = pair.base_checkpoint
    return sum(spectrum_flops(checkpoint.shape(name), draws) for name in checkpoint.names())


def _said(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 100
        else f"{seconds / 60:.0f} min"
        if seconds < 6000
        else f"{seconds / 3600:.1f} h"
    )
