"""One pair, one page: measurements and verdicts in, a self-contained HTML file out. No model is needed."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from interp.claims.verdict import Verdict, shown, verdict_table
from interp.measurement import Measurement, write_whole
from interp.plots.arms import BY_CONSTRUCTION, arm_table
from interp.plots.drawing import FIGURES, TABLES, possible
from interp.plots.feature_pages import feature_pages
from interp.plots.features import features
from interp.plots.ledger import ledger, ledger_text
from interp.plots.standing import share, span
from interp.plots.token_strip import token_strips

_PATH = re.compile(r"""(?<![\w.:/\\])(?:[A-Za-z]:|~)?[/\\](?:[^\s/\\'",;]+[/\\])+([^\s/\\'",;]*)""")
"""An absolute path in a text, and its last part; neither a share (1/3) nor an address (https://...)."""


def write_report(
    measurements: Sequence[Measurement],
    verdicts: Sequence[Verdict],
    out: Path,
    *,
    claims: pd.DataFrame | None = None,
    trace: Measurement | None = None,
    records: Mapping[str, str] | None = None,
) -> Path:
    """Write the page to the file `out`, whole or not at all, and return `out`.

    The page asks nothing of the network. A question whose measurements are missing gets a sentence that says what it
    would need; `claims` is the ledger of claims about texts (`claims.ledger.ledger_table`); `trace`, the tokens of a
    few texts, is shown where it is given, and so is what `records` say of a claim's instrument. Raises ValueError where
    there is nothing to report, where two measurements have one name, or where measurements were made on different
    pairs.
    """
    have = {measurement.name: measurement for measurement in measurements}
    if len(have) < len(measurements):
        raise ValueError(f"a report draws each measurement once, but got {[m.name for m in measurements]}")
    pair, (common, own) = _pair(measurements), _made_with(measurements)
    write_whole(
        out,
        _template().render(
            pair=pair,
            verdicts=[(verdict, *_lead(verdict.because)) for verdict in verdicts],
            shown=shown,
            have=have,
            figures=_figures(have),
            ledger=_html(ledger(verdict_table(verdicts)), "ledger") if verdicts else "",
            tables=possible(TABLES, have),
            pages=Markup(feature_pages(have["contexts"], have["features"], have.get("attacks"), have.get("causes")))
            if {"contexts", "features"} <= have.keys()
            else "",
            records=records or {},
            claims=ledger_text(claims) if claims is not None else None,
            strips=Markup(token_strips(trace)) if trace else "",
            facts=_facts(have),
            common=common,
            own=own,
            plotly=Markup(get_plotlyjs()),
        ),
    )
    return out


def _template() -> Any:
    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html.jinja")


def _pair(measurements: Sequence[Measurement]) -> dict[str, Any]:
    """Who base and tuned are, on which all measurements have to agree."""
    if not measurements:
        raise ValueError("there is nothing to report: measure at least one thing")
    first = measurements[0]
    for measurement in measurements:
        for model in ("base", "tuned"):
            if model not in measurement.made_with:
                raise ValueError(f"measurement {measurement.name!r} does not say what {model} was; report it elsewhere")
            ours, theirs = first.made_with[model], measurement.made_with[model]
            if ours["digest"] != theirs["digest"]:
                raise ValueError(
                    f"{first.name!r} and {measurement.name!r} are not of one pair: {model} is {ours['name']} "
                    f"({ours['digest']}) and {theirs['name']} ({theirs['digest']}); report one pair at a time"
                )
    return {model: first.made_with[model] for model in ("base", "tuned")}


def _figures(have: Mapping[str, Measurement]) -> dict[str, Markup]:
    """Each figure as HTML that finds plotly on the page; one of the features per place where they were read."""
    drawn = possible(FIGURES, have)
    places = dict.fromkeys(have["features"].table["at"]) if "features" in have else {}
    drawn |= {f"features_{at}": features(have["features"], at=at) for at in places}
    return {name: _html(figure, name) for name, figure in drawn.items()}


def _html(figure: go.Figure, name: str) -> Markup:
    """A figure that finds plotly on the page."""
    options = {"full_html": False, "include_plotlyjs": False, "config": {"responsive": True, "displayModeBar": False}}
    return Markup(figure.to_html(div_id=name, **options))


def _facts(have: Mapping[str, Measurement]) -> dict[str, Any]:
    """The numbers that the page's sentences say; what is missing is not there."""
    facts: dict[str, Any] = {}
    if "weights" in have:
        facts["rounding"] = f"{have['weights'].table.rounding_floor.max():.1g}"
        facts["dtypes"] = ", ".join(sorted(set(have["weights"].table.dtype)))
    if "sae_quality" in have:
        facts["sae"] = have["sae_quality"].table.iloc[0].to_dict()
    if "answers" in have:
        table = arm_table(have["answers"]).set_index("arm")
        solved = {arm: span(row.accuracy, row.low, row.high) for arm, row in table.loc[["base", "tuned"]].iterrows()}
        first = table.iloc[0]
        facts["gap"] = {**solved, "n": first.n, "refused": first.refused, "reason": first.reason}
        facts["gap"]["task"] = have["answers"].made_with.get("task", "")
        facts["gap"]["points"] = " to ".join(f"{100 * end:.0f}" for end in (first.gap_low, first.gap_high))
        facts["gap"]["size"] = f"{100 * first.gap:.0f}"
        if BY_CONSTRUCTION in table.index:
            facts["disagreement"] = share(table.loc[BY_CONSTRUCTION].routed)
    return facts


def _lead(because: str) -> tuple[str, list[str]]:
    """The first sentence of a reason, and the others."""
    lead, *rest = re.split(r"(?<=\.) +", because.strip())
    return lead, rest


def _made_with(measurements: Sequence[Measurement]) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """What measurements share, and what each was made with besides; base and tuned stand in a table of their own."""
    flat = {m.name: _flat({k: v for k, v in m.made_with.items() if k not in ("base", "tuned")}) for m in measurements}
    said: dict[str, list[str]] = {}
    for facts in flat.values():
        for key, value in facts.items():
            said.setdefault(key, []).append(value)
    alone = len(measurements) == 1
    common = {key: told[0] for key, told in said.items() if len(set(told)) == 1 and (alone or len(told) > 1)}
    own = {name: {k: v for k, v in facts.items() if k not in common} for name, facts in flat.items()}
    return common, own


def _flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested facts as `a.b: value`. Of a path of this machine only the last part is shown, wherever it stands."""
    flat: dict[str, str] = {}
    for key, value in facts.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = ", ".join(map(_shown, value)) if isinstance(value, list | tuple) else _shown(value)
    return flat


def _shown(value: Any) -> str:
    """The value as text, in which every absolute path is cut to its last part."""
    text = str(value)
    return PurePath(text).name if PurePath(text).is_absolute() else _PATH.sub(r"\1", text)
