"""`interp sweep`: pairs and seeds in units of work."""

import argparse
from typing import TYPE_CHECKING

from interp.commands.asked import DTYPES, PRACTICE, PROBLEMS, TASK_HELP, place
from interp.commands.found import EPILOG, OUT, USAGE, Commands, Found, Refusal, writable

if TYPE_CHECKING:
    from interp.measurement import Measurement

SWEPT = ("weights", "spectra", "activations", "answers")
"""What is measured; the names of `interp.units.sweep.INSTRUMENTS`, which would load torch."""


def add_sweep(commands: "Commands[argparse.ArgumentParser]", *parents: argparse.ArgumentParser) -> None:
    """`interp sweep`."""
    text = (
        "Instruments on pairs and seeds, cut into units that are kept and may be done by many processes or a cluster."
    )
    sweep = commands.add_parser("sweep", help=text, description=text, epilog=EPILOG, parents=parents)
    sweep.add_argument("base", metavar="BASE")
    sweep.add_argument("tuned", nargs="+", metavar="TUNED", help="each makes a pair with BASE")
    sweep.add_argument("--engine", choices=("serial", "processes", "ray"), default="processes")
    sweep.add_argument("--jobs", type=int, default=2, metavar="N", help="units at a time on this machine (default: 2)")
    sweep.add_argument(
        "--shards", type=int, default=4, metavar="N", help="parts that prompts and problems are cut into (default: 4)"
    )
    sweep.add_argument(
        "--instruments",
        default=",".join(SWEPT),
        metavar="LIST",
        help=f"of {', '.join(SWEPT)} (default: all)",
    )
    sweep.add_argument("--seeds", nargs="+", type=int, default=[0], metavar="S", help="of random choices (default: 0)")
    sweep.add_argument("--task", metavar="FILE", help=f"{TASK_HELP}; organisms bring their own")
    sweep.add_argument("--n", type=int, metavar="N", help=f"problems to judge by (default: {PROBLEMS['full']})")
    sweep.add_argument("--max-new-tokens", type=int, default=256, metavar="N", help="per answer to a FILE's problem")
    sweep.add_argument("--quick", action="store_true", help="fewer problems, draws and arms")
    sweep.add_argument("--dtype", choices=DTYPES, default=DTYPES[0])
    sweep.add_argument("--device", default="cpu", metavar="D", help="of every worker, such as cuda (default: cpu)")
    sweep.add_argument("--tuned-device", metavar="D", help="of tuned, where it is another, such as cuda:1")
    sweep.set_defaults(command=_sweep)


def _sweep(arguments: argparse.Namespace) -> Found:
    chosen = [name for name in arguments.instruments.split(",") if name]
    if unknown := sorted(set(chosen) - set(SWEPT)):
        raise Refusal(f"an instrument of a sweep is {', '.join(SWEPT)}, not {', '.join(unknown)}", USAGE)
    if arguments.jobs < 1 or arguments.shards < 1 or not chosen:
        raise Refusal("--jobs and --shards have to be at least 1, and --instruments has to name one", USAGE)
    from interp.units.jobs import folder_of, jobs_of
    from interp.units.sweep import sweep

    size, out = "quick" if arguments.quick else "full", writable(arguments.out or OUT / "sweep")
    jobs = jobs_of(
        arguments.base,
        arguments.tuned,
        task=arguments.task,
        seeds=arguments.seeds,
        n=PROBLEMS[size] if arguments.n is None else arguments.n,
        practice=PRACTICE[size],
        max_new_tokens=arguments.max_new_tokens,
        shards=arguments.shards,
        **place(arguments),
        quick=arguments.quick,
    )
    measurements, lines = list["Measurement"](), list[str]()
    for job, found in sweep(jobs, chosen, store=out / "units", engine=arguments.engine, processes=arguments.jobs):
        path = found.save(folder_of(job, out))
        measurements.append(found)
        lines.append(f"{path}: {found.unit}; {len(found.table)} rows")
    return Found(measurements, [], lines)
