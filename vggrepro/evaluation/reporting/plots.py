"""Plots as inline SVG. Colours and type come from the page's style sheet, by class."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vggrepro.evaluation.metrics import ErrorRate
from vggrepro.evaluation.reporting.html_text import html_text

_WIDTH, _ROW, _TOP, _FOOT, _MARGIN = 360, 34, 6, 22, 10
"""Pixels: about a phone's width, so that type keeps its size there."""

_Scale = Callable[[float], float]


@dataclass(frozen=True)
class Point:
    """One line of a plot: what was measured, its error, and the error that was expected, where one was."""

    label: str
    rate: ErrorRate
    expected: float | None = None


def error_plot(title: str, kind: str, points: Sequence[Point]) -> str:
    """Errors in percent with their 95% intervals, one line each, and expected ones as dashed strokes.
    ``kind`` ("top1", "top5") is the style's class."""
    low, high = _limits(points)
    ticks = _ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    height = _TOP + _ROW * len(points) + _FOOT

    def x(percent: float) -> float:
        return _MARGIN + (percent - low) / (high - low) * (_WIDTH - 2 * _MARGIN)

    bottom = height - _FOOT
    body = [_tick(x(t), bottom, f"{t:g}") for t in ticks]
    for number, point in enumerate(points):
        body.append(_line(point, kind, x, _TOP + _ROW * number))
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{html_text(title)}">'
        f"<title>{html_text(title)}</title>{''.join(body)}</svg>"
    )


def _limits(points: Sequence[Point]) -> tuple[float, float]:
    lows = [p.rate.interval[0] for p in points] + [p.expected for p in points if p.expected is not None]
    highs = [p.rate.interval[1] for p in points] + [p.expected for p in points if p.expected is not None]
    low, high = min(lows), max(highs)
    space = max(high - low, 0.5) * 0.04
    return max(0.0, low - space), min(100.0, high + space)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers around the range, four to eight of them."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(step * number, 6) for number in range(first, last + 1)]


def _tick(x: float, bottom: float, text: str) -> str:
    anchor = "start" if x < 2 * _MARGIN else "end" if x > _WIDTH - 2 * _MARGIN else "middle"
    return (
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}"/>'
        f'<text class="tick" x="{x:.1f}" y="{bottom + 14}" text-anchor="{anchor}">{text}</text>'
    )


def _line(point: Point, kind: str, x: _Scale, top: float) -> str:
    low, high = point.rate.interval
    y = top + 25
    stroke = ""
    if point.expected is not None:
        at = x(point.expected)
        stroke = f'<line class="expected" x1="{at:.1f}" x2="{at:.1f}" y1="{y - 7}" y2="{y + 7}"/>'
    return (
        f'<text x="{_MARGIN}" y="{top + 13}">{html_text(_short(point.label))}'
        f' <tspan class="tick">{point.rate.percent:.2f}%</tspan></text>'
        f'<line class="{kind}" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y}" y2="{y}"/>{stroke}'
        f'<circle class="{kind}" cx="{x(point.rate.percent):.1f}" cy="{y}" r="4"/>'
    )


def _short(label: str, most: int = 50) -> str:
    return label if len(label) <= most else f"{label[: most - 3]}..."
