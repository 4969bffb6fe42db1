"""`interp report | layers | features | routing | claims`: a base and a tuned checkpoint."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from interp.commands.asked import asked, place
from interp.commands.found import EPILOG, Commands, Found, line

if TYPE_CHECKING:
    from interp.measurement import Measurement

CLAIMS_HELP = "Claims about what tuned models write: as reported, as estimated, and the verdict; alone, the register."


def add_pairs(commands: "Commands[argparse.ArgumentParser]", measured: argparse.ArgumentParser) -> None:
    """The commands, each with what it asks beside `measured`."""

    def add(
        name: str, run: Callable[[argparse.Namespace], Found], text: str, *parents: argparse.ArgumentParser
    ) -> None:
        commands.add_parser(name, help=text, description=text, epilog=EPILOG, parents=parents).set_defaults(
            command=run, name=name
        )

    add("report", _report, "All measurements, verdicts and one page about a base and a tuned checkpoint.", measured)
    add("layers", _room, "Where in the depth did tuning act?", measured)
    add("features", _room, "Which strategy features did base have before tuning?", measured)
    routed = argparse.ArgumentParser(add_help=False, parents=[measured])
    routed.add_argument(
        "--small",
        nargs=2,
        metavar=("BASE", "TUNED"),
        help="a smaller pair of the same tokenizer: one more arm puts what its tuning did on the large base",
    )
    routed.add_argument(
        "--sae",
        type=Path,
        metavar="DIR",
        help="a sparse autoencoder of base: one more arm routes where a feature fires",
    )
    add("routing", _routing, "What does base solve when tuned writes some of its tokens?", routed)
    claimed = argparse.ArgumentParser(add_help=False, parents=[measured])
    claimed.add_argument(
        "--tunings",
        nargs="+",
        default=[],
        metavar="OTHER",
        help="other checkpoints tuned from BASE: do they change the same parameters? (organisms bring theirs)",
    )
    claimed.add_argument(
        "--series",
        nargs="+",
        default=[],
        metavar="DIR",
        help="checkpoints along the tuning, in order, whose names end in their step: since when?",
    )
    add("claims", _claims, CLAIMS_HELP, claimed)


def _report(arguments: argparse.Namespace) -> Found:
    base, tuned, task, out = asked(arguments)
    from interp import workbench

    quick, thorough = arguments.quick, arguments.thorough
    pair = workbench.open_pair(base, tuned, **place(arguments))
    measurements = workbench.measure(
        pair, task, folder=out / "measurements", quick=quick, thorough=thorough, seed=arguments.seed
    )
    verdicts, page = workbench.write_page(measurements, out, quick=quick)
    return Found(measurements, verdicts, [*map(line, verdicts), f"The page is {page}"])


def _room(arguments: argparse.Namespace) -> Found:
    base, tuned, task, out = asked(arguments)
    from interp import workbench

    rooms = {"layers": workbench.measure_layers, "features": workbench.measure_features}
    folder = out / "measurements"
    pair = workbench.open_pair(base, tuned, **place(arguments))
    measurements = rooms[arguments.name](pair, task, folder=folder, quick=arguments.quick, seed=arguments.seed)
    return _measured(measurements, folder)


def _routing(arguments: argparse.Namespace) -> Found:
    base, tuned, task, out = asked(arguments)
    from interp import workbench

    folder = out / "measurements"
    pair = workbench.open_pair(base, tuned, **place(arguments))
    measurements = workbench.measure_routing(
        pair,
        task,
        folder=folder,
        quick=arguments.quick,
        thorough=arguments.thorough,
        small=workbench.open_pair(*arguments.small, **place(arguments)) if arguments.small else None,
        dictionary=workbench.open_dictionary(pair, arguments.sae) if arguments.sae else None,
        seed=arguments.seed,
    )
    return _measured(measurements, folder)


def _measured(measurements: Sequence["Measurement"], folder: Path) -> Found:
    """What one room found, and the verdicts that it is enough for."""
    from interp import workbench

    verdicts = workbench.decide(measurements)
    saved = [f"{folder / m.name}.json: {m.unit}; {len(m.table)} rows" for m in measurements]
    return Found(measurements, verdicts, [*saved, *map(line, verdicts)])


def _claims(arguments: argparse.Namespace) -> Found:
    if not arguments.checkpoints:
        from interp.claims.register import register_table

        rows = register_table()
        return Found(
            [], [], [f"{row.key:4} {row.claim} ({row.source}). Needs {row.needs}." for row in rows.itertuples()]
        )
    base, tuned, task, out = asked(arguments)
    from interp import workbench
    from interp.claims.ledger import ledger, ledger_lines

    pair, folder = workbench.open_pair(base, tuned, **place(arguments)), out / "measurements"
    measured = workbench.measure_claims(
        pair,
        task,
        folder=folder,
        quick=arguments.quick,
        tunings=arguments.tunings or (),
        series=arguments.series or (),
        seed=arguments.seed,
    )
    verdicts = ledger(measured)
    return Found(measured, verdicts, ledger_lines(verdicts))
