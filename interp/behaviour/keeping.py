"""Where finished measurements of this room are kept, and what each of them says of its pair."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from interp import keeping
from interp.keeping import Keep
from interp.measurement import Measurement
from interp.pair import Pair

OF_CHAINS = ("faithfulness", "information")
"""Measured where some chain parses."""


def keeper(pair: Pair, folder: Path | None, *, code: Sequence[str] = (), **hangs_on: object) -> Keep:
    """`interp.keeping.keeper` for this room; `code` names further folders of source.

    A measurement of texts knows the texts; here it is told the pair as well, by which a page knows what belongs
    together.
    """
    keep = keeping.keeper(pair, folder, code=["behaviour", *code], **hangs_on)

    def of_pair(name: str, make: Callable[[], Measurement]) -> Measurement:
        def told() -> Measurement:
            measured = make()
            return replace(measured, made_with={**pair.made_with(), **measured.made_with})

        return keep(name, told)

    return of_pair


def asked_for(
    makers: Collection[str], only: Collection[str], of: str, folder: Path | None, chains: Callable[[], Sequence[object]]
) -> list[str]:
    """The measures of `makers` that `only` names, by default all; those of chains where one parses or they are kept.

    `chains` is asked last, since a chain is cut from texts that have to be written first. LookupError for a name that
    nothing `of` this kind is measured under.
    """
    if unknown := sorted(set(only) - set(makers)):
        raise LookupError(f"nothing called {unknown[0]!r} is measured of {of}; there are {', '.join(makers)}")
    wanted = [name for name in makers if not only or name in only]
    return [name for name in wanted if name not in OF_CHAINS or _kept(folder, name) or chains()]


def _kept(folder: Path | None, name: str) -> bool:
    """Whether a measurement of this name was finished there, by whatever code."""
    return folder is not None and (folder / f"{name}.json").exists()
