"""Every claim about texts, as reported and as found: on pairs of the first world, and on the errands."""

from interp.plots.ledger import ledgers


def draw(data):
    """The figure."""
    return ledgers(data["claims/ledger"].table)


def headline(data):
    """What the caption quotes: of each pair, how many claims get a number, and how many are supported."""
    table = data["claims/ledger"].table
    told = table[table.estimate.notna()]
    return {
        f"{pair}, {what}": int(number)
        for pair, rows in told.groupby("pair", sort=False)
        for what, number in (("with a number", len(rows)), ("supported", (rows.says == "supported").sum()))
    }
