"""What a command gives back, why it cannot go on, and what they all do with folders and lines."""

import argparse
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from interp.claims.verdict import Verdict
    from interp.measurement import Measurement

FINE, FAILED, USAGE, MISSING, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes."""
OUT = Path("report")
EPILOG = """\
A checkpoint is named by a directory, by a hub id (org/name@revision) or as a shipped organism (organism:rl, or
organism:rl@1 for the one of seed 1). Exit codes: 0 fine, 1 a check failed, 2 usage, 3 something needed is missing.
"""
Commands = argparse._SubParsersAction  # argparse names no public type for what `add_subparsers` returns


@dataclass(frozen=True)
class Found:
    """What a command found, the same in lines for a person, and the exit code."""

    measurements: Sequence["Measurement"]
    verdicts: Sequence["Verdict"]
    lines: Sequence[str]
    code: int = FINE


class Refusal(Exception):
    """A command cannot go on: why, in a sentence, and the exit code."""

    def __init__(self, sentence: str, code: int) -> None:
        super().__init__(sentence)
        self.code = code


def writable(folder: Path) -> Path:
    """The folder, made if need be; OSError at once, and not after minutes of work, where nothing can be written."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        return folder


def kept(found: Found, arguments: argparse.Namespace) -> Found:
    """Saves the measurements where the user named a folder."""
    if arguments.out:
        for measurement in found.measurements:
            measurement.save(writable(arguments.out) / "measurements")
    return found


def line(verdict: "Verdict") -> str:
    """The verdict and its first reason; the others are on the page and in the JSON."""
    return f"{verdict.claim}: {verdict.says}. {verdict.because.partition('. ')[0].removesuffix('.')}."


def say(line: str) -> None:
    """A line for whoever waits."""
    logging.getLogger("interp").info(line)
