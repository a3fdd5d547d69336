"""Errors and differences in words, the same in Markdown and on the page."""

from __future__ import annotations

from vggrepro.evaluation.metrics import ErrorRate


def with_interval(rate: ErrorRate) -> str:
    """ "25.61 (25.20-26.03)": the error in percent and its 95% interval."""
    return f"{rate.percent:.2f} ({interval(rate)})"


def interval(rate: ErrorRate) -> str:
    """The 95% interval in percent."""
    low, high = rate.interval
    return f"{low:.2f}-{high:.2f}"


def published(value: float | None) -> str:
    """With one decimal, as the paper prints it, or with as many as it was published with."""
    if value is None:
        return "-"
    return f"{value:.1f}" if value == round(value, 1) else f"{value:g}"


def signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"
