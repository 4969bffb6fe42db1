"""The commands. Everything heavy is imported by the command that needs it, so `--help` answers at once."""

import argparse
import contextlib
import errno
import json
import logging
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from interp.claims.verdict import Verdict
    from interp.measurement import Measurement
    from interp.tasks.task import Task

FINE, FAILED, USAGE, MISSING, INTERRUPTED = 0, 1, 2, 3, 130
OUT = Path("report")
PROBLEMS = {"full": 300, "quick": 100}
PRACTICE = {"full": 600, "quick": 200}
"""Problems to judge by, and problems of the organisms to fit on."""
SWEPT = ("weights", "spectra", "activations", "answers")
"""What `interp sweep` measures; the names of `interp.units.sweep.INSTRUMENTS`, which would load torch."""

EPILOG = """\
A checkpoint is named by a directory, by a hub id (org/name@revision) or as a shipped organism (organism:rl, or
organism:rl@1 for the one of seed 1). Exit codes: 0 fine, 1 a check failed, 2 usage, 3 something needed is missing.
"""
AUDIT_HELP = (
    "JSONL with problem, answer and each arm's text (or true/false) in a line; or ARM=LOG, once per arm, "
    "for logs of inspect or lm-eval"
)
CLAIMS_HELP = "Claims about what tuned models write: as reported, as estimated, and the verdict; alone, the register."
DEVICE_HELP = "of both models: cuda, or auto to spread each over the devices that have room (default: cpu)"
DTYPES = ("float32", "bfloat16", "float16", "float64")
TASK_HELP = "JSONL file with id, prompt (or question) and answer in each line"


@dataclass(frozen=True)
class Found:
    """What a command found, the same in lines for a person, and the exit code."""

    measurements: Sequence["Measurement"]
    verdicts: Sequence["Verdict"]
    lines: Sequence[str]
    code: int = FINE


