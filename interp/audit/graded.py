"""Other people's rollouts, graded by every rule side by side."""

from collections.abc import Mapping

import pandas as pd
from tqdm.auto import tqdm

from interp.audit.logs import Rollouts
from interp.audit.rules import RULES, gold_answer, is_cut, is_right, runs_on
from interp.measurement import Measurement, provenance
from interp.tasks.grading import grader

JUDGE = "given judge"
"""The rule under which flags stand that came with the rollouts."""
END = 200
"""Characters of a text's end that are kept to look at."""


def graded(rollouts: Rollouts, *, totals: Mapping[str, int] | None = None) -> Measurement:
    """`audit`: a row per problem, arm and rule: correct, `found` (what the rule read), parsed (did it read anything).

    Where only flags are known, or a judge's flags came with the texts, they stand as the rule "given judge". `totals`
    are a judge's numbers of right answers per arm where no more is known; they go into `made_with` to compare with.
    """
    rows = []
    for row in tqdm(list(rollouts.table.itertuples()), desc=f"grading {rollouts.name}", disable=None):
        key = {"problem": row.problem, "arm": row.arm}
        if row.judged is not None:
            rows.append({**key, "rule": JUDGE, "correct": bool(row.judged), "found": "", "parsed": True})
        if row.text is None:
            continue
        gold = gold_answer(row.gold)
        for rule in RULES:
            found = rule.finds(row.question, row.text)
            right = next((answer for answer in found if is_right(gold, answer)), None)
            shown = right if right is not None else (found[-1] if found else "")
            one = {"rule": rule.name, "correct": right is not None, "found": shown, "parsed": bool(found)}
            rows.append({**key, **one})
    table = pd.DataFrame(rows)
    if JUDGE in set(table["rule"]) and (table["rule"] == JUDGE).sum() < len(rollouts.table):
        raise ValueError(f"{rollouts.name}: a judge's flag is given for some answers only; give all or none")
    _check_totals(rollouts, totals or {})
    facts = {"rollouts": rollouts.name, "digest": rollouts.digest, "judge_totals": dict(totals or {}), **grader()}
    rules = {rule.name: rule.says for rule in RULES if rule.name in set(table["rule"])}
    return Measurement("audit", "right or wrong under each rule", table, provenance(**facts, rules=rules))


def endings(rollouts: Rollouts) -> Measurement:
    """`endings`: a row per problem and arm: gold, characters, cut, runs_on (the character from which it does), end.

    `cut` is what the log says, or a guess: the text stops in the middle of a sentence (`cut_is` says which).
    """
    texts = rollouts.table[rollouts.table.text.notna()]
    rows = [
        {
            "problem": row.problem,
            "arm": row.arm,
            "gold": gold_answer(row.gold),
            "characters": len(row.text),
            "cut": is_cut(row.text) if row.cut is None else bool(row.cut),
            "cut_is": "guessed" if row.cut is None else "logged",
            "runs_on": runs_on(row.question, row.text),
            "end": row.text[-END:],
        }
        for row in texts.itertuples()
    ]
    facts = {"rollouts": rollouts.name, "digest": rollouts.digest}
    return Measurement("endings", "one text per row", pd.DataFrame(rows), provenance(**facts))


def _check_totals(rollouts: Rollouts, totals: Mapping[str, int]) -> None:
    n = rollouts.table.problem.nunique()
    for arm, right in totals.items():
        if arm not in set(rollouts.table["arm"]):
            raise ValueError(f"{rollouts.name} has no arm {arm!r} that the judge's total of {right} could be of")
        if not 0 <= right <= n:
            raise ValueError(f"the judge's total of arm {arm!r} is {right}, but {rollouts.name} has {n} problems")
