"""What the test of two devices runs in a process of its own: a pair in one place, and the same pair in two.

python tests/elsewhere.py BASE TUNED      # prints JSON: per arrangement and measure, the largest difference
"""

import json
import sys
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from second_device import SECOND, install

from interp.layers.activations import activation_change
from interp.layers.divergence import first_divergence
from interp.layers.lens import logit_lens
from interp.layers.patches import component_patches
from interp.layers.path import RANDOM, change_path
from interp.layers.swaps import block_swaps
from interp.measurement import Measurement
from interp.pair import Pair, load_pair
from interp.routing.arms import route
from interp.sae.quality import sae_quality
from interp.sae.train import train_sae
from interp.tasks.organism import organism_task
from interp.tasks.task import Label, Reading
from interp.units.jobs import jobs_of
from interp.units.sweep import sweep

PLACES: dict[str, dict[str, Any]] = {
    "here": {},
    "tuned elsewhere": {"tuned_device": SECOND},
    "base spread, tuned elsewhere": {
        "device": {"": "cpu", "model.layers.1": SECOND, "model.layers.3": f"{SECOND}:0"},
        "tuned_device": SECOND,
    },
}


def main(base: str, tuned: str) -> None:
    """Measure in every arrangement, and compare with what one device gives."""
    install()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    found = {name: measured(load_pair(base, tuned, **places)) for name, places in PLACES.items()}
    for name in ("here", "tuned elsewhere"):
        found[name] |= swept(base, tuned, **PLACES[name])
    here = found.pop("here")
    print(json.dumps({name: {what: far(here[what], there[what]) for what in there} for name, there in found.items()}))


def measured(pair: Pair) -> dict[str, Any]:
    """What one model computes, and what comes of both: compared, exchanged part by part, and routed."""
    task = organism_task("rl", n=2, practice=3)
    task = replace(task, max_new_tokens=8)
    text = tuple(range(3, 40))
    readings = [Reading(str(n), text[n:], (Label("none", "text"),) * (len(text) - n)) for n in range(3)]
    tokens, mask = torch.tensor([text, text[::-1]]).to(pair.device), torch.ones(2, len(text)).long().to(pair.device)
    mask[1, :9] = 0
    with torch.inference_mode():
        caches = [model.run_with_cache(tokens, attention_mask=mask) for model in (pair.base, pair.tuned)]
    logits = torch.stack([logits for logits, _ in caches])
    hooks = torch.cat([cache[name].flatten().float() for _, cache in caches for name in cache])
    return {
        "logits": logits.cpu(),
        "hooks": hooks.cpu(),
        "activations": activation_change(pair, readings, draws=2),
        "lens": logit_lens(pair, readings),
        "swaps": block_swaps(pair, task),
        "divergence": first_divergence(pair, task),
        "patches": component_patches(pair, task),
        "path": change_path(pair, task),
        "answers": route(pair, task),
        "sae": sae_quality(pair, train_sae(pair, readings, samples=5_200, seed=0), readings),
    }


def swept(base: str, tuned: str, **places: Any) -> dict[str, Measurement]:
    """What a sweep's units compute that load the pair."""
    asked = [{"id": str(n), "prompt": f"run A R : {n} 2 step", "answer": "1", "practice": n > 1} for n in range(6)]
    with tempfile.TemporaryDirectory() as folder:
        task = Path(folder) / "asked.jsonl"
        task.write_text("".join(json.dumps(line) + "\n" for line in asked))
        jobs = jobs_of(base, [tuned], task=str(task), n=2, practice=4, max_new_tokens=8, quick=True, **places)
        found = sweep(jobs, ("activations", "answers"), store=Path(folder))
        return {f"sweep of {one.name}": one for _, one in found}


def far(here: Any, there: Any) -> float:
    """The largest difference of numbers; infinite where anything that is no number differs.

    What hangs on random draws is left out: every device draws its own.
    """
    if not isinstance(here, Measurement):
        return float((here - there).abs().max())
    ours, theirs = (undrawn(one.table) for one in (here, there))
    numbers = list(ours.select_dtypes("number"))
    if len(ours) != len(theirs) or not ours.drop(columns=numbers).equals(theirs.drop(columns=numbers)):
        return float("inf")
    return float((ours[numbers] - theirs[numbers]).abs().max(numeric_only=True).max()) if numbers else 0.0


def undrawn(table: pd.DataFrame) -> pd.DataFrame:
    """A table without its nulls."""
    drawn = [name for name in table if "null" in name or name == "z" or name.endswith("_z")]
    table = table.drop(columns=drawn)
    return table[table.group != RANDOM].reset_index(drop=True) if "group" in table else table


if __name__ == "__main__":
    main(*sys.argv[1:])
