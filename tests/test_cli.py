import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from interp.cli import main
from interp.commands.asked import PRACTICE
from interp.commands.found import FAILED, FINE, INTERRUPTED, MISSING, USAGE
from interp.sae.room import N_PLACES, SAMPLES

Checkpoints = Callable[..., Path]
PROBLEM = {"id": "a", "prompt": "run A : 1 2 3", "answer": "ans 1 2 3"}
ROOMS = {
    "weights": "interp.layers.room.weight_change",
    "rollouts": "interp.workbench.rollouts",
    "activations": "interp.layers.room.activation_change",
    "swaps": "interp.layers.room.block_swaps",
    "sae_quality": "interp.sae.room.sae_quality",
    "features": "interp.sae.room.strategy_features",
    "answers": "interp.routing.room.route",
}


@pytest.fixture
def task_file(tmp_path: Path) -> Path:
    path = tmp_path / "task.jsonl"
    path.write_text("".join(json.dumps({**PROBLEM, "id": str(i)}) + "\n" for i in range(6)))
    return path


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence on stderr; nothing may be on stdout."""
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    return err.strip().splitlines()[-1]


def strict(text: str) -> Any:
    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is not JSON")

    assert text.count("\n") == 1
    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["report", "organism:rll", "organism:rl"], MISSING, "there is no organism 'rll'"),
        (["report", "a", "b", "--task", "organism:rl"], MISSING, "there is no directory 'a'"),
        (["report", "a"], USAGE, "name two, base and tuned, or none"),
        (["layers", "a", "b"], USAGE, "b brings no task of its own; give --task FILE"),
        (["routing", "a", "b", "--task", "absent.jsonl"], MISSING, "No such file or directory: absent.jsonl"),
        (["report", "--quick", "--thorough"], USAGE, "--quick and --thorough ask for fewer and for more"),
        (["routing", "--chat", "tuned"], USAGE, "the tokenizer has no chat template for task"),
        (["layers", "--device", "meta"], FAILED, "device 'meta' was asked for"),
        (["layers", "--tuned-device", "meta"], FAILED, "device 'meta' was asked for"),
        (["report", "--n", "0"], USAGE, "--n and --max-new-tokens have to be at least 1"),
        (["organisms", "train", "rll"], USAGE, "there is no organism 'rll' to train"),
    ],
)
def test_a_wrong_call_gets_a_sentence_and_a_code(
    arguments: list[str], code: int, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--out", str(tmp_path / "out")]) == code
    line = said(capsys)
    assert line.startswith("interp: ")
    assert sentence in line


def test_an_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["reprot"])
    assert stopped.value.code == USAGE
    assert "invalid choice: 'reprot'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "task.jsonl has no problems"),
        (json.dumps(PROBLEM) + "\n{'id': 1}\n", "task.jsonl, line 2: not JSON"),
        (json.dumps(PROBLEM) + "\n" + json.dumps(PROBLEM), "task.jsonl, line 2: the id 'a' is that of line 1 too"),
    ],
)
def test_a_bad_task_file_is_named(
    text: str, sentence: str, tmp_path: Path, task_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task_file.write_text(text)
    assert main(["report", "a", "b", "--task", str(task_file), "--out", str(tmp_path / "out")]) == USAGE
    assert sentence in said(capsys)


def test_what_is_not_a_pair_fails_with_both_values(
    tiny_checkpoint: Checkpoints, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = [str(tiny_checkpoint("llama")), str(tiny_checkpoint("qwen2"))]
    assert main(["layers", *pair, "--task", "organism:rl", "--out", str(tmp_path / "out")]) == FAILED
    assert said(capsys) == "interp: base and tuned are not a pair: the architecture is llama in base and qwen2 in tuned"


def test_a_checkpoint_that_was_cut_short_fails(
    tiny_checkpoint: Checkpoints, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = tiny_checkpoint("llama")
    cut = shutil.copytree(whole, tmp_path / "cut")
    weights = cut / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert main(["layers", str(whole), str(cut), "--task", "organism:rl", "--out", str(tmp_path / "out")]) == FAILED
    assert "cut/model.safetensors is damaged or cut short" in said(capsys)


def layers(tiny_checkpoint: Checkpoints, task_file: Path, out: Path, *more: str) -> list[str]:
    pair = [str(tiny_checkpoint("llama", seed)) for seed in (0, 1)]
    options = ["--task", str(task_file), "--out", str(out), "--quick", "--max-new-tokens", "4"]
    return ["layers", *pair, *options, *more]


def test_a_full_disk_leaves_nothing_half_written(
    tiny_checkpoint: Checkpoints,
    task_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("interp.measurement.os.fsync", full)
    out = tmp_path / "out"
    assert main(layers(tiny_checkpoint, task_file, out)) == MISSING
    assert f"no space for results in {out}" in said(capsys)
    assert [path for path in out.rglob("*") if path.is_file()] == []


def test_a_fault_of_ours_keeps_its_traceback(
    tiny_checkpoint: Checkpoints, task_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ROOMS["weights"], lambda *_: np.zeros(2) + np.zeros(3))
    with pytest.raises(ValueError, match="could not be broadcast"):
        main(layers(tiny_checkpoint, task_file, tmp_path / "out"))


def test_debug_shows_the_traceback_of_any_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no directory 'a'"):
        main(["report", "a", "b", "--task", "organism:rl", "--out", str(tmp_path / "out"), "--debug"])


def test_a_task_file_is_measured_and_tokens_without_strategies_are_no_features(
    tiny_checkpoint: Checkpoints, task_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = layers(tiny_checkpoint, task_file, tmp_path / "out", "--json")
    assert main(arguments) == FINE
    found = strict(capsys.readouterr().out)
    assert {m["name"] for m in found["measurements"]} >= {"weights", "activations", "swaps"}
    assert main(["features", *arguments[1:]]) == USAGE
    assert "task 'task' labels no strategies; give its problems a 'text' with 'spans'" in said(capsys)


def test_an_interrupted_report_goes_on_where_it_stopped(
    tiny_checkpoint: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    pair = [str(tiny_checkpoint("llama", seed)) for seed in (0, 1)]
    command = ["report", *pair, "--task", "organism:rl", "--quick", "--n", "4", "--out", str(out), "--json"]

    def stop(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    def forbidden(*_: object, **__: object) -> NoReturn:
        raise AssertionError("measured again")

    monkeypatch.setitem(PRACTICE, "quick", 36)
    monkeypatch.setitem(SAMPLES, "quick", 5_200)
    monkeypatch.setitem(N_PLACES, "quick", 6)
    monkeypatch.setattr("interp.sae.room.STEERED", 4)
    monkeypatch.setattr("interp.sae.features.MIN_TOKENS", 5)
    monkeypatch.setattr("interp.tasks.organism.MAX_NEW_TOKENS", 12)  # random weights write on until they are stopped
    monkeypatch.setattr("interp.keeping.source_digest", lambda _: "the code, which someone may be editing just now")
    with monkeypatch.context() as first:
        first.setattr(ROOMS["answers"], stop)
        assert main(command) == INTERRUPTED
    assert "interrupted" in said(capsys)
    assert not (out / "index.html").exists()
    with monkeypatch.context() as second:
        for name in ROOMS.keys() - {"answers"}:
            second.setattr(ROOMS[name], forbidden)
        assert main(command) == FINE
    found = strict(capsys.readouterr().out)
    assert {m["name"] for m in found["measurements"]} >= ROOMS.keys() - {"rollouts"}
    assert len(found["verdicts"]) >= 3
    page = (out / "index.html").read_text()
    assert page.startswith("<!")
    with monkeypatch.context() as third:
        for name in ROOMS:
            third.setattr(ROOMS[name], forbidden)
        assert main(command) == FINE
        assert strict(capsys.readouterr().out) == found
        assert (out / "index.html").read_text() == page
        with pytest.raises(AssertionError, match="measured again"):
            main([*command, "--seed", "1"])


@pytest.mark.parametrize(("shipped", "code"), [(["base", "rl"], FINE), ([], MISSING)])
def test_the_doctor_says_what_is_missing(
    shipped: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("interp.organisms.shelf.names", lambda: shipped)
    assert main(["doctor", "--json", "--out", str(tmp_path)]) == code
    (machine,) = strict(capsys.readouterr().out)["measurements"]
    lacking = [row["what"] for row in machine["rows"] if row["needed"] and not row["fine"]]
    assert lacking == ([] if shipped else ["shipped organisms"])
    assert (tmp_path / "measurements" / "machine.json").exists()
