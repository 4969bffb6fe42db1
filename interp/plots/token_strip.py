"""A strip of tokens: who wrote which, and why. Plain HTML for the report and for Jupyter; no script, no network."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from interp.measurement import Measurement
from interp.plots.arms import worded
from interp.plots.theme import BASE, HYBRID, TUNED

_TINT = 0.22  # of full colour behind the words that tuned changed: dark enough to see, light enough to read on
_STYLES = {
    "agreed": ("base, and tuned would have written the same", ""),
    "kept": ("base, where tuned would have written another token", f"border-bottom:2px dotted {BASE.colour}"),
    "routed": ("tuned, the same as base would have", f"border-bottom:2px solid {TUNED.colour}"),
    "changed": (
        "tuned, another token than base's",
        f"border-bottom:4px double {TUNED.colour};font-weight:bold;background:rgba(213, 94, 0, {_TINT})",
    ),
    "pushed": ("base under a push, the same as without it", f"border-bottom:2px dashed {HYBRID.colour}"),
    "steered": (
        "base under a push, another token than without it",
        f"border-bottom:4px dashed {HYBRID.colour};font-weight:bold;background:rgba(0, 158, 115, {_TINT})",
    ),
}
"""Line, weight and tint all differ, so that the strip can be read in grey and by colour-blind readers."""


@dataclass(frozen=True, eq=False)
class TokenStrip:
    """The texts of several arms for one problem, one under the other; shows itself in Jupyter."""

    trace: Measurement
    problem: str
    arms: tuple[str, ...]

    def _repr_html_(self) -> str:
        return token_strip(self.trace, problem=self.problem, arms=self.arms)


def token_strip(trace: Measurement, *, problem: str | None = None, arms: Sequence[str] | None = None) -> str:
    """What each arm wrote for one problem (the first by default), each token drawn by who wrote it.

    The reason stands in the token's title, which the mouse shows: what either model would have written and how likely
    the token was to both, how far the models were apart, the strategy. Text is escaped. ValueError, naming what there
    is, for a problem or an arm that the trace does not have.
    """
    table = trace.table
    problem = str(table["problem"].iloc[0]) if problem is None else problem
    here = table[table["problem"] == problem]
    if here.empty:
        raise ValueError(f"the trace has no problem {problem!r}; it has {_named(table['problem'])}")
    wanted = list(dict.fromkeys(here["arm"])) if arms is None else list(arms)
    lines = []
    for arm in wanted:
        rows = here[here["arm"] == arm].sort_values("position")
        if rows.empty:
            raise ValueError(f"the trace has no arm {arm!r} for problem {problem!r}; it has {_named(here['arm'])}")
        lines.append(_line(arm, rows))
    drawn = here[here["arm"].isin(wanted)]
    kinds = list(_STYLES) if (drawn["source"] == "steered").any() else ["agreed", "kept", "routed", "changed"]
    key = ", ".join(_span(f"\u00a0{words}\u00a0", style) for words, style in (_STYLES[kind] for kind in kinds))
    return (
        f'<div style="line-height:2"><p>Problem <code>{html.escape(problem)}</code>. Written by {key}.</p>'
        f"{''.join(lines)}</div>"
    )


def token_strips(trace: Measurement, *, problems: int = 3) -> str:
    """`token_strip` of the first `problems` that were traced, each but the first folded away."""
    first, *others = list(dict.fromkeys(trace.table["problem"].astype(str)))[:problems]
    strips = {f"Problem <code>{html.escape(one)}</code>": token_strip(trace, problem=one) for one in others}
    folded = [f"<details><summary>{name}</summary>{strip}</details>" for name, strip in strips.items()]
    return token_strip(trace, problem=first) + "".join(folded)


def _line(arm: str, rows: pd.DataFrame) -> str:
    """One arm's text with its account."""
    words = "".join(_word(row) for row in rows.to_dict("records"))
    how = "pushed" if (rows["source"] == "steered").any() else "routed to tuned"
    account = f"{len(rows)} tokens, {int(rows['gate'].sum())} {how}, {int(rows['changed'].sum())} changed"
    return (
        f'<div style="margin:.4rem 0"><b>{html.escape(worded(arm))}</b> ({account})'
        f'<div style="white-space:pre-wrap;overflow-wrap:anywhere">{words}</div></div>'
    )


def _word(row: dict[str, Any]) -> str:
    """One token; a line break is shown by a mark, and breaks the line."""
    if row["source"] == "steered":
        kind = "steered" if row["changed"] else "pushed"
    elif row["gate"]:
        kind = "changed" if row["changed"] else "routed"
    else:
        kind = "agreed" if row["base_token"] == row["tuned_token"] else "kept"
    text = str(row["text"])
    shown = text.replace("\n", "\u21b5") or "\u2205"
    return _span(shown, _STYLES[kind][1], title=_why(row, kind)) + "\n" * text.count("\n") + "\u200b"


def _why(row: dict[str, Any], kind: str) -> str:
    """What the mouse shows."""
    return "\n".join(
        [
            f"position {row['position']}: written by {_STYLES[kind][0]}",
            f"base would write {row['base_text']!r}, tuned {row['tuned_text']!r} (number {row['tuned_rank']} in base)",
            f"log-probability of the token: {row['base_logprob']:.2f} in base, {row['tuned_logprob']:.2f} in tuned",
            f"Jensen-Shannon {row['js']:.3f}; entropy {row['base_entropy']:.2f} in base, "
            f"{row['tuned_entropy']:.2f} in tuned (nats)",
            f"strategy {row['strategy']}, {row['role']}",
        ]
    )


def _span(text: str, style: str, *, title: str = "") -> str:
    told = f' title="{html.escape(title)}"' if title else ""
    return f'<span style="padding:0 .12rem;margin-right:.1rem;{style}"{told}>{html.escape(text)}</span>'


def _named(column: pd.Series) -> str:
    names = list(dict.fromkeys(map(str, column)))
    return ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
