"""`interp calibrate`."""

import argparse

from interp.commands.found import EPILOG, FAILED, FINE, OUT, USAGE, Commands, Found, Refusal, writable


def add_calibrate(commands: "Commands[argparse.ArgumentParser]", *parents: argparse.ArgumentParser) -> None:
    """`interp calibrate`."""
    text = "Is each instrument right where the truth is planted? Exits 1 where one is no better than a coin."
    calibrate = commands.add_parser("calibrate", help=text, description=text, epilog=EPILOG, parents=parents)
    calibrate.add_argument("--instrument", action="append", metavar="X", help="may be repeated (default: all)")
    calibrate.add_argument("--organism", action="append", metavar="Y", help="may be repeated (default: all)")
    calibrate.add_argument("--seeds", nargs="+", type=int, metavar="S", help="of the bases (default: all, quick 0 1)")
    calibrate.add_argument(
        "--draws", type=int, default=1, metavar="N", help="tunings, edits and sets of problems per base (default: 1)"
    )
    calibrate.add_argument("--quick", action="store_true", help="a few organisms of base seeds 0 and 1")
    calibrate.add_argument("--kept", action="store_true", help="judge what is kept in DIR, measure nothing")
    calibrate.add_argument("--features", action="store_true", help="instruments of features too: minutes per organism")
    calibrate.add_argument("--claims", action="store_true", help="verdicts on claims about texts instead")
    calibrate.add_argument(
        "--power",
        action="store_true",
        help="also with fewer problems, smaller gaps, weaker tunings; with --features, fewer vectors for SAEs",
    )
    calibrate.add_argument("--jobs", type=int, default=2, metavar="N", help="processes (default: 2)")
    calibrate.set_defaults(command=_calibrate)


def _calibrate(arguments: argparse.Namespace) -> Found:
    if arguments.jobs < 1 or arguments.draws < 1:
        raise Refusal("--jobs and --draws have to be at least 1", USAGE)
    from interp.calibration import fewer_vectors, matrix, power, rates

    folder = writable(arguments.out or OUT / "calibration")
    record = matrix.calibrate(
        arguments.instrument,
        arguments.organism,
        base_seeds=arguments.seeds,
        draws=arguments.draws,
        quick=arguments.quick,
        kept=arguments.kept,
        features=arguments.features,
        claims=arguments.claims,
        folder=folder,
        jobs=arguments.jobs,
    )
    curves = [power.fewer_problems(folder), power.weaker(folder, kept=arguments.kept)] if arguments.power else []
    missed = power.lines(curves[0]) if curves else []
    if arguments.power and arguments.features:
        curves.append(fewer_vectors.fewer_vectors(folder, kept=arguments.kept))
        missed += fewer_vectors.lines(curves[-1])
    for measurement in curves:
        measurement.save(folder)
    like_a_coin = rates.like_a_coin(record)
    coins = [f"No better than a coin in these cells: {name}" for name in like_a_coin]
    return Found([record, *curves], [], [*rates.lines(record), *coins, *missed], FAILED if like_a_coin else FINE)
