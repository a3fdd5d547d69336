"""Nets: wiring, shapes, fillers, weights."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "ForkRules": "vggrepro.net.fork_rules",
    "Net": "vggrepro.net.net",
    "NetLayer": "vggrepro.net.net_layer",
    "ParamUse": "vggrepro.net.net_layer",
    "build_net": "vggrepro.net.load",
    "load_by_rules": "vggrepro.net.load",
    "load_net": "vggrepro.net.load",
    "save_weights": "vggrepro.net.save",
}

__all__ = [
    "ForkRules",
    "Net",
    "NetLayer",
    "ParamUse",
    "build_net",
    "load_by_rules",
    "load_net",
    "save_weights",
]

if TYPE_CHECKING:
    from vggrepro.net.fork_rules import ForkRules
    from vggrepro.net.load import build_net, load_by_rules, load_net
    from vggrepro.net.net import Net
    from vggrepro.net.net_layer import NetLayer, ParamUse
    from vggrepro.net.save import save_weights


def __getattr__(name: str) -> Any:
    """The names of the room, each imported when it is first used: the names of forks need no layers."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
