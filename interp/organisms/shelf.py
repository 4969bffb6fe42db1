"""Where the organisms that ship with the package lie, and what their cards say."""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent / "checkpoints"


def names(seed: int = 0) -> list[str]:
    """The organisms on the shelf for one base seed."""
    return sorted(path.parent.name for path in ROOT.glob(f"seed{seed}/*/card.json"))


def seeds() -> list[int]:
    """The base seeds on the shelf."""
    return sorted(int(path.name.removeprefix("seed")) for path in ROOT.glob("seed*"))


def folder(name: str, seed: int = 0) -> Path:
    """The directory of a shipped checkpoint, which any transformers user can open."""
    path = ROOT / f"seed{seed}" / name
    if not (path / "card.json").exists():
        known = ", ".join(names(seed)) or "none"
        raise LookupError(f"there is no organism {name!r} of seed {seed}; there are {known} (seeds {seeds()})")
    return path


def card(name: str, seed: int = 0) -> dict[str, Any]:
    """The organism's card: recipe, seed, minutes, counts with n and interval, what is planted, what failed."""
    return dict(json.loads((folder(name, seed) / "card.json").read_text()))
