"""`interp organisms list | train`."""

import argparse
import json
from pathlib import Path

from interp.commands.found import MISSING, Commands, Found, Refusal, kept, say, writable


def add_organisms(
    commands: "Commands[argparse.ArgumentParser]", everywhere: argparse.ArgumentParser, seeded: argparse.ArgumentParser
) -> None:
    """The commands."""
    organisms = commands.add_parser("organisms", help="Small pairs whose truth is planted.").add_subparsers(
        required=True, metavar="COMMAND"
    )
    text = "What is shipped and what is planted in it."
    organisms.add_parser("list", help=text, description=text, parents=[everywhere]).set_defaults(command=_list)
    text = "Train an organism, and first its parents; it is kept only if it passes its gate."
    train = organisms.add_parser("train", help=text, description=text, parents=[everywhere, seeded])
    train.add_argument("organism", metavar="NAME", help="as `interp organisms list` names them")
    train.set_defaults(command=_train)


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
    return kept(Found([shelved], [], lines), arguments)


def _train(arguments: argparse.Namespace) -> Found:
    out = writable(arguments.out or Path("organisms"))
    import pandas as pd

    from interp.measurement import Measurement, provenance
    from interp.organisms.errands.making import train_errand
    from interp.organisms.errands.recipes import ERRANDS
    from interp.organisms.making import train_organism

    make = train_errand if arguments.organism in ERRANDS else train_organism
    folder = make(arguments.organism, seed=arguments.seed, out=out, say=say)
    card = json.loads((folder / "card.json").read_text())
    counts = pd.DataFrame([{"what": what, **count} for what, count in card["counts"].items()])
    made_with = provenance(organism=card["name"], seed=card["seed"], recipe=card["recipe"])
    counted = Measurement("card", "shares of held-out problems", counts, made_with)
    return Found([counted], [], [f"{card['name']} of seed {card['seed']} is in {folder}"])
