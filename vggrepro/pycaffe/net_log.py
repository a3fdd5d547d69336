"""What Caffe logs of a net that it has made."""

from __future__ import annotations

from vggrepro.pycaffe import glog
from vggrepro.pycaffe.net import Net
from vggrepro.pycaffe.site import Site


def log_net(net: Net) -> None:
    """The layers of a net in Caffe's words: bottoms, tops with their shapes and loss weights, the memory that
    all tops take together, which layers run backward, and the net's outputs."""
    glog.log(f'Initializing net from parameters:\nname: "{net.rules.name}"', "net.cpp:51")
    values = 0
    for site in net._sites:
        values += sum(top.count for top in site.tops)
        _log_layer(site, values)
    for site in reversed(net._sites):
        if site.runs_backward:
            glog.log(f"{site.name} needs backward computation.", "net.cpp:198")
        else:
            glog.log(f"{site.name} does not need backward computation.", "net.cpp:200")
    for name in net.outputs:
        glog.log(f"This network produces output {name}", "net.cpp:242")
    glog.log("Network initialization done.", "net.cpp:255")


def _log_layer(site: Site, values: int) -> None:
    """One layer; ``values`` is the number of values in the tops of all layers so far."""
    glog.log(f"Creating layer {site.name}", "layer_factory.hpp:77")
    glog.log(f"Creating Layer {site.name}", "net.cpp:84")
    for bottom in site.bottoms:
        glog.log(f"{site.name} <- {bottom.name}", "net.cpp:406")
    for top in site.tops:
        if top in site.bottoms:
            glog.log(f"{site.name} -> {top.name} (in-place)", "net.cpp:367")
        else:
            glog.log(f"{site.name} -> {top.name}", "net.cpp:380")
    glog.log(f"Setting up {site.name}", "net.cpp:122")
    for top, weight in zip(site.tops, site.loss_weights, strict=True):
        sizes = " ".join(map(str, (*top.dims, f"({top.count})")))
        glog.log(f"Top shape: {sizes}", "net.cpp:129")
        if weight != 0:
            glog.log(f"    with loss weight {weight:g}", "net.cpp:132")
    glog.log(f"Memory required for data: {4 * values}", "net.cpp:137")
