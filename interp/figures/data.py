"""A figure's data: one CSV per measurement, and beside it what the measurement was made with and the CSV's hash."""

import hashlib
import json
from pathlib import Path

import pandas as pd

from interp.measurement import SCHEMA, Measurement, write_whole


def save_data(measurement: Measurement, folder: Path) -> Path:
    """Write `folder/NAME.csv` and `folder/NAME.json` (unit, made_with, dtypes, SHA-256 of the CSV)."""
    path = folder / f"{measurement.name}.csv"
    text = measurement.table.to_csv(index=False, lineterminator="\n")
    write_whole(path, text)
    facts = measurement.to_json()
    beside = {
        "name": measurement.name,
        "unit": measurement.unit,
        "dtypes": {str(column): str(dtype) for column, dtype in measurement.table.dtypes.items()},
        "sha256": _hash(text),
        "made_with": facts["made_with"],
    }
    write_whole(path.with_suffix(".json"), json.dumps(beside, indent=1, sort_keys=True) + "\n")
    return path


def load_data(folder: Path, name: str) -> Measurement:
    """The measurement saved as `folder/NAME.csv`, refused when it is missing, was edited or is of another schema."""
    path = folder / f"{name}.csv"
    beside = path.with_suffix(".json")
    for needed in (path, beside):
        if not needed.is_file():
            raise ValueError(f"{name} has no {needed.name}; measure it with `interp figures measure`")
    facts, text = json.loads(beside.read_text()), path.read_text()
    if _hash(text) != facts["sha256"]:
        raise ValueError(
            f"{name}.csv has the hash {_hash(text)[:12]}, but was saved with {facts['sha256'][:12]}: it was edited by "
            "hand; restore it, or measure it anew"
        )
    if facts["made_with"].get("schema") != SCHEMA:
        raise ValueError(
            f"{name} was saved under schema {facts['made_with'].get('schema')}, this version reads {SCHEMA}; "
            "measure it anew"
        )
    return Measurement(facts["name"], facts["unit"], _table(path, facts["dtypes"]), facts["made_with"])


def _table(path: Path, dtypes: dict[str, str]) -> pd.DataFrame:
    """The CSV as it was: empty cells are missing values only where the column was numeric."""
    text = {column for column, dtype in dtypes.items() if dtype in ("object", "str", "string")}
    table = pd.read_csv(path, keep_default_na=False, na_values={c: [""] for c in dtypes if c not in text})
    for column, dtype in dtypes.items():
        if column not in text:
            table[column] = table[column].astype(dtype)
    return table


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
