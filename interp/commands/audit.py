"""`interp audit`: rollouts made elsewhere."""

import argparse

from interp.commands.found import EPILOG, OUT, USAGE, Commands, Found, Refusal, writable

AUDIT_HELP = (
    "JSONL with problem, answer and each arm's text (or true/false) in a line; or ARM=LOG, once per arm, "
    "for logs of inspect or lm-eval"
)


def add_audit(commands: "Commands[argparse.ArgumentParser]", everywhere: argparse.ArgumentParser) -> None:
    """The command."""
    text = "What rollouts made elsewhere say about the recovered gap, by every grading rule."
    audited = commands.add_parser("audit", help=text, description=text, epilog=EPILOG, parents=[everywhere])
    audited.add_argument("files", nargs="+", metavar="FILE", help=AUDIT_HELP)
    audited.add_argument(
        "--judge",
        action="append",
        default=[],
        metavar="ARM=N",
        help="a judge's total of right answers, once per arm, to compare with",
    )
    audited.set_defaults(command=_audit)


def _audit(arguments: argparse.Namespace) -> Found:
    from interp.audit.graded import endings, graded
    from interp.audit.logs import read_rollouts
    from interp.audit.page import Audit, lines, write_page
    from interp.claims.hybrid_recovers import hybrid_recovers

    logs = read_rollouts(arguments.files)
    if arguments.judge and len(logs) > 1:
        raise Refusal("--judge is of one set of rollouts, but several are given; audit them one by one", USAGE)
    totals = dict(map(_total, arguments.judge))
    out, audits = writable(arguments.out or OUT), []
    for log in logs:
        grades = graded(log, totals=totals)
        ends = endings(log) if log.table.text.notna().any() else None
        hybrids = [arm for arm in dict.fromkeys(log.table["arm"]) if arm not in ("base", "tuned")]
        audits.append(Audit(log.name, grades, ends, [hybrid_recovers(grades, arm) for arm in hybrids]))
    page = write_page(audits, out / "audit.html")
    measurements = [measurement for audit in audits for measurement in (audit.grades, audit.ends) if measurement]
    for audit in audits:
        for measurement in filter(None, (audit.grades, audit.ends)):
            measurement.save(out / "audits" / audit.name)
    verdicts = [verdict for audit in audits for verdict in audit.verdicts]
    return Found(measurements, verdicts, [*(line for audit in audits for line in lines(audit)), f"The page is {page}"])


def _total(text: str) -> tuple[str, int]:
    arm, _, number = text.partition("=")
    if not number.isdecimal():
        raise Refusal(f"--judge is {text!r}; give it as ARM=N, such as base=119", USAGE)
    return arm, int(number)
