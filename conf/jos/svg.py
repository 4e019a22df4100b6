"""Draws the charts of curves.py as one SVG: two columns, logarithmic axes, a legend below each."""

import math
from html import escape
from typing import List, Tuple

from .curves import Chart, Curve, factor_words

COLUMNS = 2
PLOT_W, PLOT_H = 360, 240
LEFT, TOP, BOTTOM, GAP = 64, 36, 44, 24
LEGEND_LINE = 16
COLOURS = ("#1f5fa8", "#c0392b", "#2e8b57", "#8e44ad", "#d68910", "#16808a", "#6b4226", "#555555")
FONT = "font-family='sans-serif'"


def decades(values: List[int]) -> List[int]:
    """Powers of ten from below the smallest to above the largest value."""
    low = math.floor(math.log10(max(min(values), 1)))
    high = max(math.ceil(math.log10(max(values))), low + 1)
    return [10**n for n in range(low, high + 1)]


def position(value: float, low: int, high: int, length: float) -> float:
    return (math.log10(max(value, 1)) - math.log10(low)) / (math.log10(high) - math.log10(low)) * length


def text(x: float, y: float, words: str, size: int = 11, anchor: str = "middle", more: str = "") -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' text-anchor='{anchor}' {FONT}{more}>"
        f"{escape(words)}</text>"
    )


def line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{colour}'/>"


def drawn(curve: Curve, relative: bool) -> List[Tuple[int, float]]:
    """The points as the plot has them."""
    unit = curve.points[0][1] if relative else 1
    return [(x, y / unit) for x, y in curve.points]


def legend_words(curve: Curve, relative: bool) -> str:
    if relative:
        return f"{curve.name}: {factor_words(curve)}"
    first, last = curve.points[0][1], curve.points[-1][1]
    return f"{curve.name}: {first:,} to {last:,} {curve.unit}"


def draw(chart: Chart, x0: float, y0: float) -> List[str]:
    """One chart, whose plot has its upper left corner at (x0, y0)."""
    xs = [x for x, _ in chart.curves[0].points]
    # With CPUs, so that twice as many doing twice as much is the diagonal.
    ys = xs if chart.relative else decades([y for curve in chart.curves for _, y in curve.points])
    out = [text(x0 + PLOT_W / 2, y0 - 12, chart.title, 14, more=" font-weight='bold'")]
    for y in ys:
        at = y0 + PLOT_H - position(y, ys[0], ys[-1], PLOT_H)
        out += [line(x0, at, x0 + PLOT_W, at, "#dddddd"), text(x0 - 6, at + 4, f"{y:,}", anchor="end")]
    for x in xs:
        at = x0 + position(x, xs[0], xs[-1], PLOT_W)
        out += [line(at, y0 + PLOT_H, at, y0 + PLOT_H + 4, "#000000")]
        out += [text(at, y0 + PLOT_H + 17, f"{x:,}")]
    out += [line(x0, y0 + PLOT_H, x0 + PLOT_W, y0 + PLOT_H, "#000000")]
    out += [line(x0, y0, x0, y0 + PLOT_H, "#000000")]
    out += [text(x0 + PLOT_W / 2, y0 + PLOT_H + 34, chart.axis)]
    middle = y0 + PLOT_H / 2
    unit = "times one CPU" if chart.relative else chart.curves[0].unit
    out += [text(x0 - 52, middle, unit, more=f" transform='rotate(-90 {x0 - 52} {middle})'")]
    for n, curve in enumerate(chart.curves):
        colour = COLOURS[n % len(COLOURS)]
        places = [
            (x0 + position(x, xs[0], xs[-1], PLOT_W), y0 + PLOT_H - position(y, ys[0], ys[-1], PLOT_H))
            for x, y in drawn(curve, chart.relative)
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        out += [f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2'/>"]
        out += [f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3' fill='{colour}'/>" for x, y in places]
        at = y0 + PLOT_H + BOTTOM + 10 + n * LEGEND_LINE
        out += [f"<rect x='{x0}' y='{at - 6:.1f}' width='14' height='4' fill='{colour}'/>"]
        out += [text(x0 + 20, at, legend_words(curve, chart.relative), anchor="start")]
    return out


def render(charts: List[Chart]) -> str:
    """The whole picture."""
    out, y = [], float(TOP)
    for row in range(0, len(charts), COLUMNS):
        beside = charts[row : row + COLUMNS]
        for column, chart in enumerate(beside):
            out += draw(chart, LEFT + GAP + column * (LEFT + PLOT_W + GAP), y)
        lines = max(len(chart.curves) for chart in beside)
        y += PLOT_H + BOTTOM + lines * LEGEND_LINE + TOP + GAP
    width = GAP + COLUMNS * (LEFT + PLOT_W + GAP) + GAP
    head = f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{y:.0f}' viewBox='0 0 {width} {y:.0f}'>"
    return "\n".join([head, "<rect width='100%' height='100%' fill='white'/>", *out, "</svg>"]) + "\n"
