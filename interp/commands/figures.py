"""`interp figures list | build | check | measure`."""

import argparse
import json
from pathlib import Path

from interp.commands.found import FAILED, FINE, OUT, USAGE, Commands, Found, Refusal, say


def add_figures(commands: "Commands[argparse.ArgumentParser]", *parents: argparse.ArgumentParser) -> None:
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
        checks += check.check_again(arguments.dir, figures, sample=arguments.level == "shard", say=say)
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
        say(f"measuring {name}")
        lines.append(str(save_data(tables[name](None), (arguments.dir / "data" / name).parent)))
    return Found([], [], lines)
