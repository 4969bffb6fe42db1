"""How every figure looks: who is drawn how, labels that fit a telephone, a background that takes any page's colour."""

import html
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
INK = "#757575"  # the one grey with a contrast above 4 on white and on near black
GRID = "rgba(128, 128, 128, 0.25)"
LINE = "rgba(128, 128, 128, 0.6)"
SHADE = "rgba(128, 128, 128, 0.22)"
TEXT_SIZE = 12
LINE_HEIGHT = 16  # pixels
NARROW = 372  # pixels: the width of a figure on a telephone
TITLE_WIDTH = 54  # characters that fit it


class Role(NamedTuple):
    """How one party is drawn: the colours hold for colour-blind readers, dash and symbol hold in grey print."""

    colour: str
    dash: str
    symbol: str


BASE = Role("#0072B2", "solid", "circle")
TUNED = Role("#D55E00", "dash", "diamond")
HYBRID = Role("#009E73", "dashdot", "square")
CONTROL = Role("#7F7F7F", "dot", "circle-open")

TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": FONT, "size": TEXT_SIZE, "color": INK},
        "paper_bgcolor": "rgba(0, 0, 0, 0)",
        "plot_bgcolor": "rgba(0, 0, 0, 0)",
        "colorway": [BASE.colour, TUNED.colour, HYBRID.colour, CONTROL.colour],
        "hovermode": "closest",
        "xaxis": {
            "gridcolor": GRID,
            "zeroline": False,
            "linecolor": LINE,
            "automargin": True,
            "nticks": 6,
            "title": {"font": {"size": TEXT_SIZE}},
        },
        "yaxis": {
            "gridcolor": GRID,
            "zeroline": False,
            "linecolor": LINE,
            "automargin": True,
            "nticks": 5,
            "title": {"font": {"size": TEXT_SIZE}},
        },
        "title": {"x": 0, "xref": "container", "xanchor": "left", "y": 1, "yref": "container", "yanchor": "top"},
        "legend": {"orientation": "h", "x": 0, "xref": "container", "y": 0, "yref": "container", "yanchor": "bottom"},
        "annotationdefaults": {"showarrow": False},
    }
)


def safe(label: str) -> str:
    """The label as plain text: plotly reads a little HTML, and a strategy may be called `<b>`."""
    return html.escape(str(label), quote=False)


def wrap(label: str, width: int = 18) -> str:
    """The label in lines of at most `width` characters, broken between words where that is possible."""
    return "<br>".join(safe(line) for line in textwrap.wrap(str(label), width))


def interval(estimate: Iterable[float], low: Iterable[float], high: Iterable[float], role: Role) -> dict[str, Any]:
    """Error bars from `low` to `high`, which need not lie evenly about the estimate."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [end - e for e, end in zip(estimate, high, strict=True)],
        "arrayminus": [e - end for e, end in zip(estimate, low, strict=True)],
        "color": role.colour,
        "thickness": 1.5,
        "width": 3,
    }


def panels(
    titles: Sequence[str], heights: Sequence[int], *, shared_x: bool = False, width: int = TITLE_WIDTH
) -> tuple[go.Figure, int]:
    """Panels one under the other, each with a heading, and the height in pixels of all of them together.

    Side by side they would not fit a telephone. Headings start at the axis and are broken after `width` characters.
    """
    headings = [wrap(title, width) for title in titles]
    above = max(heading.count("<br>") + 1 for heading in headings) * LINE_HEIGHT + 4
    gap = above + (16 if shared_x else 40)
    total = sum(heights) + gap * (len(heights) - 1)
    figure = make_subplots(
        rows=len(heights),
        row_heights=[float(height) for height in heights],
        vertical_spacing=gap / total if len(heights) > 1 else 0.0,
        shared_xaxes=shared_x,
    )
    for row, heading in enumerate(headings, start=1):
        figure.add_annotation(
            text=f"<b>{heading}</b>",
            x=0,
            xanchor="left",
            y=1,
            yanchor="bottom",
            yshift=3,
            align="left",
            row=row,
            col=1,
            xref="x domain",
            yref="y domain",
            font={"size": TEXT_SIZE},
        )
    return figure, total


def finish(figure: go.Figure, title: str, *, height: int, above: int = 0, below: int = 0) -> go.Figure:
    """Set template, title, legend and margins: `height` is that of the panels, `above` what a heading over them needs
    and `below` what a colour bar under them needs.

    Title and legend stand in container coordinates, over and under everything else, so that they meet nothing.
    """
    heading = wrap(title, TITLE_WIDTH)
    top = LINE_HEIGHT * (heading.count("<br>") + 1) + 16 + above
    several = "<br>" in heading
    bottom = 54 + 19 * _legend_rows(figure) + below
    figure.update_layout(
        template=TEMPLATE,
        # plotly sets the first of several lines 8 pixels higher than a single one
        title={"text": heading, "font": {"size": TEXT_SIZE}, "pad": {"t": 17 if several else 9, "l": 8}},
        height=height + top + bottom,
        margin={"l": 8, "r": 12, "t": top, "b": bottom},
        showlegend=_legend_rows(figure) > 0,
    )
    return figure


def _legend_rows(figure: go.Figure) -> int:
    """How many lines the legend takes in the narrowest figure, where all entries get the width of the widest."""
    names = [trace.name for trace in figure.data if trace.name and trace.showlegend is not False]
    if not names:
        return 0
    columns = max(1, NARROW // (48 + 7 * max(map(len, names))))
    return -(-len(names) // columns)
