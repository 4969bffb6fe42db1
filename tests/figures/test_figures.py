"""A figure's data, script, drawing and check, on made-up measurements; one changed number has to be found."""

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from interp.cli import main
from interp.commands.found import FAILED, FINE, USAGE
from interp.figures.canonical import canonical, largest_difference, to_text
from interp.figures.check import compare_tables, cost
from interp.figures.data import load_data, save_data
from interp.figures.manifest import Figure, read_manifest
from interp.figures.pictures import POINTS_8, for_print, normalised
from interp.measurement import Measurement, provenance

SCRIPT = """
import plotly.graph_objects as go

def draw(data):
    table = data["pair/answers"].table
    return go.Figure(go.Scatter(x=table["x"].to_numpy(), y=table["y"].to_numpy() * SCALE))

def headline(data):
    return {"mean": float(data["pair/answers"].table["y"].mean())}

SCALE = 1.0
"""
MANIFEST = """
[[figure]]
id = "line"
title = "A line"
sentence = "It rises."
script = "line.py"
data = ["pair/answers"]
needs = "nothing"
[figure.headline]
mean = 0.2
"""
MEASURE = """
import pandas as pd
from interp.figures.data import load_data
from pathlib import Path

def again(n):
    saved = load_data(Path(__file__).parent / "data" / "pair", "answers")
    table = saved.table.head(n) if n else saved.table
    return saved.__class__(saved.name, saved.unit, table, saved.made_with)

TABLES = {"pair/answers": again}
SAMPLED = {"pair/answers"}
"""


