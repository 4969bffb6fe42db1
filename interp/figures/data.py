"""A figure's data: one CSV per measurement, and beside it what the measurement was made with and the CSV's hash.

A large table is compressed (`NAME.csv.gz`); the hash is that of its text.
"""

import gzip
import hashlib
import io
import json
from pathlib import Path

import pandas as pd

from interp.measurement import SCHEMA, Measurement, write_whole

LARGE = 2_000_000
"""Characters from which a table is stored compressed."""


def save_data(measurement: Measurement, folder: Path) -> Path:
    """Write `folder/NAME.csv` (or `.csv.gz`) and `folder/NAME.json` (unit, made_with, dtypes, SHA-256 of the CSV)."""
    plain, packed = (folder / f"{measurement.name}{ending}" for ending in (".csv", ".csv.gz"))
    text = measurement.table.to_csv(index=False, lineterminator="\n")
    path, other = (packed, plain) if len(text) > LARGE else (plain, packed)
    # Without a time in it the same table is the same bytes.
    write_whole(path, gzip.compress(text.encode(), mtime=0) if path is packed else text)
    other.unlink(missing_ok=True)
    facts = measurement.to_json()
    beside = {
        "name": measurement.name,
        "unit": measurement.unit,
        "dtypes": {str(column): str(dtype) for column, dtype in measurement.table.dtypes.items()},
        "sha256": _hash(text.encode()),
        "made_with": facts["made_with"],
    }
    write_whole(folder / f"{measurement.name}.json", json.dumps(beside, indent=1, sort_keys=True) + "\n")
    return path


def load_data(folder: Path, name: str) -> Measurement:
    """The measurement saved as `folder/NAME.csv`, refused when it is missing, was edited or is of another schema."""
    plain, packed = (folder / f"{name}{ending}" for ending in (".csv", ".csv.gz"))
    path, beside = packed if packed.is_file() else plain, folder / f"{name}.json"
    for needed in (path, beside):
        if not needed.is_file():
            raise ValueError(f"{name} has no {needed.name}; measure it with `interp figures measure`")
    facts = json.loads(beside.read_text())
    stored = gzip.decompress(path.read_bytes()) if path is packed else path.read_bytes()
    text = stored.replace(b"\r\n", b"\n")  # git on Windows may have checked it out so
    if _hash(text) != facts["sha256"]:
        raise ValueError(
            f"{path.name} has the hash {_hash(text)[:12]}, but was saved with {facts['sha256'][:12]}: it was edited by "
            "hand; restore it, or measure it anew"
        )
    if facts["made_with"].get("schema") != SCHEMA:
        raise ValueError(
            f"{name} was saved under schema {facts['made_with'].get('schema')}, this version reads {SCHEMA}; "
            "measure it anew"
        )
    return Measurement(facts["name"], facts["unit"], _table(text, facts["dtypes"]), facts["made_with"])


def _table(text: bytes, dtypes: dict[str, str]) -> pd.DataFrame:
    """The CSV as it was: empty cells are missing values only where the column was numeric.

    Text is kept as Python's own: the many small groups that figures take are slow to cut from Arrow's.
    """
    words = {column for column, dtype in dtypes.items() if dtype in ("object", "str", "string")}
    blank = {c: [""] for c in dtypes if c not in words}
    with pd.option_context("mode.string_storage", "python"):
        table = pd.read_csv(io.BytesIO(text), keep_default_na=False, na_values=blank)
    return table.astype({column: dtype for column, dtype in dtypes.items() if column not in words})


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