class Refusal(Exception):
    """A command cannot go on: why, in a sentence, and the exit code."""

    def __init__(self, sentence: str, code: int) -> None:
        super().__init__(sentence)
        self.code = code


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. What was found goes to stdout, everything else to stderr."""
    arguments = _parser().parse_args(argv)
    for name, value in {"TRANSFORMERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false"}.items():
        os.environ.setdefault(name, value)
    log = logging.getLogger("interp")
    log.handlers, log.propagate = [logging.StreamHandler(sys.stderr)], False
    log.setLevel(logging.INFO)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # some libraries print
            found: Found = arguments.command(arguments)
    except KeyboardInterrupt:
        print("interp: interrupted; the same command goes on after the last finished measurement", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        refusal = _refusal(error, arguments.out or OUT)
        if arguments.debug or refusal is None:
            raise
        print(f"interp: {refusal}", file=sys.stderr)
        return refusal.code
    if arguments.json:
        result = {
            "measurements": [measurement.to_json() for measurement in found.measurements],
            "verdicts": [verdict.to_json() for verdict in found.verdicts],
        }
        print(json.dumps(result, allow_nan=False))
    else:
        print("\n".join(found.lines))
    return found.code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="interp", description="What did fine-tuning change in this model?", epilog=EPILOG
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    everywhere = argparse.ArgumentParser(add_help=False)
    everywhere.add_argument("--out", type=Path, metavar="DIR", help=f"where results go (default: {OUT})")
    everywhere.add_argument("--json", action="store_true", help="print one JSON object and nothing else on stdout")
    everywhere.add_argument("--debug", action="store_true", help="show the traceback of an error")
    seeded = argparse.ArgumentParser(add_help=False)
    seeded.add_argument("--seed", type=int, default=0, metavar="S", help="of every random choice (default: 0)")
    measured = argparse.ArgumentParser(add_help=False, parents=[everywhere, seeded])
    measured.add_argument("checkpoints", nargs="*", metavar="BASE TUNED", help="default: organism:base organism:rl")
    measured.add_argument("--task", metavar="FILE", help=f"{TASK_HELP}; organisms bring their own")
    measured.add_argument(
        "--n",
        type=int,
        metavar="N",
        help=f"problems to judge by (default: {PROBLEMS['full']}, quick {PROBLEMS['quick']})",
    )
    measured.add_argument(
        "--max-new-tokens", type=int, default=256, metavar="N", help="per answer to a FILE's problem (default: 256)"
    )
    measured.add_argument(
        "--chat", choices=("base", "tuned"), help="ask both models in this one's chat template (default: plain text)"
    )
    measured.add_argument("--dtype", choices=DTYPES, default=DTYPES[0], help=f"of both models (default: {DTYPES[0]})")
    measured.add_argument("--device", default="cpu", metavar="D", help=DEVICE_HELP)
    measured.add_argument("--tuned-device", metavar="D", help="of tuned, where it is another, such as cuda:1")
    measured.add_argument("--quick", action="store_true", help="fewer problems and draws: minutes become seconds")
    measured.add_argument("--thorough", action="store_true", help="every way of routing there is, dear ones too")

    def add(
        name: str, run: Callable[[argparse.Namespace], Found], text: str, *parents: argparse.ArgumentParser
    ) -> None:
        commands.add_parser(name, help=text, description=text, epilog=EPILOG, parents=parents).set_defaults(
            command=run, name=name
        )

    add("report", _report, "All measurements, verdicts and one page about a base and a tuned checkpoint.", measured)
    add("layers", _room, "Where in the depth did tuning act?", measured)
    add("features", _room, "Which strategy features did base have before tuning?", measured)
    routed = argparse.ArgumentParser(add_help=False, parents=[measured])
    routed.add_argument(
        "--small",
        nargs=2,
        metavar=("BASE", "TUNED"),
        help="a smaller pair of the same tokenizer: one more arm puts what its tuning did on the large base",
    )
    routed.add_argument(
        "--sae",
        type=Path,
        metavar="DIR",
        help="a sparse autoencoder of base: one more arm routes where a feature fires",
    )
    add("routing", _routing, "What does base solve when tuned writes some of its tokens?", routed)
    claimed = argparse.ArgumentParser(add_help=False, parents=[measured])
    claimed.add_argument(
        "--tunings",
        nargs="+",
        default=[],
        metavar="OTHER",
        help="other checkpoints tuned from BASE: do they change the same parameters? (organisms bring theirs)",
    )
    claimed.add_argument(
        "--series",
        nargs="+",
        default=[],
        metavar="DIR",
        help="checkpoints along the tuning, in order, whose names end in their step: since when?",
    )
    add("claims", _claims, CLAIMS_HELP, claimed)
    audited = argparse.ArgumentParser(add_help=False, parents=[everywhere])
    audited.add_argument("files", nargs="+", metavar="FILE", help=AUDIT_HELP)
    audited.add_argument(
        "--judge",
        action="append",
        default=[],
        metavar="ARM=N",
        help="a judge's total of right answers, once per arm, to compare with",
    )
    add("audit", _audit, "What rollouts made elsewhere say about the recovered gap, by every grading rule.", audited)
    add("doctor", _doctor, "What this machine has, beside what is needed.", everywhere)
    organisms = commands.add_parser("organisms", help="Small pairs whose truth is planted.").add_subparsers(
        required=True, metavar="COMMAND"
    )
    text = "What is shipped and what is planted in it."
    organisms.add_parser("list", help=text, description=text, parents=[everywhere]).set_defaults(command=_list)
    text = "Train an organism, and first its parents; it is kept only if it passes its gate."
    train = organisms.add_parser("train", help=text, description=text, parents=[everywhere, seeded])
    train.add_argument("organism", metavar="NAME", help="as `interp organisms list` names them")
    train.set_defaults(command=_train)
    _figures_parser(commands, everywhere)
    _calibrate_parser(commands, everywhere)
    _sweep_parser(commands, everywhere)
    return parser


def _figures_parser(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", *parents: argparse.ArgumentParser
) -> None:
    """`interp figures list | build | check | measure`."""
    text = "Paper figures: what there is, drawn again, and checked against data and checkpoints."
    figures = commands.add_parser("figures", help=text, description=text).add_subparsers(
        required=True, metavar="COMMAND"
    )
    shared = argparse.ArgumentParser(add_help=False, parents=parents)
    shared.add_argument(
        "--dir", type=Path, default=Path("figures"), help="folder with manifest.toml (default: figures)"
    )
    chosen = argparse.ArgumentParser(add_help=False, parents=[shared])
    chosen.add_argument("ids", nargs="*", metavar="ID", help="default: all")
    text = "Every figure, the sentence it supports and what it needs."
    figures.add_parser("list", help=text, description=text, parents=[shared]).set_defaults(command=_figures_list)
    text = "Draw figures from their saved data."
    build = figures.add_parser("build", help=text, description=text, parents=[chosen])
    build.add_argument(
        "--formats", default="svg,pdf,png", metavar="LIST", help="of svg, pdf, png; empty for JSON alone"
    )
    build.add_argument("--theme", choices=("paper", "screen", "dark"), default="paper")
    build.add_argument("--width", choices=("column", "page"), default="column")
    build.set_defaults(command=_figures_build)
    text = "Do the pictures follow from the data, and the data from the checkpoints? Exits 1 on any difference."
    check = figures.add_parser("check", help=text, description=text, parents=[chosen])
    check.add_argument("--level", choices=("summary", "shard", "full"), default="summary")
    check.set_defaults(command=_figures_check)
    text = "Measure the figures' tables from the checkpoints and save them."
    figures.add_parser("measure", help=text, description=text, parents=[chosen]).set_defaults(command=_figures_measure)


def _calibrate_parser(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", *parents: argparse.ArgumentParser
) -> None:
    """`interp calibrate`."""
    text = "Is each instrument right where the truth is planted? Exits 1 where one is no better than a coin."
    calibrate = commands.add_parser("calibrate", help=text, description=text, epilog=EPILOG, parents=parents)
    calibrate.add_argument("--instrument", action="append", metavar="X", help="may be repeated (default: all)")
    calibrate.add_argument("--organism", action="append", metavar="Y", help="may be repeated (default: all)")
    calibrate.add_argument("--seeds", nargs="+", type=int, metavar="S", help="of the bases (default: all, quick 0 1)")
    calibrate.add_argument(
        "--draws", type=int, default=1, metavar="N", help="tunings, edits and sets of problems per base (default: 1)"
    )
    calibrate.add_argument("--quick", action="store_true", help="a few organisms of base seeds 0 and 1")
    calibrate.add_argument("--kept", action="store_true", help="judge what is kept in DIR, measure nothing")
    calibrate.add_argument("--features", action="store_true", help="instruments of features too: minutes per organism")
    calibrate.add_argument("--claims", action="store_true", help="verdicts on claims about texts instead")
    calibrate.add_argument(
        "--power",
        action="store_true",
        help="also with fewer problems, smaller gaps, weaker tunings; with --features, fewer vectors for SAEs",
    )
    calibrate.add_argument("--jobs", type=int, default=2, metavar="N", help="processes (default: 2)")
    calibrate.set_defaults(command=_calibrate)


def _sweep_parser(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", *parents: argparse.ArgumentParser
) -> None:
    """`interp sweep`."""
    text = (
        "Instruments on pairs and seeds, cut into units that are kept and may be done by many processes or a cluster."
    )
    sweep = commands.add_parser("sweep", help=text, description=text, epilog=EPILOG, parents=parents)
    sweep.add_argument("base", metavar="BASE")
    sweep.add_argument("tuned", nargs="+", metavar="TUNED", help="each makes a pair with BASE")
    sweep.add_argument("--engine", choices=("serial", "processes", "ray"), default="processes")
    sweep.add_argument("--jobs", type=int, default=2, metavar="N", help="units at a time on this machine (default: 2)")
    sweep.add_argument(
        "--shards", type=int, default=4, metavar="N", help="parts that prompts and problems are cut into (default: 4)"
    )
    sweep.add_argument(
        "--instruments",
        default=",".join(SWEPT),
        metavar="LIST",
        help=f"of {', '.join(SWEPT)} (default: all)",
    )
    sweep.add_argument("--seeds", nargs="+", type=int, default=[0], metavar="S", help="of random choices (default: 0)")
    sweep.add_argument("--task", metavar="FILE", help=f"{TASK_HELP}; organisms bring their own")
    sweep.add_argument("--n", type=int, metavar="N", help=f"problems to judge by (default: {PROBLEMS['full']})")
    sweep.add_argument("--max-new-tokens", type=int, default=256, metavar="N", help="per answer to a FILE's problem")
    sweep.add_argument("--quick", action="store_true", help="fewer problems, draws and arms")
    sweep.add_argument("--dtype", choices=DTYPES, default=DTYPES[0])
    sweep.add_argument("--device", default="cpu", metavar="D", help="of every worker, such as cuda (default: cpu)")
    sweep.add_argument("--tuned-device", metavar="D", help="of tuned, where it is another, such as cuda:1")
    sweep.set_defaults(command=_sweep)


def _report(arguments: argparse.Namespace) -> Found:
    base, tuned, task, out = _asked(arguments)
    from interp import workbench

    quick, thorough = arguments.quick, arguments.thorough
    pair = workbench.open_pair(base, tuned, **_place(arguments))
    measurements = workbench.measure(
        pair, task, folder=out / "measurements", quick=quick, thorough=thorough, seed=arguments.seed
    )
    verdicts, page = workbench.write_page(measurements, out, quick=quick)
    return Found(measurements, verdicts, [*map(_line, verdicts), f"The page is {page}"])


def _room(arguments: argparse.Namespace) -> Found:
    base, tuned, task, out = _asked(arguments)
    from interp import workbench

    rooms = {"layers": workbench.measure_layers, "features": workbench.measure_features}
    folder = out / "measurements"
    pair = workbench.open_pair(base, tuned, **_place(arguments))
    measurements = rooms[arguments.name](pair, task, folder=folder, quick=arguments.quick, seed=arguments.seed)
    return _measured(measurements, folder)


def _routing(arguments: argparse.Namespace) -> Found:
    base, tuned, task, out = _asked(arguments)
    from interp import workbench

    folder = out / "measurements"
    pair = workbench.open_pair(base, tuned, **_place(arguments))
    measurements = workbench.measure_routing(
        pair,
        task,
        folder=folder,
        quick=arguments.quick,
        thorough=arguments.thorough,
        small=workbench.open_pair(*arguments.small, **_place(arguments)) if arguments.small else None,
        dictionary=workbench.open_dictionary(pair, arguments.sae) if arguments.sae else None,
        seed=arguments.seed,
    )
    return _measured(measurements, folder)


def _measured(measurements: Sequence["Measurement"], folder: Path) -> Found:
    """What one room found, and the verdicts that it is enough for."""
    from interp import workbench

    verdicts = workbench.decide(measurements)
    saved = [f"{folder / m.name}.json: {m.unit}; {len(m.table)} rows" for m in measurements]
    return Found(measurements, verdicts, [*saved, *map(_line, verdicts)])


def _claims(arguments: argparse.Namespace) -> Found:
    if not arguments.checkpoints:
        from interp.claims.register import register_table

        rows = register_table()
        return Found(
            [], [], [f"{row.key:4} {row.claim} ({row.source}). Needs {row.needs}." for row in rows.itertuples()]
        )
    base, tuned, task, out = _asked(arguments)
    from interp import workbench
    from interp.claims.ledger import ledger, ledger_lines

    pair, folder = workbench.open_pair(base, tuned, **_place(arguments)), out / "measurements"
    measured = workbench.measure_claims(
        pair,
        task,
        folder=folder,
        quick=arguments.quick,
        tunings=arguments.tunings or (),
        series=arguments.series or (),
        seed=arguments.seed,
    )
    verdicts = ledger(measured)
    return Found(measured, verdicts, ledger_lines(verdicts))


def _audit(arguments: argparse.Namespace) -> Found:
    from interp.audit.graded import endings, graded
    from interp.audit.logs import read_rollouts
    from interp.audit.page import Audit, lines, write_page
    from interp.claims.hybrid_recovers import hybrid_recovers

    logs = read_rollouts(arguments.files)
    if arguments.judge and len(logs) > 1:
        raise Refusal("--judge is of one set of rollouts, but several are given; audit them one by one", USAGE)
    totals = dict(map(_total, arguments.judge))
    out, audits = _writable(arguments.out or OUT), []
    for log in logs:
        grades = graded(log, totals=totals)
        ends = endings(log) if log.table.text.notna().any() else None
        hybrids = [arm for arm in dict.fromkeys(log.table["arm"]) if arm not in ("base", "tuned")]
        audits.append(Audit(log.name, grades, ends, [hybrid_recovers(grades, arm) for arm in hybrids]))
    page = write_page(audits, out / "audit.html")
    measurements = [measurement for audit in audits for measurement in (audit.grades, audit.ends) if measurement]
    for audit in audits:
        for measurement in filter(None, (audit.grades, audit.ends)):
            measurement.save(out / "audits" / audit.name)
    verdicts = [verdict for audit in audits for verdict in audit.verdicts]
    return Found(measurements, verdicts, [*(line for audit in audits for line in lines(audit)), f"The page is {page}"])


def _total(text: str) -> tuple[str, int]:
    arm, _, number = text.partition("=")
    if not number.isdecimal():
        raise Refusal(f"--judge is {text!r}; give it as ARM=N, such as base=119", USAGE)
    return arm, int(number)


def _list(arguments: argparse.Namespace) -> Found:
    import pandas as pd

    from interp.measurement import Measurement, provenance
    from interp.organisms import shelf

    cards = [shelf.card(name, seed) for seed in shelf.seeds() for name in shelf.names(seed)]
    if not cards:
        raise Refusal("no organism is shipped with this installation; `interp organisms train rl` makes one", MISSING)
    rows = [
        {key: card[key] for key in ("name", "seed", "parent", "planted", "recipe", "cpu_minutes")} for card in cards
    ]
    shelved = Measurement("organisms", "what is planted in each organism", pd.DataFrame(rows), provenance())
    lines = [f"organism:{row['name']}@{row['seed']}  {row['planted']}" for row in rows]
    return _kept(Found([shelved], [], lines), arguments)


def _train(arguments: argparse.Namespace) -> Found:
    out = _writable(arguments.out or Path("organisms"))
    import pandas as pd

    from interp.measurement import Measurement, provenance
    from interp.organisms.errands.making import train_errand
    from interp.organisms.errands.recipes import ERRANDS
    from interp.organisms.making import train_organism

    say = logging.getLogger("interp").info
    make = train_errand if arguments.organism in ERRANDS else train_organism
    folder = make(arguments.organism, seed=arguments.seed, out=out, say=say)
    card = json.loads((folder / "card.json").read_text())
    counts = pd.DataFrame([{"what": what, **count} for what, count in card["counts"].items()])
    made_with = provenance(organism=card["name"], seed=card["seed"], recipe=card["recipe"])
    counted = Measurement("card", "shares of held-out problems", counts, made_with)
    return Found([counted], [], [f"{card['name']} of seed {card['seed']} is in {folder}"])


def _doctor(arguments: argparse.Namespace) -> Found:
    from interp.doctor import doctor, missing

    machine = doctor(arguments.out or OUT)
    states = {(True, True): "fine", (True, False): "fine", (False, True): "MISSING", (False, False): "absent"}
    rows = [(states[row.fine, row.needed], row) for row in machine.table.itertuples()]
    lines = [f"{state:8} {row.what}: {row.found} (wanted: {row.wanted})" for state, row in rows]
    return _kept(Found([machine], [], lines, MISSING if missing(machine) else FINE), arguments)


def _figures_list(arguments: argparse.Namespace) -> Found:
    from interp.figures.manifest import read_manifest

    figures = read_manifest(arguments.dir).values()
    return Found(
        [], [], [f"{figure.id:18} {figure.title}: {figure.sentence} (needs {figure.needs})" for figure in figures]
    )


def _figures_build(arguments: argparse.Namespace) -> Found:
    from interp.figures.build import build
    from interp.figures.manifest import chosen, read_manifest

    figures = chosen(read_manifest(arguments.dir), arguments.ids)
    formats = [kind for kind in arguments.formats.split(",") if kind]
    if unknown := set(formats) - {"svg", "pdf", "png"}:
        raise Refusal(f"a picture is svg, pdf or png, not {', '.join(sorted(unknown))}", USAGE)
    headlines = build(arguments.dir, figures, formats=formats, theme=arguments.theme, width=arguments.width)
    return Found([], [], [f"{figure.id}: {json.dumps(headline)}" for figure, headline in headlines])


def _figures_check(arguments: argparse.Namespace) -> Found:
    from interp.figures import check
    from interp.figures.build import side_by_side
    from interp.figures.manifest import chosen, read_manifest

    figures = chosen(read_manifest(arguments.dir), arguments.ids)
    checks = [found for figure in figures for found in check.check_drawing(arguments.dir, figure)]
    if arguments.level != "summary":
        checks += check.check_again(arguments.dir, figures, sample=arguments.level == "shard", say=_say)
    lines = [str(found) for found in checks]
    if check.failed(checks):
        page = side_by_side(arguments.dir, figures, checks, (arguments.out or OUT) / "figures.html")
        lines.append(f"What differs, side by side: {page}")
    return Found([], [], lines, FAILED if check.failed(checks) else FINE)


def _figures_measure(arguments: argparse.Namespace) -> Found:
    from interp.figures.check import measures
    from interp.figures.data import save_data
    from interp.figures.manifest import chosen, read_manifest

    tables = measures(arguments.dir).tables
    names = sorted({name for figure in chosen(read_manifest(arguments.dir), arguments.ids) for name in figure.data})
    lines = []
    for name in names:
        _say(f"measuring {name}")
        lines.append(str(save_data(tables[name](None), (arguments.dir / "data" / name).parent)))
    return Found([], [], lines)


def _calibrate(arguments: argparse.Namespace) -> Found:
    if arguments.jobs < 1 or arguments.draws < 1:
        raise Refusal("--jobs and --draws have to be at least 1", USAGE)
    from interp.calibration import fewer_vectors, matrix, power, rates

    folder = _writable(arguments.out or OUT / "calibration")
    record = matrix.calibrate(
        arguments.instrument,
        arguments.organism,
        base_seeds=arguments.seeds,
        draws=arguments.draws,
        quick=arguments.quick,
        kept=arguments.kept,
        features=arguments.features,
        claims=arguments.claims,
        folder=folder,
        jobs=arguments.jobs,
    )
    curves = [power.fewer_problems(folder), power.weaker(folder, kept=arguments.kept)] if arguments.power else []
    missed = power.lines(curves[0]) if curves else []
    if arguments.power and arguments.features:
        curves.append(fewer_vectors.fewer_vectors(folder, kept=arguments.kept))
        missed += fewer_vectors.lines(curves[-1])
    for measurement in curves:
        measurement.save(folder)
    like_a_coin = rates.like_a_coin(record)
    coins = [f"No better than a coin in these cells: {name}" for name in like_a_coin]
    return Found([record, *curves], [], [*rates.lines(record), *coins, *missed], FAILED if like_a_coin else FINE)


def _sweep(arguments: argparse.Namespace) -> Found:
    chosen = [name for name in arguments.instruments.split(",") if name]
    if unknown := sorted(set(chosen) - set(SWEPT)):
        raise Refusal(f"an instrument of a sweep is {', '.join(SWEPT)}, not {', '.join(unknown)}", USAGE)
    if arguments.jobs < 1 or arguments.shards < 1 or not chosen:
        raise Refusal("--jobs and --shards have to be at least 1, and --instruments has to name one", USAGE)
    from interp.units.jobs import folder_of, jobs_of
    from interp.units.sweep import sweep

    size, out = "quick" if arguments.quick else "full", _writable(arguments.out or OUT / "sweep")
    jobs = jobs_of(
        arguments.base,
        arguments.tuned,
        task=arguments.task,
        seeds=arguments.seeds,
        n=PROBLEMS[size] if arguments.n is None else arguments.n,
        practice=PRACTICE[size],
        max_new_tokens=arguments.max_new_tokens,
        shards=arguments.shards,
        **_place(arguments),
        quick=arguments.quick,
    )
    measurements, lines = list["Measurement"](), list[str]()
    for job, found in sweep(jobs, chosen, store=out / "units", engine=arguments.engine, processes=arguments.jobs):
        path = found.save(folder_of(job, out))
        measurements.append(found)
        lines.append(f"{path}: {found.unit}; {len(found.table)} rows")
    return Found(measurements, [], lines)


def _say(line: str) -> None:
    logging.getLogger("interp").info(line)


def _asked(arguments: argparse.Namespace) -> tuple[str, str, "Task", Path]:
    """Base, tuned, their task and a writable folder; whatever is cheap to refuse is refused before torch is loaded."""
    if len(arguments.checkpoints) not in (0, 2):
        raise Refusal(f"{len(arguments.checkpoints)} checkpoint given; name two, base and tuned, or none", USAGE)
    base, tuned = arguments.checkpoints or ("organism:base", "organism:rl")
    size = "quick" if arguments.quick else "full"
    n = PROBLEMS[size] if arguments.n is None else arguments.n
    if n < 1 or arguments.max_new_tokens < 1:
        raise Refusal("--n and --max-new-tokens have to be at least 1", USAGE)
    if arguments.quick and arguments.thorough:
        raise Refusal("--quick and --thorough ask for fewer and for more; give one of them", USAGE)
    source = arguments.task or (tuned if tuned.startswith("organism:") else None)
    if source is None:
        raise Refusal(f"{tuned} brings no task of its own; give --task FILE, a {TASK_HELP}", USAGE)
    if source.startswith("organism:"):
        from interp.tasks.organism import organism_task

        name = source.removeprefix("organism:").partition("@")[0]
        task = organism_task(name, n=n, seed=arguments.seed, practice=PRACTICE[size])
    else:
        from interp.tasks.text import text_task

        task = text_task(source, n=n, max_new_tokens=arguments.max_new_tokens)
    if arguments.chat:
        from interp.workbench import asked_in_chat

        task = asked_in_chat(task, base if arguments.chat == "base" else tuned)
    return base, tuned, task, _writable(arguments.out or OUT)


def _place(arguments: argparse.Namespace) -> dict[str, str]:
    """In what and where the models compute."""
    return {"dtype": arguments.dtype, "device": arguments.device, "tuned_device": arguments.tuned_device}


def _writable(folder: Path) -> Path:
    """The folder, made if need be; OSError at once, and not after minutes of work, where nothing can be written."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        return folder