def measurement() -> Measurement:
    table = pd.DataFrame(
        {"problem": ["a", "b", "NA"], "x": [0, 1, 2], "y": [0.1, 0.2, 0.3], "rate": [np.nan, 0.5, np.nan]}
    )
    return Measurement("answers", "shares", table, provenance(seed=0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "figures"
    save_data(measurement(), folder / "data" / "pair")
    for name, text in {"line.py": SCRIPT, "manifest.toml": MANIFEST, "measure.py": MEASURE}.items():
        (folder / name).write_text(text)
    assert main(["figures", "build", "--dir", str(folder), "--formats", ""]) == FINE
    return folder


def checked(folder: Path, *more: str) -> int:
    return main(["figures", "check", "--dir", str(folder), "--out", str(folder.parent / "out"), *more])


def test_data_come_back_as_they_were(tmp_path: Path) -> None:
    save_data(measurement(), tmp_path)
    back, was = load_data(tmp_path, "answers"), measurement()
    pd.testing.assert_frame_equal(back.table, was.table, check_dtype=False, check_column_type=False)
    assert [str(dtype) for dtype in back.table.dtypes] == [str(dtype) for dtype in was.table.dtypes]
    assert back.made_with["seed"] == 0


def test_data_checked_out_with_windows_line_ends_are_the_same_data(tmp_path: Path) -> None:
    path = save_data(measurement(), tmp_path)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    pd.testing.assert_frame_equal(
        load_data(tmp_path, "answers").table, measurement().table, check_dtype=False, check_column_type=False
    )
    path.write_bytes(path.read_bytes().replace(b"0.3", b"0.4"))
    with pytest.raises(ValueError, match="edited by hand"):
        load_data(tmp_path, "answers")


def test_print_sets_8_points_and_leaves_what_is_smaller_on_purpose() -> None:
    figure = go.Figure().update_layout(annotations=[{"text": "3", "font": {"size": 8}}, {"text": "heading"}])
    assert [told.font.size for told in for_print(figure).layout.annotations] == [8, POINTS_8]


@pytest.mark.parametrize("level", ["summary", "shard", "full"])
def test_an_untouched_figure_matches_at_every_level(
    folder: Path, level: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checked(folder, "--level", level) == FINE
    assert "DIFFER" not in capsys.readouterr().out


def test_what_a_full_check_costs_is_said_before_anything_is_measured(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checked(folder, "--level", "full") == FINE
    told = capsys.readouterr().err
    assert told.index("measuring 1 tables in full") < told.index("measuring again: pair/answers")
    assert "not timed yet: pair/answers" in told
    assert checked(folder, "--level", "shard") == FINE
    assert "in full" not in capsys.readouterr().err


def test_the_cost_adds_up_and_names_the_dearest_and_the_unknown() -> None:
    told = cost(["a", "b", "c"], {"a": 60.0, "b": 240.0, "other": 6_000.0})
    assert (
        "about 5 minutes of one quiet core for 2 of them" in told
        and "most of it b 4.0, a 1.0" in told
        and told.endswith("not timed yet: c")
    )


def test_one_changed_number_is_found_and_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawing = json.loads((folder / "line.json").read_text())
    drawing["data"][0]["y"][1] += 0.01
    (folder / "line.json").write_text(to_text(drawing))
    assert checked(folder) == FAILED
    out = capsys.readouterr().out
    assert "DIFFER   line (drawing): figure.data[0].y[1]: got 0.2, expected 0.21" in out
    assert (folder.parent / "out" / "figures.html").stat().st_size > 1_000_000


def test_data_edited_by_hand_are_refused_with_both_hashes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "data" / "pair" / "answers.csv"
    path.write_text(path.read_text().replace("0.3", "0.4"))
    assert checked(folder) == FAILED
    assert "it was edited by hand; restore it, or measure it anew" in capsys.readouterr().out


def test_a_changed_plotting_function_is_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = folder / "line.py"
    script.write_text(script.read_text().replace("SCALE = 1.0", "SCALE = 1.5"))
    assert checked(folder) == FAILED
    assert "figure.data[0].y[2]" in capsys.readouterr().out


def test_a_quoted_number_that_the_data_do_not_give_is_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = folder / "manifest.toml"
    manifest.write_text(manifest.read_text().replace("mean = 0.2", "mean = 0.91"))
    assert checked(folder) == FAILED
    assert "line (headline): figure.mean: got 0.20000000000000004, expected 0.91" in capsys.readouterr().out


def test_missing_data_and_unknown_ids_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(folder, "lime") == USAGE
    assert "there is no figure 'lime'; the nearest is 'line'" in capsys.readouterr().err
    shutil.rmtree(folder / "data")
    assert checked(folder) == FAILED
    assert "answers has no answers.csv; measure it" in capsys.readouterr().out


def test_another_schema_is_refused(folder: Path) -> None:
    path = folder / "data" / "pair" / "answers.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 0'))
    with pytest.raises(ValueError, match="saved under schema 0, this version reads 1"):
        load_data(path.parent, "answers")


def test_rows_are_found_again_in_another_order_and_have_to_be_told_apart() -> None:
    figure = Figure("f", "t", "s", "f.py", ("audit",), "nothing")
    table = pd.DataFrame({"problem": [0, 0, 1, 1], "rule": ["a", "b"] * 2, "correct": [1, 0, 1, 1]})
    found = compare_tables(figure, "audit", table[::-1], table, sample=False)
    assert [check.result for check in found] == ["MATCH"]
    other = compare_tables(figure, "audit", table.assign(correct=[0, 1, 1, 1]), table, sample=False)
    assert [check.result for check in other] == ["DIFFER"]
    with pytest.raises(ValueError, match="audit has several rows '0' under problem; name what tells them apart"):
        compare_tables(figure, "audit", table.drop(columns="rule"), table.drop(columns="rule"), sample=False)


def test_a_sample_is_compared_on_the_rows_it_shares_and_a_skip_is_no_match() -> None:
    figure = Figure("f", "t", "s", "f.py", ("answers",), "nothing")
    table = measurement().table
    few = compare_tables(figure, "answers", table.head(2), table, sample=True)
    assert {c.result for c in few} == {"MATCH"}
    other = table.assign(problem=["x", "y", "z"])
    assert [c.result for c in compare_tables(figure, "answers", other, table, sample=True)] == ["SKIPPED"]
    assert [c.result for c in compare_tables(figure, "answers", table.head(2), table, sample=False)] == ["DIFFER"]
    moved = compare_tables(figure, "answers", table.assign(y=table.y + 0.5), table, sample=True)
    assert [c.worst for c in moved if c.result == "DIFFER"] == [pytest.approx(0.5)]


def test_canonical_json_is_the_same_for_lists_and_arrays_and_knows_a_difference() -> None:
    as_array = canonical(go.Figure(go.Heatmap(z=np.arange(6.0).reshape(2, 3))))
    as_lists = canonical(go.Figure(go.Heatmap(z=[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])))
    assert to_text(as_array["data"]) == to_text(as_lists["data"])
    assert largest_difference(as_array, as_lists) == (0.0, "")
    other = canonical(go.Figure(go.Heatmap(z=[[0.0, 1.0, 2.0], [3.0, 4.0, 5.5]])))
    assert largest_difference(other, as_lists)[0] == 0.5
    assert math.isinf(largest_difference({"a": "x"}, {"a": "y"})[0])
    assert math.isinf(largest_difference({"a": [1]}, {"a": [1, 2]})[0])


def test_random_ids_and_dates_are_normalised_and_nothing_else() -> None:
    one, two = (b'<g id="clip%sxy"/><use href="#clip%sxy"/><t>abc</t>' % (i, i) for i in (b"a1b2c3", b"ffee00"))
    assert normalised(one, "svg") == normalised(two, "svg")
    assert b"<t>abc</t>" in normalised(one, "svg")
    early, late = (b"/CreationDate (D:2026%s+00'00') /X 12" % d for d in (b"0101000000", b"1231235959"))
    assert normalised(early, "pdf") == normalised(late, "pdf")
    assert len(normalised(early, "pdf")) == len(early)


def test_a_manifest_that_lacks_a_field_says_which_are_needed(tmp_path: Path) -> None:
    (tmp_path / "manifest.toml").write_text('[[figure]]\nid = "a"\ndata = ["b"]\n')
    with pytest.raises(ValueError, match="every \\[\\[figure\\]\\] needs id, title, sentence, script, data and needs"):
        read_manifest(tmp_path)


def test_the_summary_check_needs_neither_torch_nor_a_browser(folder: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['kaleido'] = None\n"
        "from interp.cli import main; sys.exit(main(['figures', 'check', '--dir', sys.argv[1]]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == FINE, done.stderr
    assert "MATCH    line (drawing)" in done.stdout
