"""A measurement is written whole, comes back as it was, and is made again only when what it hangs on has changed."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interp.measurement import Measurement, code_digest, digest, provenance, remembered, write_whole


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


def test_every_damage_to_what_is_kept_is_told_and_measured_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    remembered(tmp_path, "found", {"task": "a"}, measurement)
    path, stamp = tmp_path / "found.json", tmp_path / "found.stamp"
    whole, stamped = path.read_bytes(), stamp.read_bytes()
    flipped = [bytes([*whole[:i], whole[i] ^ 1 << i % 8, *whole[i + 1 :]]) for i in range(0, len(whole), 70)]
    for where, damage in [
        (path, b""),
        (path, whole[:40]),
        *((path, bad) for bad in flipped),
        (stamp, b""),
        (stamp, b"a"),
    ]:
        where.write_bytes(damage)
        caplog.clear()
        remembered(tmp_path, "found", {"task": "a"}, measurement)
        assert caplog.messages == [
            "found.json is not what its stamp says (damaged, or a run was killed at it); measured again"
        ]
        assert (path.read_bytes(), stamp.read_bytes()) == (whole, stamped)


def test_what_was_made_from_something_else_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "interp")
    remembered(tmp_path, "found", {"task": "a"}, measurement)
    assert caplog.messages == []
    remembered(tmp_path, "found", {"task": "b"}, measurement)
    assert caplog.messages == ["found.json was made from other files, options or code; measured again"]


def test_a_new_measurement_is_the_one_that_a_later_run_would_find(tmp_path: Path) -> None:
    def make() -> Measurement:
        return measurement(layer=[0, None], pairs=[(1, 2), (3,)], value=[np.float32(0.1), np.inf])

    new, old = (remembered(tmp_path, "found", {}, make) for _ in range(2))
    pd.testing.assert_frame_equal(new.table, old.table)
    assert new.table["pairs"].tolist() == [[1, 2], [3]], "as JSON has it, not as it was made"


def test_a_codes_digest_follows_what_it_imports_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def after(changed: str) -> str:
        read = Path.read_text

        def edited(path: Path, *how: object) -> str:
            return read(path) + ("\n# edited" if path.as_posix().endswith(changed) else "")

        with monkeypatch.context() as patched:
            patched.setattr(Path, "read_text", edited)
            return code_digest.__wrapped__("interp.layers.weights")

    before = after("nothing")
    assert before == code_digest("interp.layers.weights")
    for used in ("interp/layers/weights.py", "interp/layers/ulps.py", "interp/checkpoint.py"):
        assert after(used) != before
    for other in ("interp/commands/pairs.py", "interp/routing/arms.py", "interp/plots/drawing.py"):
        assert after(other) == before
    with pytest.raises(ValueError, match=r"there is no module 'interp\.layers\.nothing' whose source could be read"):
        code_digest("interp.layers.nothing")
