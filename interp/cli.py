"""The command line. Everything heavy is imported by the command that needs it, so `--help` answers at once."""

import argparse
import contextlib
import errno
import json
import logging
import os
import shutil
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from interp.commands.asked import of_a_pair
from interp.commands.audit import add_audit
from interp.commands.calibrate import add_calibrate
from interp.commands.doctor import add_doctor
from interp.commands.figures import add_figures
from interp.commands.found import EPILOG, FAILED, INTERRUPTED, MISSING, OUT, USAGE, Found, Refusal
from interp.commands.organisms import add_organisms
from interp.commands.pairs import add_pairs
from interp.commands.sweep import add_sweep


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. What was found goes to stdout, everything else to stderr."""
    arguments = parser().parse_args(argv)
    for name, value in {"TRANSFORMERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false"}.items():
        os.environ.setdefault(name, value)
    log = logging.getLogger("interp")
    log.handlers, log.propagate = [logging.StreamHandler(sys.stderr)], False
    log.setLevel(logging.INFO)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # some libraries print
            found: Found = arguments.command(arguments)
    except KeyboardInterrupt:
        print("interp: interrupted; the same command goes on after the last finished measurement", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        refusal = _refusal(error, arguments.out or OUT)
        if arguments.debug or refusal is None:
            raise
        print(f"interp: {refusal}", file=sys.stderr)
        return refusal.code
    if arguments.json:
        result = {
            "measurements": [measurement.to_json() for measurement in found.measurements],
            "verdicts": [verdict.to_json() for verdict in found.verdicts],
        }
        print(json.dumps(result, allow_nan=False))
    else:
        print("\n".join(found.lines))
    return found.code


def parser() -> argparse.ArgumentParser:
    """Every command and what it asks."""
    whole = argparse.ArgumentParser(
        prog="interp", description="What did fine-tuning change in this model?", epilog=EPILOG
    )
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    everywhere = argparse.ArgumentParser(add_help=False)
    everywhere.add_argument("--out", type=Path, metavar="DIR", help=f"where results go (default: {OUT})")
    everywhere.add_argument("--json", action="store_true", help="print one JSON object and nothing else on stdout")
    everywhere.add_argument("--debug", action="store_true", help="show the traceback of an error")
    seeded = argparse.ArgumentParser(add_help=False)
    seeded.add_argument("--seed", type=int, default=0, metavar="S", help="of every random choice (default: 0)")
    add_pairs(commands, of_a_pair(everywhere, seeded))
    add_audit(commands, everywhere)
    add_doctor(commands, everywhere)
    add_organisms(commands, everywhere, seeded)
    add_figures(commands, everywhere)
    add_calibrate(commands, everywhere)
    add_sweep(commands, everywhere)
    return whole


def _refusal(error: Exception, out: Path) -> Refusal | None:
    """The sentence and code for an error that our own lines or the file system raised; None for a fault of ours."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(next(p for p in (out.absolute(), *out.absolute().parents) if p.exists())).free
        return Refusal(
            f"no space for results in {out} ({free:,} bytes are free); nothing half-written is left, and what was "
            "finished is used again when the same command is given with more space",
            MISSING,
        )
    if isinstance(error, OSError) and error.errno is not None:
        return Refusal(f"{error.strerror}: {error.filename}", MISSING)
    frames = traceback.extract_tb(error.__traceback__)
    ours = Path(frames[-1].filename).is_relative_to(Path(__file__).parent)
    if not ours or not (frames[-1].line or "").startswith("raise "):  # no sentence that was written for a person
        return None
    from interp.checkpoint import CheckpointError, MissingError

    loading = any(frame.name == "load_pair" for frame in frames)
    codes = {
        MissingError: MISSING,
        CheckpointError: FAILED,
        RuntimeError: FAILED,
        ValueError: FAILED if loading else USAGE,
        LookupError: USAGE,
    }
    return next((Refusal(str(error.args[0]), code) for kind, code in codes.items() if isinstance(error, kind)), None)
