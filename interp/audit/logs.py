"""Rollouts that others made, read from their files: JSONL of all arms, or one log of inspect or lm-eval per arm."""

import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from interp.measurement import digest

_ABOUT = {"problem", "id", "question", "prompt", "answer", "kind", "judge"}
"""Keys of a JSONL row that are about the problem; every other one is an arm."""
_CUT = {"length", "max_tokens", "model_length"}

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Rollouts:
    """What each arm wrote to the same problems: `table` has a row per problem and arm, `digest` tells the files.

    Columns: problem, question, gold, arm, text (None where only flags are known), judged (True, False, or None where
    nobody judged), cut (None where the log does not say why a text ended).
    """

    name: str
    table: pd.DataFrame
    digest: str

    def __post_init__(self) -> None:
        table = self.table
        twice = table[table.duplicated(["problem", "arm"])]
        if len(twice):
            row = twice.iloc[0]
            raise ValueError(f"{self.name}: arm {row.arm!r} answers problem {row.problem!r} twice; keep one answer")
        arms = list(dict.fromkeys(table["arm"]))
        missing = [arm for arm in ("base", "tuned") if arm not in arms]
        if missing:
            raise ValueError(
                f"{self.name} has no arm {missing[0]!r} among {', '.join(arms) or 'none'}; a gap needs base and tuned"
            )
        asked = {arm: set(table.problem[table.arm == arm]) for arm in arms}
        everything = set(table.problem)
        for arm, problems in asked.items():
            if problems != everything:
                lacking = min(everything - problems)
                raise ValueError(
                    f"{self.name}: arm {arm!r} answers {len(problems)} of {len(everything)} problems, not {lacking!r}; "
                    "arms are compared on the same problems"
                )


def read_rollouts(sources: Sequence[str]) -> list[Rollouts]:
    """One `Rollouts` per JSONL file of all arms, and one of all logs that are given as `ARM=FILE`.

    JSONL, one problem a line: `problem` (or `id`), `answer` (what follows the last `####` of a worked solution), the
    optional `question` and `judge` ({arm: right?}), and every other key an arm with its text, or with true or false.
    Logs of one arm: inspect's `.eval` or `.json`, lm-eval's `samples_*.jsonl`; what they scored counts as the judge's.
    ValueError names the file, the line and what is wrong there.
    """
    alone = [source for source in sources if "=" not in source]
    named = [source.split("=", 1) for source in sources if "=" in source]
    found = [_from_table(Path(source)) for source in alone]
    if named:
        rows: list[Row] = []
        for arm, path in named:
            rows += [{**row, "arm": arm} for row in _log(Path(path))]
        content = digest("".join(digest_of(Path(path)) for _, path in named))
        found.append(Rollouts("logs", pd.DataFrame(rows), content))
    return found


def digest_of(path: Path) -> str:
    """A digest of a file's bytes."""
    return digest(path.read_bytes().decode("latin-1"))


def _from_table(path: Path) -> Rollouts:
    if path.suffix in (".eval", ".json") or _is_lm_eval(path):
        raise ValueError(f"{path.name} is the log of one arm; say which, as in base={path.name} tuned=OTHER")
    rows = [row for number, line in _lines(path) for row in _arms(f"{path.name}, line {number}", line)]
    if not rows:
        raise ValueError(
            f"{path.name} has no problems; write one JSON object a line, with problem, answer and the arms"
        )
    _same_arms(path, rows)
    return Rollouts(path.stem, pd.DataFrame(rows), digest_of(path))


def _arms(where: str, row: Any) -> list[Row]:
    """A row per arm of one line."""
    if not isinstance(row, dict):
        raise ValueError(f"{where}: a {type(row).__name__}, not an object with problem, answer and the arms")
    name = row.get("problem", row.get("id"))
    if name is None:
        raise ValueError(f"{where}: neither 'problem' nor 'id' names the problem")
    arms = {key: value for key, value in row.items() if key not in _ABOUT}
    if not arms:
        raise ValueError(f"{where}: there is no arm; give base, tuned and others, each with its text or true or false")
    wrong = [arm for arm, value in arms.items() if not isinstance(value, str | bool)]
    if wrong:
        raise ValueError(f"{where}: arm {wrong[0]!r} is {arms[wrong[0]]!r}; give its text, or true or false")
    if len({isinstance(value, str) for value in arms.values()}) > 1:
        raise ValueError(f"{where}: some arms are texts and some are flags; give all as texts or all as flags")
    texts = isinstance(next(iter(arms.values())), str)
    if texts and not str(row.get("answer", "")).strip():
        raise ValueError(f"{where}: texts need the gold 'answer' to be graded, and there is none")
    judge = row.get("judge", {})
    if not isinstance(judge, dict) or any(not isinstance(flag, bool) for flag in judge.values()):
        raise ValueError(f"{where}: 'judge' is {judge!r}; give true or false per arm")
    about = {"problem": str(name), "question": str(row.get("question", row.get("prompt", "")))}
    about["gold"] = str(row.get("answer", ""))
    return [
        {
            **about,
            "arm": arm,
            "text": value if texts else None,
            "judged": judge.get(arm) if texts else value,
            "cut": None,
        }
        for arm, value in arms.items()
    ]


