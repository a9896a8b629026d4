"""Plots as SVG that stands in a page: they take the page's own text colour, in light and in dark."""

import io
import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from sosie.training.evaluation.bootstrap import Estimate
from sosie.training.evaluation.ranking import Places
from sosie.training.heads import Floats

COLOURS = ("#3b82c4", "#e08a1e", "#3f9b5a", "#c2528b", "#8a6fd1", "#b8a02a", "#2aa5a5", "#d0604c", "#7d8b99", "#9c6b4a")
"""Told apart on white and on black."""
GREY = "#8d8d8d"
MAX_CLASSES = 30
"""Rows of a confusion matrix that can still be read."""

_INK = "#010203"  # no plot uses it for anything else: the page puts its text colour in its place
_LABEL = 26
_LARGEST, _SMALLEST = 1.3, 0.8  # pixels a point: text of 13 pixels, and of 8 where the page is narrow
_STYLE: Mapping[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "sosie",
    "text.parse_math": False,  # a label may hold a dollar sign
    "font.size": 10,
    "axes.grid": True,
    "grid.color": GREY,
    "grid.alpha": 0.3,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "legend.labelcolor"), _INK
    ),
    "legend.frameon": False,
}


def plot_estimates(rows: Mapping[str, Mapping[str, Estimate]], label: str) -> str:
    """Figures with their intervals: {row: {series: figure}}, a line a row, a colour a series."""
    series = list(dict.fromkeys(name for figures in rows.values() for name in figures))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for number, name in enumerate(series):
            shift = (number - (len(series) - 1) / 2) * 0.17
            for row, figures in enumerate(rows.values()):
                if name in figures:
                    _draw_interval(axes, figures[name], row + shift, COLOURS[number % len(COLOURS)])
            axes.plot([], [], "o", color=COLOURS[number % len(COLOURS)], label=shorten(name))
        axes.set_yticks(range(len(rows)), [shorten(name) for name in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(0, 1.02)
        axes.set_xlabel(label)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, columnspacing=1, handletextpad=0.2)

    return _render(draw, (6.4, 1.2 + 0.2 * len(rows) * max(2, len(series))))


def plot_confusion(confusion: Places, labels: Sequence[str]) -> str:
    """The share of each class (row) that is taken for each (column); of many, the most frequent classes."""
    chosen = np.sort(np.argsort(-confusion.sum(1), kind="stable")[:MAX_CLASSES])
    shown = confusion[np.ix_(chosen, chosen)]
    shares = shown / np.maximum(confusion.sum(1)[chosen, None], 1)
    names = [shorten(labels[place]) for place in chosen]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.grid(visible=False)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), names)
        axes.set_xlabel("taken for")
        axes.set_ylabel("is")
        for row, column in zip(*np.nonzero(shown), strict=True):
            colour = "white" if shares[row, column] > 0.55 else "#1c2733"  # noqa: PLR2004  # on dark blue
            axes.text(column, row, str(shown[row, column]), ha="center", va="center", color=colour, fontsize=8)

    side = 2.2 + 0.3 * max(6, len(names))
    return _render(draw, (side, side))


def plot_reliability(bins: Sequence[Any], *, right: str = "share that is right") -> str:
    """Bins with `confidence`, `right` or `share`, and `count`: on the diagonal, probabilities mean what they say."""

    def draw(figure: Figure) -> None:
        axes, counts = figure.subplots(2, sharex=True, height_ratios=[4, 1])
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
        places = [part.confidence for part in bins]
        shares = [part.right if hasattr(part, "right") else part.share for part in bins]
        axes.plot(places, shares, "o-", color=COLOURS[0])
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.set_ylabel(right)
        counts.bar(places, [part.count for part in bins], width=0.04, color=COLOURS[0])
        counts.set_ylabel("count")
        counts.set_xlabel("probability")

    return _render(draw, (4.6, 4.6))


def plot_roc(curves: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Receiver operating characteristics by name, points (false, true positive rate)."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
        for number, (name, points) in enumerate(curves.items()):
            axes.plot(*zip(*points, strict=True), color=COLOURS[number], label=shorten(name))
        axes.set_xlim(-0.01, 1)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("false positive rate")
        axes.set_ylabel("true positive rate")
        axes.legend(loc="lower right")

    return _render(draw, (4.6, 4.6))


def plot_map(points: Floats, labels: Sequence[str]) -> str:
    """Points [n, 2] coloured by label: the most frequent have a colour each, the rest are grey."""
    most = [label for label, _ in Counter(label for label in labels if label).most_common(len(COLOURS))]
    names = np.array(labels, dtype=object)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.set_axis_off()
        rest = ~np.isin(names, most)
        groups = [(most[n], names == most[n], COLOURS[n]) for n in range(len(most))]
        groups += [("all others", rest, GREY)] if rest.any() else []
        for name, chosen, colour in groups:  # rare ones lie on top
            axes.scatter(
                points[chosen, 0], points[chosen, 1], s=9, color=colour, linewidths=0, alpha=0.85, rasterized=True
            )
            axes.scatter([], [], s=28, color=colour, label=f"{shorten(name)} ({int(chosen.sum())})")
        axes.set_aspect("equal", adjustable="datalim")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=2, columnspacing=1, handletextpad=0.1)

    return _render(draw, (6.0, 6.0))


def plot_sizes(widths: Sequence[int], heights: Sequence[int]) -> str:
    """How large pictures are: a histogram of the shorter side, in pixels."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        sides = np.minimum(widths, heights)
        axes.hist(sides, bins=40, color=COLOURS[0])
        axes.set_xlabel("shorter side in pixels")
        axes.set_ylabel("pictures")

    return _render(draw, (6.0, 2.6))


def shorten(label: str) -> str:
    """A label as plots show it: in one line, without what a page may not hold, and not too long."""
    plain = "".join(letter if letter.isprintable() else " " for letter in label)
    return plain if len(plain) <= _LABEL else plain[: _LABEL - 1] + "…"


def _draw_interval(axes: Any, estimate: Estimate, row: float, colour: str) -> None:
    if estimate.low is not None and estimate.high is not None:
        axes.plot([estimate.low, estimate.high], [row, row], color=colour, linewidth=2, alpha=0.55)
    axes.plot([estimate.value], [row], "o", color=colour, markersize=5)


def _render(draw: Callable[[Figure], None], size: tuple[float, float]) -> str:
    buffer = io.StringIO()
    with mpl.rc_context(dict(_STYLE)), warnings.catch_warnings():
        # Labels are in any script; the page's own font draws them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure = Figure(figsize=size, dpi=144)
        draw(figure)
        figure.savefig(
            buffer, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None, "Creator": None}
        )
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]  # without the declaration of a document of its own
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # several plots on a page would repeat them
    width = float(svg.partition('viewBox="0 0 ')[2].partition(" ")[0])
    bounds = f"max-width: {width * _LARGEST:.0f}px; min-width: {width * _SMALLEST:.0f}px"
    svg = re.sub(r'(<svg [^>]*?) width="[^"]*" height="[^"]*"', rf'\1 style="{bounds}"', svg, count=1)
    return svg.replace(_INK, "currentColor")
