"""Every instrument on every organism whose truth is planted."""

from interp.calibration.rates import rates
from interp.plots.calibration import calibration


def draw(data):
    """The figure."""
    return calibration(data["calibration/record"])


def headline(data):
    """What the caption quotes: answers that are right, of how many, ours and the usual readings'."""
    table = data["calibration/record"].table
    ours, usual = table[table.beside == ""], table[table.beside != ""]
    found = rates(data["calibration/record"])
    mine = found[(found.part == "confirmation") & (found.beside == "")]
    return {
        "ours, right": int((ours.outcome == "right").sum()),
        "ours, asked": len(ours),
        "usual readings, right": int((usual.outcome == "right").sum()),
        "usual readings, asked": len(usual),
        "least sensitivity on confirmation seeds": float(mine.sensitivity.min()),
        "most false positives on confirmation seeds": float(mine.false_positive.max()),
    }
