"""What every command about a pair asks: two checkpoints, a task, where they compute, and how much of it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from interp.commands.found import OUT, USAGE, Refusal, writable

if TYPE_CHECKING:
    from interp.tasks.task import Task

PROBLEMS = {"full": 300, "quick": 100}
PRACTICE = {"full": 600, "quick": 200}
"""Problems to judge by, and problems of the organisms to fit on."""
DEVICE_HELP = "of both models: cuda, or auto to spread each over the devices that have room (default: cpu)"
DTYPES = ("float32", "bfloat16", "float16", "float64")
TASK_HELP = "JSONL file with id, prompt (or question) and answer in each line"


def of_a_pair(everywhere: argparse.ArgumentParser, seeded: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The arguments of a command that measures a pair."""
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
    return measured


def asked(arguments: argparse.Namespace) -> tuple[str, str, "Task", Path]:
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
    return base, tuned, task, writable(arguments.out or OUT)


def place(arguments: argparse.Namespace) -> dict[str, str]:
    """In what and where the models compute."""
    return {"dtype": arguments.dtype, "device": arguments.device, "tuned_device": arguments.tuned_device}
