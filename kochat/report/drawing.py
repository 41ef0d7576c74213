"""Turn matplotlib figures into SVG for a web page: text stays text, the page sets its colour, ids are unique.

Text stays text (`svg.fonttype: none`) and names a list of fonts that Korean systems have, so the reader's browser draws the
Hangul; the machine that writes the report needs no Korean font. Matplotlib measures text with DejaVu Sans, which has no
Hangul; its warnings about that are suppressed.
"""

from __future__ import annotations

import io
import re
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

FONTS = (
    "Pretendard, 'Noto Sans CJK KR', 'Noto Sans KR', 'Apple SD Gothic Neo', 'Malgun Gothic', NanumGothic, sans-serif"
)
COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#b8860b",
    "#56b4e9",
    "#7f7f7f",
)  # Okabe & Ito 2008: also for colour-blind readers
_LINE, _EXTRA = 96, 9  # in Latin letters: width of the plot; width of a legend entry's line and spacing
_INK = "#010203"  # placeholder for the page's text colour, replaced when the SVG is written

_STYLE: Any = {  # rc keys are literal types to mypy
    "svg.fonttype": "none",
    "text.parse_math": False,  # a dollar sign in a label is a dollar sign
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.15,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "axes.titlesize": 10.5,
    **dict.fromkeys(
        ["text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "grid.color"], _INK
    ),
}


@contextmanager
def canvas(
    columns: int = 1, rows: int = 1, width: float = 7.6, height: float = 3.2
) -> Iterator[tuple[Figure, list[Axes]]]:
    """Open a figure with `rows` x `columns` axes in the report's style; sizes in inches."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots(rows, columns, squeeze=False)
        yield figure, list(axes.flat)


def legend(figure: Figure, axes: Axes) -> None:
    """Put one legend for all axes above the plot, with wide spacing, since Hangul is wider than matplotlib measures."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        columns = max(1, min(len(labels), 4, _LINE // (_EXTRA + max(map(_width, labels)))))
        figure.legend(handles, labels, loc="outside upper center", ncols=columns, columnspacing=3.0)


def reserve_left(figure: Figure, labels: Sequence[str]) -> None:
    """Keep space at the left edge for the labels of a vertical axis: Hangul is wider than matplotlib measures."""
    wide = max((sum(unicodedata.east_asian_width(letter) in "WF" for letter in label) for label in labels), default=0)
    inches = (
        0.4 * wide * _STYLE["font.size"] / 72
    )  # a Hangul letter is 1 em wide; a missing glyph of DejaVu Sans is 0.6
    left = inches / figure.get_figwidth()
    figure.get_layout_engine().set(rect=(left, 0, 1 - left, 1))  # type: ignore[union-attr, call-arg]


def title(axes: Axes, text: str, panels: int) -> None:
    """Write a panel's title, wrapped to the width of one of `panels` panels side by side."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        lines = [*lines[:-1], longer] if not lines[-1] or _width(longer) <= _LINE // panels else [*lines, word]
    axes.set_title("\n".join(lines))


def _width(text: str) -> int:
    """Return the width of a text, in Latin letters; a Hangul letter counts as two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def to_svg(figure: Figure, name: str) -> str:
    """Write a figure as an `<svg>` element, its ids prefixed with `name`, its text in the page's colour and fonts."""
    buffer = io.StringIO()
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    svg = text[text.index("<svg") :].strip()
    svg = re.sub(
        r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL
    )  # its style would apply to the whole page
    svg = svg.replace("<svg ", '<svg stroke-linejoin="round" role="img" ', 1)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r' (d|x|y|transform)="[^"]*"', _shorten, svg)
    return svg.replace("'DejaVu Sans'", FONTS).replace(_INK, "currentColor")


def _shorten(attribute: re.Match[str]) -> str:
    """Round coordinates to 0.01 point and put them on one line, which halves the file size."""
    rounded = re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number.group()):.2f}", attribute.group())
    return " " + " ".join(rounded.split())


def standalone(svg: str) -> str:
    """Make an SVG file of an SVG element, with a white background, since a transparent one is unreadable on a dark page."""
    return '<?xml version="1.0" encoding="utf-8"?>\n' + svg.replace("<svg ", '<svg style="background: #fff" ', 1) + "\n"
