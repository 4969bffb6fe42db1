"""How often each instrument is right: sensitivity, false positives, undecided, with intervals, and against a coin."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from interp.intervals import wilson
from interp.measurement import Measurement

PARTS = ("development", "confirmation")
SENSITIVE, FALSE = 0.95, 0.05
"""What an instrument has to reach on confirmation seeds to be trusted for its question."""
COIN = 0.05
"""A coin's findings hang together with what was planted this clearly in one of twenty matrices."""


def claim_name(key: str) -> str:
    """What the matrix calls the verdict on a claim of the register."""
    return f"claim {key}"


def rates(record: Measurement) -> pd.DataFrame:
    """One row per instrument and part of the seeds (and both together, part "all").

    `sensitivity` is the share of answers right among those where something was planted (`n_planted`), `false_positive`
    the share of findings among those where nothing was (`n_nothing`), `undecided` the share of planted answers on
    which the instrument ventures nothing; each with its 95% interval by Wilson (`_low`, `_high`; cells of one base
    seed share its model, so that they are not quite independent), NaN where there is no cell. `p_coin` is the
    one-sided p-value of Fisher's exact test that findings are more frequent where they were planted: large for a coin,
    and for what always says the same; NaN where there are so few cells that it could not be small.
    """
    table = record.table
    found = []
    for instrument, mine in table.groupby("instrument", sort=False):
        for part in (*PARTS, "all"):
            cells = mine if part == "all" else mine[mine["part"] == part]
            if len(cells):
                beside = str(cells["beside"].iloc[0])
                found.append({"instrument": instrument, "beside": beside, "part": part} | _rates(cells))
    return pd.DataFrame(found)


def _rates(cells: pd.DataFrame) -> dict[str, int | float]:
    planted, nothing = cells[cells["planted"].astype(bool)], cells[~cells["planted"].astype(bool)]
    hit, alarm = planted["outcome"] == "right", nothing["outcome"] != "right"
    return {
        "n_planted": len(planted),
        "n_nothing": len(nothing),
        "n_wrong": int((cells["outcome"] == "wrong").sum()),
        **_share("sensitivity", hit),
        **_share("false_positive", alarm),
        **_share("undecided", planted["outcome"] == "undecided"),
        "p_coin": _p_coin(int(hit.sum()), len(planted), int(alarm.sum()), len(nothing)),
    }


def _share(name: str, of: "pd.Series[bool]") -> dict[str, float]:
    k, n = int(of.sum()), len(of)
    if not n:
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"), math.nan)
    low, high = wilson(k, n)
    return {name: k / n, f"{name}_low": low, f"{name}_high": high}


def _p_coin(hits: int, planted: int, alarms: int, nothing: int) -> float:
    def p(hits: int, alarms: int) -> float:
        """Fisher's one-sided p by counting: of all ways to place the findings, those with as many hits or more."""
        found = hits + alarms
        ways = [math.comb(planted, k) * math.comb(nothing, found - k) for k in range(hits, min(planted, found) + 1)]
        return sum(ways) / math.comb(planted + nothing, found)

    return p(hits, alarms) if planted and nothing and p(planted, 0) <= COIN else math.nan


def like_a_coin(record: Measurement) -> list[str]:
    """Our own instruments whose answers could be a coin's (p over 0.05), over all seeds together, worst first.

    One with too few cells to tell is not among them; `lines` says so.
    """
    table = rates(record)
    mine = table[(table["part"] == "all") & (table["beside"] == "") & (table["p_coin"] > COIN)]
    return [str(name) for name in mine.sort_values("p_coin", ascending=False)["instrument"]]


def failing(record: Measurement) -> dict[str, str]:
    """Our own instruments not to be trusted for their question, and why: the rates on confirmation seeds."""
    table = rates(record)
    mine = table[(table["part"] == "confirmation") & (table["beside"] == "")]
    why = {}
    for row in mine.itertuples():
        short = [f"it finds {row.sensitivity:.0%} of what was planted"] if row.sensitivity < SENSITIVE else []
        short += [f"{row.false_positive:.0%} of its answers where nothing was planted are findings"] * (
            row.false_positive > FALSE
        )
        if short:
            why[str(row.instrument)] = " and ".join(short)
    return why


def lines(record: Measurement) -> list[str]:
    """The rates as text, development and confirmation seeds apart, then what was answered wrongly."""
    table, found = rates(record), record.table
    told = [_header()]
    told += [_line(row) for row in table[table["part"] != "all"].to_dict("records")]
    wrong = found[(found["outcome"] != "right") & (found["beside"] == "")]
    told += ["", "Not right:" if len(wrong) else "Every answer of our own instruments is right."]
    told += [
        f"  {row.instrument}, {row.organism}@{row.base_seed}, seed {row.seed}"
        f"{f', {row.about}' if row.about else ''}: {row.given}; planted {row.expected}"
        for row in wrong.itertuples()
    ]
    few = table[(table["part"] == "all") & (table["beside"] == "") & table["p_coin"].isna()]
    told += [f"Too few organisms to tell it from a coin: {name}." for name in few["instrument"]]
    told += [f"Not to be trusted on confirmation seeds: {name}; {why}." for name, why in failing(record).items()]
    return told


_COLUMNS: Sequence[tuple[str, str]] = (
    ("found, where planted", "sensitivity"),
    ("found, where nothing was", "false_positive"),
    ("undecided, where planted", "undecided"),
)


def _header() -> str:
    return f"{'instrument':38} {'seeds':13} " + " ".join(f"{head:27}" for head, _ in _COLUMNS)


def _line(row: Mapping[str, object]) -> str:
    name = f"  usual: {row['instrument']}" if row["beside"] else str(row["instrument"])
    cells = [_cell(row, of) for _, of in _COLUMNS]
    return f"{name:38} {row['part']!s:13} " + " ".join(f"{cell:27}" for cell in cells).rstrip()


def _cell(row: Mapping[str, object], of: str) -> str:
    """`12 of 12, 1.00 (0.76 to 1.00)`."""
    n, share = row["n_nothing" if of == "false_positive" else "n_planted"], row[of]
    assert isinstance(n, int) and isinstance(share, float)
    if not n:
        return "no cell"
    return f"{round(share * n)} of {n}, {share:.2f} ({row[f'{of}_low']:.2f} to {row[f'{of}_high']:.2f})"
