"""Audits as one self-contained page: the share under every rule, and the answers on which the rules disagree."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from interp.audit.disagreements import disagreements
from interp.claims.hybrid_recovers import audit_table
from interp.claims.verdict import Verdict, shown
from interp.measurement import Measurement, write_whole


@dataclass(frozen=True, eq=False)
class Audit:
    """What one set of rollouts comes to: grades by rule, the texts' ends where there are texts, and the verdicts."""

    name: str
    grades: Measurement
    ends: Measurement | None
    verdicts: Sequence[Verdict]


def write_page(audits: Sequence[Audit], out: Path) -> Path:
    """Write the page to the file `out`, whole or not at all; everything read from a file is escaped."""
    folder = FileSystemLoader(Path(__file__).parent)
    page = Environment(
        loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).get_template("page.html.jinja")
    write_whole(out, page.render(audits=[_shown(audit) for audit in audits]))
    return out


def lines(audit: Audit) -> list[str]:
    """The same for a terminal: a line per rule and arm, and each verdict in full."""
    rows = [
        f"{row['rule']}, {row['arm']}: {row['right']}, recovered {row['recovered']}, {row['unparsed']} do not parse"
        for row in _rules(audit_table(audit.grades))
    ]
    return [f"{audit.name}:", *rows, *(f"{v.claim}: {v.says}. {v.because}" for v in audit.verdicts)]


def _shown(audit: Audit) -> dict[str, object]:
    table = audit_table(audit.grades)
    return {
        "name": audit.name,
        "n": int(table["n"].iloc[0]),
        "rows": _rules(table),
        "says": audit.grades.made_with["rules"],
        "lengths": _lengths(audit.ends.table) if audit.ends else [],
        "verdicts": audit.verdicts,
        "apart": disagreements(audit.grades, audit.ends).to_dict("records"),
        "unparsed": _unparsed(audit),
        "made_with": audit.grades.made_with,
    }


def _rules(table: pd.DataFrame) -> list[dict[str, str]]:
    rows = []
    for row in table.itertuples():
        itself = row.arm in ("base", "tuned")
        recovered = "none, no gap" if row.refused else "" if itself else shown(row.recovered, row.low, row.high)
        judge = "" if pd.isna(row.judge) else f"{row.judge:.0f}"
        rows.append(
            {
                "rule": row.rule,
                "arm": row.arm,
                "right": f"{row.right} of {row.n} ({row.accuracy:.0%})",
                "judge": judge + ("" if pd.isna(row.agrees) else f", agrees on {row.agrees:.0%}"),
                "recovered": recovered or "by definition",
                "gap": shown(row.gap, row.gap_low, row.gap_high),
                "unparsed": str(row.unparsed),
                "p": "" if row.arm == "base" or pd.isna(row.p) else f"{row.p:.2g}",
            }
        )
    return rows


def _lengths(table: pd.DataFrame) -> list[dict[str, str]]:
    """Per arm: how long texts are, how many were cut off, how many run on after their answer."""
    return [
        {
            "arm": str(arm),
            "characters": f"{rows['characters'].median():,.0f}",
            "cut": f"{int(rows['cut'].sum())} of {len(rows)} ({', '.join(sorted(set(rows['cut_is'])))})",
            "runs_on": str(int(rows["runs_on"].notna().sum())),
            "empty": str(int((rows["characters"] == 0).sum())),
        }
        for arm, rows in table.groupby("arm", sort=False)
    ]


def _unparsed(audit: Audit) -> list[tuple[str, str, str]]:
    """Rule, arm and the problems out of whose answers the rule read nothing."""
    table = audit.grades.table[~audit.grades.table["parsed"].astype(bool)]
    groups = table.groupby(["rule", "arm"], sort=False)["problem"]
    return [(rule, arm, ", ".join(problems)) for (rule, arm), problems in groups]
