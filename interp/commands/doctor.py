"""`interp doctor`: what this machine has."""

import argparse

from interp.commands.found import EPILOG, FINE, MISSING, OUT, Commands, Found, kept


def add_doctor(commands: "Commands[argparse.ArgumentParser]", everywhere: argparse.ArgumentParser) -> None:
    """The command."""
    text = "What this machine has, beside what is needed."
    commands.add_parser("doctor", help=text, description=text, epilog=EPILOG, parents=[everywhere]).set_defaults(
        command=_doctor
    )


def _doctor(arguments: argparse.Namespace) -> Found:
    from interp.doctor import doctor, missing

    machine = doctor(arguments.out or OUT)
    states = {(True, True): "fine", (True, False): "fine", (False, True): "MISSING", (False, False): "absent"}
    rows = [(states[row.fine, row.needed], row) for row in machine.table.itertuples()]
    lines = [f"{state:8} {row.what}: {row.found} (wanted: {row.wanted})" for state, row in rows]
    return kept(Found([machine], [], lines, MISSING if missing(machine) else FINE), arguments)
