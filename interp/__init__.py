"""interp: what did fine-tuning change in this model?

    import interp
    pair = interp.load_pair("organism:base", "organism:rl")

Nothing heavy is imported until it is asked for: `import interp` takes a few milliseconds.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interp.measurement import Measurement
    from interp.pair import Pair, load_pair
    from interp.tasks.organism import organism_task
    from interp.tasks.text import text_task

__version__ = "0.1.0"
__all__ = ["Measurement", "Pair", "load_pair", "organism_task", "text_task"]

_HOME = {
    "Measurement": "interp.measurement",
    "Pair": "interp.pair",
    "load_pair": "interp.pair",
    "organism_task": "interp.tasks.organism",
    "text_task": "interp.tasks.text",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'interp' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