def _kept(found: Found, arguments: argparse.Namespace) -> Found:
    """Saves the measurements where the user named a folder."""
    if arguments.out:
        for measurement in found.measurements:
            measurement.save(_writable(arguments.out) / "measurements")
    return found


def _line(verdict: "Verdict") -> str:
    """The verdict and its first reason; the others are on the page and in the JSON."""
    return f"{verdict.claim}: {verdict.says}. {verdict.because.partition('. ')[0].removesuffix('.')}."


def _refusal(error: Exception, out: Path) -> Refusal | None:
    """The sentence and code for an error that our own lines or the file system raised; None for a fault of ours."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(next(p for p in (out.absolute(), *out.absolute().parents) if p.exists())).free
        return Refusal(
            f"no space for results in {out} ({free:,} bytes are free); nothing half-written is left, and what was "
            "finished is used again when the same command is given with more space",
            MISSING,
        )
    if isinstance(error, OSError) and error.errno is not None:
        return Refusal(f"{error.strerror}: {error.filename}", MISSING)
    frames = traceback.extract_tb(error.__traceback__)
    ours = Path(frames[-1].filename).is_relative_to(Path(__file__).parent)
    if not ours or not (frames[-1].line or "").startswith("raise "):  # no sentence that was written for a person
        return None
    from interp.checkpoint import CheckpointError, MissingError

    loading = any(frame.name == "load_pair" for frame in frames)
    codes = {
        MissingError: MISSING,
        CheckpointError: FAILED,
        RuntimeError: FAILED,
        ValueError: FAILED if loading else USAGE,
        LookupError: USAGE,
    }
    return next((Refusal(str(error.args[0]), code) for kind, code in codes.items() if isinstance(error, kind)), None)
