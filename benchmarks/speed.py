"""Every benchmark of speed, one after the other: the table of all targets in README.md is written anew.

    python benchmarks/speed.py      # about ten minutes on a quiet core

Each runs in a process of its own, so that none finds memory or caches as another left them.
"""

import subprocess
import sys
from pathlib import Path

SCRIPTS = ("weights", "swaps", "activations", "sae", "decoding")


def main() -> None:
    """Run all; CalledProcessError where one fails."""
    for name in SCRIPTS:
        subprocess.run([sys.executable, str(Path(__file__).with_name(f"{name}.py"))], check=True)


if __name__ == "__main__":
    main()
