"""Figures as SVG, PDF and PNG for a paper, at a column's or a page's width, the same bytes from the same figure."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import plotly.graph_objects as go

from interp.plots.theme import FONT

Theme = Literal["paper", "screen", "dark"]
WIDTHS = {"column": 312, "page": 528}
"""Pixels of 3.25 and 5.5 inches at 96 to the inch."""
POINTS_8 = 10.67
"""Pixels of 8 pt text."""
_INK = {"paper": "#1a1a1a", "screen": "#333333", "dark": "#dddddd"}
_GROUND = {"paper": "#ffffff", "screen": "#ffffff", "dark": "#16181c"}
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def for_print(figure: go.Figure, *, theme: Theme = "paper", width: str = "column") -> go.Figure:
    """The figure at a paper's width with 8 pt text, in ink that suits the ground."""
    styled = go.Figure(figure)
    ink = _INK[theme]
    styled.update_layout(
        width=WIDTHS[width],
        font={"family": FONT, "size": POINTS_8, "color": ink},
        paper_bgcolor=_GROUND[theme],
        plot_bgcolor=_GROUND[theme],
        title_font_size=POINTS_8,
    )
    # What is smaller on purpose, the counts in narrow cells, would not fit them otherwise.
    styled.update_annotations(font_size=POINTS_8, selector=lambda told: (told.font.size or POINTS_8) >= POINTS_8)
    styled.update_xaxes(title_font_size=POINTS_8, tickfont_size=POINTS_8)
    styled.update_yaxes(title_font_size=POINTS_8, tickfont_size=POINTS_8)
    return styled


def write_pictures(figures: Sequence[tuple[Path, go.Figure]], formats: Sequence[str]) -> list[Path]:
    """Write every figure as `STEM.FORMAT`; ids in SVG and dates in PDF are normalised.

    RuntimeError that says what to install where the machine has no browser.
    """
    if not any(shutil.which(browser) for browser in _BROWSERS):
        raise RuntimeError("pictures need a browser: install Debian's `chromium` (apt-get install chromium)")
    import kaleido

    written = []
    kaleido.start_sync_server(silence_warnings=True, mathjax=False)
    try:
        for stem, figure in figures:
            for kind in formats:
                data = kaleido.calc_fig_sync(figure, opts={"format": kind, "scale": 3 if kind == "png" else 1})
                path = stem.with_suffix(f".{kind}")
                path.write_bytes(normalised(data, kind))
                written.append(path)
    finally:
        kaleido.stop_sync_server(silence_warnings=True)
    return written


def normalised(data: bytes, kind: str) -> bytes:
    """The picture without what changes from run to run: random ids in SVG, dates and document ids in PDF."""
    if kind == "svg":
        ids: dict[bytes, bytes] = {}

        def rename(found: re.Match[bytes]) -> bytes:
            return ids.setdefault(found[1], b"%06x" % len(ids))

        for random_id in re.findall(rb'(?:id="(?:defs-|clip|topdefs-|legend)|\btrace)([0-9a-f]{6})', data):
            ids.setdefault(random_id, b"%06x" % len(ids))
        if ids:
            data = re.sub(b"(" + b"|".join(sorted(ids)) + b")", rename, data)
        return data
    if kind == "pdf":
        data = re.sub(rb"/(CreationDate|ModDate) \(D:[^)]*\)", _blanked, data)
        return re.sub(rb"/ID \[[^\]]*\]", _blanked, data)
    return data


def _blanked(found: re.Match[bytes]) -> bytes:
    """The same length with digits set to 0, so that the offsets in the file stay right."""
    return re.sub(rb"[0-9A-Fa-f](?=[0-9A-Fa-f'+:Z)<>\s])|(?<=D:)\d+", lambda d: b"0" * len(d[0]), found[0])
