"""A measurement is written whole, comes back as it was, and is made again only when what it hangs on has changed."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interp.measurement import Measurement, digest, provenance, remembered, write_whole


def measurement(**columns: list[object]) -> Measurement:
    table = pd.DataFrame(columns or {"layer": [0, 1], "value": [0.1, np.nan], "arm": ["a", "b"]})
    return Measurement("found", "shares", table, provenance(seed=3))


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    back = Measurement.load(measurement().save(tmp_path))
    pd.testing.assert_frame_equal(back.table, measurement().table)
    assert (back.name, back.unit, back.made_with["seed"]) == ("found", "shares", 3)


def test_a_column_without_any_number_comes_back_as_numbers(tmp_path: Path) -> None:
    back = Measurement.load(measurement(layer=[0, 1], value=[np.nan, np.nan]).save(tmp_path))
    assert back.table["value"].dtype == float
    assert back.table["value"].isna().all()


def test_json_is_strict_and_a_number_that_is_not_finite_is_null(tmp_path: Path) -> None:
    text = measurement(value=[np.inf, 1.0]).save(tmp_path).read_text()
    assert json.loads(text, parse_constant=pytest.fail)["rows"] == [{"value": None}, {"value": 1.0}]


def test_an_empty_table_and_a_damaged_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'found' has no rows"):
        Measurement("found", "shares", pd.DataFrame(), {})
    path = measurement().save(tmp_path)
    path.write_text(path.read_text()[:50])
    with pytest.raises(ValueError, match=r"found\.json is not a saved measurement"):
        Measurement.load(path)


def test_finished_work_is_not_repeated_and_stale_or_edited_work_is(tmp_path: Path) -> None:
    made = []

    def make() -> Measurement:
        made.append(1)
        return measurement()

    for _ in range(2):
        remembered(tmp_path, "found", {"task": "a"}, make)
    assert len(made) == 1
    remembered(tmp_path, "found", {"task": "b"}, make)
    assert len(made) == 2
    path = tmp_path / "found.json"
    path.write_text(path.read_text().replace("0.1", "0.9"))
    again = remembered(tmp_path, "found", {"task": "b"}, make)
    assert len(made) == 3
    assert again.table["value"][0] == 0.1


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_whole(path, "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_digest_hangs_on_content_and_not_on_order_of_keys() -> None:
    assert digest({"a": 1, "b": [2, 3]}) == digest({"b": [2, 3], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
