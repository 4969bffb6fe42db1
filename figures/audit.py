"""What the grading rule decides: two sets of published rollouts under every rule."""

from interp.plots.audit_rules import audit_rules, rule_table

FILES = {"Llama-3.1-8B, GSM8K": "llama-gsm8k/audit", "Qwen2.5-14B, MATH500": "qwen-math500/audit"}


def draw(data):
    """The figure."""
    return audit_rules({name: data[table] for name, table in FILES.items()})


def headline(data):
    """What the caption quotes: the least and the most that a rule gives, and the judge's totals."""
    quoted = {}
    for name, of in FILES.items():
        table = rule_table(data[of])
        graded = table[table.recovered_low.notna()]
        quoted |= {f"{name}, least": graded.recovered.min(), f"{name}, most": graded.recovered.max()}
        quoted[f"{name}, judge"] = table.recovered.iloc[-1]
    return quoted
