"""caffe test: score a model on the data that its own layers read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vggrepro.caffe.messages import TEST
from vggrepro.cli.caffe_programs.action import (
    ActionFlags,
    action_flags,
    copy_weights,
    use_one_device,
)
from vggrepro.errors import OptionError
from vggrepro.pycaffe import glog
from vggrepro.pycaffe.net import Net
from vggrepro.pycaffe.net_log import log_net


def main(arguments: Sequence[str]) -> int:
    """Log every output of every batch, and then the means."""
    with action_flags(arguments) as flags:
        if flags is not None:
            _test(flags)
    return 0


def _test(flags: ActionFlags) -> None:
    if not flags.model:
        raise OptionError("Need a model definition to score.")
    if not flags.weights:
        raise OptionError("Need model weights to score.")
    if flags.iterations < 1:
        raise OptionError(f"-iterations {flags.iterations}: expected at least 1")
    use_one_device(flags)
    net = Net(flags.model, TEST, flags.level, flags.stages)
    log_net(net)
    for file in flags.weight_files:
        copy_weights(net, file)
    glog.log(f"Running for {flags.iterations} iterations.", "caffe.cpp:285")
    names: list[str] = []
    totals = np.zeros(0, np.float32)
    loss = np.float32(0)
    for batch in range(flags.iterations):
        loss += np.float32(net._forward(0, len(net.layers) - 1))
        names = [name for name in net.outputs for _ in range(net.array(name).size)]
        scores = np.concatenate([np.zeros(0, np.float32), *(net.array(n).ravel() for n in net.outputs)])
        for name, score in zip(names, scores, strict=True):
            glog.log(f"Batch {batch}, {name} = {score:g}", "caffe.cpp:313")
        totals = scores if batch == 0 else totals + scores  # float32, as Caffe adds
    glog.log(f"Loss: {loss / np.float32(flags.iterations):g}", "caffe.cpp:318")
    for name, mean in zip(names, totals / np.float32(flags.iterations), strict=True):
        weight = net.blob_loss_weights[name]
        weighted = f" (* {weight:g} = {weight * mean:g} loss)" if weight else ""
        glog.log(f"{name} = {mean:g}{weighted}", "caffe.cpp:330")
