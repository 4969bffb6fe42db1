"""Runs that are killed, start again, share a folder, or find the machine or the models other than they should be."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import pytest
import torch

from interp.checkpoint import open_checkpoint
from interp.cli import main
from interp.commands.found import MISSING
from interp.doctor import doctor, missing
from interp.keeping import keeper
from interp.loading import check_place
from interp.measurement import Measurement
from interp.pair import Pair
from interp.tasks.task import Grade, Problem, Task

HERE = Path(__file__).parent


@pytest.mark.slow
def test_killed_at_any_moment_and_gone_on_it_is_the_same(tmp_path: Path) -> None:
    """Fifty kills, two to a folder, and four processes that write one folder together."""
    done = subprocess.run(
        [sys.executable, str(HERE / "killed.py"), str(tmp_path), "0"], capture_output=True, text=True, check=True
    )
    saw = json.loads(done.stdout.splitlines()[-1])
    assert saw["killed"] >= 15 and saw["torn"] == []
    assert saw["found"].keys() == {"whole", "together", *(f"run{n}" for n in range(25))}
    assert all(files == saw["found"]["whole"] for files in saw["found"].values())
    assert len(saw["found"]["whole"]) == 12, "a file and its stamp for each of six"


def test_where_nothing_can_be_written_nothing_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setattr("interp.workbench.open_pair", lambda *_: pytest.fail("a model was loaded"))
    assert main(["report", "--out", str(tmp_path / "taken")]) == MISSING
    assert "File exists" in capsys.readouterr().err

    def refuse(**where: Any) -> NoReturn:
        raise OSError(30, "Read-only file system", str(where["dir"]))

    monkeypatch.setattr("interp.commands.found.tempfile.TemporaryFile", refuse)
    assert main(["report", "--out", str(tmp_path / "out")]) == MISSING
    assert f"interp: Read-only file system: {tmp_path / 'out'}" in capsys.readouterr().err


def test_a_checkpoint_saved_again_in_place_is_another_whatever_its_time_says(spoilt: Path) -> None:
    weights = spoilt / "model.safetensors"
    before, stat = open_checkpoint(spoilt).digest, weights.stat()
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(content)
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (weights.stat().st_size, weights.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    assert open_checkpoint(spoilt).digest != before


def test_a_copy_with_other_times_is_the_same_checkpoint(base: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(base, tmp_path / "copy", copy_function=shutil.copyfile))
    assert open_checkpoint(copy).digest == open_checkpoint(base).digest


def test_no_result_hangs_on_the_time_of_a_file() -> None:
    root = HERE.parent.parent / "interp"
    timed = {str(p.relative_to(root)) for p in root.rglob("*.py") if re.search(r"st_[mc]time|getmtime", p.read_text())}
    assert timed <= {"figures/check.py"}  # which measures no figure twice within one process


def test_another_pair_order_task_option_or_code_is_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_pair: Callable[[str], Pair]
) -> None:
    pair = tiny_pair("gpt2")
    of = {"a": pair.base_checkpoint, "b": pair.tuned_checkpoint}
    made: list[str] = []

    def measured(*, base: str = "a", tuned: str = "b", prompt: str = "p", **options: Any) -> str:
        def make() -> Measurement:
            made.append(f"{base}{tuned}{prompt}{options}")
            return Measurement("found", "which", pd.DataFrame([{"which": made[-1]}]), {})

        asked = replace(pair, base_checkpoint=of[base], tuned_checkpoint=of[tuned])
        task = Task("sums", (Problem("1", prompt, "1"),), (), (), lambda *_: Grade(True, True), 4)
        return str(
            keeper(asked, tmp_path, code=["layers"], task=task.digest, **options)("found", make).table["which"][0]
        )

    assert measured() == measured() == "abp{}" and len(made) == 1
    others = [{"base": "b", "tuned": "a"}, {"tuned": "a"}, {"base": "b"}, {"prompt": "q"}, {"seed": 1}]
    for other in others:
        assert measured(**other) == made[-1] != "abp{}"
        measured()
    assert len(made) == 1 + 2 * len(others)
    monkeypatch.setattr("interp.keeping.source_digest", lambda _: "a line was changed")
    measured()
    assert len(made) == 2 + 2 * len(others)


def test_models_that_were_touched_measure_nothing(tiny_pair: Callable[[str], Pair]) -> None:
    pair = tiny_pair("gpt2")
    pair.made_with()
    try:
        pair.tuned.train()
        with pytest.raises(ValueError, match=r"tuned is in training mode, so dropout changes .*; call pair.tuned.eval"):
            pair.made_with()
    finally:
        pair.tuned.eval()
    pair.base.add_hook("blocks.1.hook_out", lambda activation, hook: activation * 2)
    try:
        with pytest.raises(ValueError, match=r"base carries a hook at blocks.1.hook_out that no instrument put there"):
            pair.made_with()
    finally:
        pair.base.reset_hooks()
    with (
        torch.autocast("cpu", torch.bfloat16),
        pytest.raises(ValueError, match=r"autocast is on, so the models do not"),
    ):
        pair.made_with()
    pair.made_with()


@pytest.mark.parametrize("device", ["meta", "mps"])
def test_a_device_without_float64_is_refused(device: str) -> None:
    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("an Apple GPU gives its own sentence")
    sentence = rf"device '{device}' was asked for, but sums in float64, .* cannot be taken there \(.+\); use 'cpu'"
    with pytest.raises(ValueError, match=sentence):
        check_place(torch.float32, torch.device(device))


def test_a_library_of_another_version_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.metadata.version
    found = {"transformer-lens": "4.3.0", "transformers": "5.8.0"}
    monkeypatch.setattr("interp.doctor.importlib.metadata.version", lambda name: found.get(name) or there(name))
    assert missing(doctor(tmp_path)) == [
        "transformer-lens: 4.3.0, wanted <4,>=3.9",
        "transformers: 5.8.0, wanted <6,>=5.21",
    ]
