"""One tidy table, its unit, and what it was made with: what every instrument returns and every figure draws."""

import ast
import functools
import hashlib
import importlib.metadata
import json
import logging
import math
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

_log = logging.getLogger("interp")

SCHEMA = 1
_PACKAGES = ("interp", "torch", "transformers", "transformer-lens", "sae-lens", "numpy")


@dataclass(frozen=True, eq=False)
class Measurement:
    """A table with one row per layer, component, feature, arm, problem or token, and where it came from.

    `unit` says in words what the value columns hold. `made_with` is JSON: checkpoints and their digests, prompts'
    digest, seed, options, package versions, commit; see `provenance`.
    """

    name: str
    unit: str
    table: pd.DataFrame
    made_with: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.table.empty:
            raise ValueError(f"measurement {self.name!r} has no rows; measure at least one thing")
        if not self.table.columns.is_unique:
            raise ValueError(f"measurement {self.name!r} has the same column twice: {list(self.table.columns)}")

    def to_json(self) -> dict[str, Any]:
        """Strict JSON: `name`, `unit`, `rows`, `made_with`; a number that is not finite becomes null."""
        rows = [{key: plain(value) for key, value in row.items()} for row in self.table.to_dict("records")]
        return {"name": self.name, "unit": self.unit, "rows": rows, "made_with": plain(self.made_with)}

    def save(self, folder: Path) -> Path:
        """Write `folder/name.json` whole or not at all; returns the path."""
        path = folder / f"{self.name}.json"
        write_whole(path, self.text())
        return path

    def text(self) -> str:
        """What `save` writes."""
        return json.dumps(self.to_json(), allow_nan=False, indent=1) + "\n"

    @classmethod
    def load(cls, path: Path) -> "Measurement":
        """Read what `save` wrote; null in a numeric column becomes NaN."""
        try:
            data = json.loads(path.read_text())
            table = pd.DataFrame(data["rows"])
            nothing = [column for column in table if table[column].isna().all()]
            table[nothing] = table[nothing].astype(float)  # a column of nulls alone would come back as objects
            return cls(data["name"], data["unit"], table, data["made_with"])
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path.name} is not a saved measurement ({error}); delete it and measure again"
            ) from error

    def figure(self) -> Any:
        """The plotly figure that draws this measurement by itself; ValueError where it is drawn only with others."""
        from interp.plots.drawing import drawn  # objects draw themselves; nothing here depends on how

        return drawn(self)

    def _repr_html_(self) -> str:
        with pd.option_context("display.max_rows", 20):
            return f"<p><b>{self.name}</b>: {self.unit}; {len(self.table)} rows</p>" + self.table.to_html(max_rows=20)

    def __repr__(self) -> str:
        return (
            f"Measurement {self.name}: {self.unit}; {len(self.table)} rows of {', '.join(map(str, self.table.columns))}"
        )


def remembered(
    folder: Path | None, name: str, depends_on: Mapping[str, Any], make: Callable[[], Measurement]
) -> Measurement:
    """The measurement saved in `folder` if it was made from the same things, else a new one, saved there.

    `depends_on` has to hold everything the result hangs on (checkpoint digests, prompts' digest, seed, options):
    its digest is kept beside the measurement and compared. A file that is not what was saved, or was made from
    something else, is told in one sentence and made again. A new measurement is given back as it was saved, so that a
    run that goes on where it was killed works with the same table. Without a folder nothing is kept.
    """
    if folder is None:
        return make()
    path, stamp, key = folder / f"{name}.json", folder / f"{name}.stamp", digest(depends_on)
    if _is_kept(path, stamp, key):
        return Measurement.load(path)
    measurement = make()
    if measurement.name != name:
        raise ValueError(f"asked to keep {name!r}, but the measurement made is called {measurement.name!r}")
    text = measurement.text()
    write_whole(path, text)
    write_whole(stamp, f"{digest(text)} {key}\n")
    return Measurement.load(path)


def _is_kept(path: Path, stamp: Path, key: str) -> bool:
    """Whether the file is what was saved when its stamp was written, and was made from the same things."""
    if not (path.exists() and stamp.exists()):
        return False  # never made, or the run ended between the two
    saved = stamp.read_bytes().split()
    if len(saved) != 2 or digest(path.read_bytes()).encode() != saved[0]:
        _log.warning("%s is not what its stamp says (damaged, or a run was killed at it); measured again", path.name)
        return False
    if saved[1] != key.encode():
        _log.info("%s was made from other files, options or code; measured again", path.name)
        return False
    return True


def provenance(**facts: Any) -> dict[str, Any]:
    """What a number was made with: the given facts, package versions, commit and whether the tree was dirty."""
    return {**facts, "schema": SCHEMA, "versions": versions(), **_commit()}


def versions() -> dict[str, str]:
    """Of this package and of those that numbers hang on."""
    return {name: importlib.metadata.version(name) for name in _PACKAGES}


def digest(value: Any) -> str:
    """The first 16 hex digits of the SHA-256 of bytes or a string, or of a JSON value written canonically."""
    text = value if isinstance(value, str | bytes) else json.dumps(plain(value), sort_keys=True)
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()[:16]


def source_digest(folders: Iterable[str]) -> str:
    """A digest of the source files in folders of this package (`""` is the ground floor): the code's version."""
    root = Path(__file__).parent
    files = sorted(path for folder in folders for path in (root / folder).glob("*.py"))
    return digest("".join(f"{path.relative_to(root)}\0{path.read_text()}\0" for path in files))


@functools.cache
def code_digest(*modules: str) -> str:
    """A digest of the source of these modules and of all of this package that they import, directly or not.

    Only imports at the top of a file are followed: what an object asks for to draw itself is no part of a number.
    """
    root, waiting, sources = Path(__file__).parent.parent, list(modules), dict[str, str]()
    while waiting:
        name = waiting.pop()
        path = root.joinpath(*name.split(".")).with_suffix(".py")
        if name in sources or not path.is_file():  # a folder of modules, or a name inside a module
            continue
        sources[name] = path.read_text()
        for node in ast.parse(sources[name]).body:
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names if alias.name.startswith("interp.")]
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("interp"):
                waiting += [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
    if lost := set(modules) - sources.keys():
        raise ValueError(f"there is no module {min(lost)!r} whose source could be read")
    return digest(sources)


def write_whole(path: Path, text: str | bytes) -> None:
    """Write a file so that a reader finds all of it or nothing, whatever happens in between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode() if isinstance(text, str) else text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)  # as a file that was opened in the usual way, not mkstemp's 0600
        os.replace(temporary, path)
        _sync(path.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _sync(folder: Path) -> None:
    """Have the folder's list of names on disk too, so that a power cut does not undo a rename."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _commit() -> dict[str, Any]:
    """The commit of the checkout this package runs from; empty where it was installed without one."""
    here = Path(__file__).parent.parent
    if not (here / ".git").exists():
        return {}
    git = ["git", "-C", str(here)]
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    status = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=False)
    return {"commit": commit.stdout.strip() or None, "dirty": bool(status.stdout.strip())}


def plain(value: Any) -> Any:
    """A JSON value: numpy scalars unwrapped, tuples as lists, numbers that are not finite as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    return value
