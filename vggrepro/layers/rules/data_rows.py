"""Tops whose rows the data decide: what a graph, whose shapes are fixed, holds in their place."""

from __future__ import annotations

from typing import NamedTuple


class DataRows(NamedTuple):
    """Rows along ``axis`` of the tops, of which a graph has as many as there can be. Those that the data do
    not give are behind the others, and all of their numbers are ``empty``."""

    axis: int
    empty: float