def _same_arms(path: Path, rows: Sequence[Row]) -> None:
    """ValueError where one line is of texts and another of flags."""
    kinds = {row["text"] is None for row in rows}
    if len(kinds) > 1:
        raise ValueError(f"{path.name}: some lines hold texts and some flags; give all as texts or all as flags")


def _log(path: Path) -> list[Row]:
    """A row per problem of a log of one arm."""
    if path.suffix == ".eval":
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.startswith("samples/")]
            samples = [json.loads(archive.read(name)) for name in sorted(names)]
        return [_inspect(path, sample) for sample in samples]
    if path.suffix == ".json":
        data = json.loads(path.read_text())
        if not isinstance(data, dict) or "samples" not in data:
            raise ValueError(f"{path.name} is no log of inspect: it has no 'samples'; log with samples and try again")
        return [_inspect(path, sample) for sample in data["samples"]]
    if not _is_lm_eval(path):
        raise ValueError(f"{path.name} is no sample log of lm-eval: its first line lacks doc_id and resps")
    return _lm_eval(path, [line for _, line in _lines(path)])


def _inspect(path: Path, sample: Mapping[str, Any]) -> Row:
    """One sample; several epochs of one problem are problems of their own name."""
    if "id" not in sample or "output" not in sample:
        raise ValueError(f"{path.name}: a sample without id or output; is this a log of inspect?")
    output, target, asked = sample["output"], sample.get("target", ""), sample.get("input", "")
    choices = output.get("choices") or [{}]
    text = output.get("completion") or choices[0].get("message", {}).get("content", "")
    values = [score.get("value") for score in (sample.get("scores") or {}).values()]
    epoch = sample.get("epoch", 1)
    return {
        "problem": str(sample["id"]) if epoch == 1 else f"{sample['id']} (epoch {epoch})",
        "question": asked if isinstance(asked, str) else str(asked[-1].get("content", "")) if asked else "",
        "gold": str(target[0] if isinstance(target, list) and target else target),
        "text": text if isinstance(text, str) else "".join(part.get("text", "") for part in text),
        "judged": _flag(values[0]) if values else None,
        "cut": choices[0].get("stop_reason") in _CUT if "stop_reason" in choices[0] else None,
    }


def _flag(value: Any) -> bool | None:
    """Inspect's C and I, 1 and 0, true and false; None for partial credit."""
    return {"C": True, "I": False, "1": True, "0": False, "1.0": True, "0.0": False, "True": True, "False": False}.get(
        str(value)
    )


def _lm_eval(path: Path, samples: Sequence[Row]) -> list[Row]:
    """One row per document; the first filter's score is the judge's, others grade the same text again."""
    rows: dict[str, Row] = {}
    for sample in samples:
        name, responses = str(sample["doc_id"]), sample["resps"]
        if len(responses) != 1 or len(responses[0]) != 1 or not isinstance(responses[0][0], str):
            raise ValueError(f"{path.name}: document {name} has no single text as its response; only those are audited")
        metrics = [sample[key] for key in sample.get("metrics", ["exact_match"]) if key in sample]
        question = str(sample.get("doc", {}).get("question", sample.get("doc", {}).get("problem", "")))
        text = responses[0][0]
        if name in rows and rows[name]["text"] != text:
            raise ValueError(f"{path.name}: document {name} has two different responses; keep one")
        judged = _flag(metrics[0]) if metrics else None
        gold = str(sample["target"])
        rows.setdefault(
            name, {"problem": name, "question": question, "gold": gold, "text": text, "judged": judged, "cut": None}
        )
    return list(rows.values())


def _is_lm_eval(path: Path) -> bool:
    first = next(iter(_lines(path)), (0, None))[1]
    return isinstance(first, dict) and {"doc_id", "resps", "target"} <= first.keys()


def _lines(path: Path) -> Iterable[tuple[int, Any]]:
    """Line numbers and what the lines parse to; blank lines are passed over."""
    for number, raw in enumerate(path.read_bytes().split(b"\n"), start=1):
        try:
            if raw.strip():
                yield number, json.loads(raw.decode())
        except ValueError as error:
            raise ValueError(f"{path.name}, line {number}: not a line of JSON in UTF-8 ({error})") from error
