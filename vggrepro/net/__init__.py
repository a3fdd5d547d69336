"""Nets: wiring, shapes, fillers, weights."""

from vggrepro.net.load import build_net, load_net
from vggrepro.net.net import Net
from vggrepro.net.net_layer import NetLayer, ParamUse
from vggrepro.net.save import save_weights

__all__ = ["Net", "NetLayer", "ParamUse", "build_net", "load_net", "save_weights"]
