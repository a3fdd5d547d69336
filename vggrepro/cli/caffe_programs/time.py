"""caffe time: how long a net's passes take, as a whole and layer by layer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from vggrepro.caffe.messages import PHASES
from vggrepro.cli.caffe_programs.action import ActionFlags, action_flags, use_one_device
from vggrepro.errors import OptionError, PycaffeError
from vggrepro.pycaffe import glog, mode
from vggrepro.pycaffe.definition import define, read_message
from vggrepro.pycaffe.errors import as_runtime_error
from vggrepro.pycaffe.net import Net
from vggrepro.pycaffe.net_log import log_net


def main(arguments: Sequence[str]) -> int:
    """Log the times in Caffe's lines."""
    with action_flags(arguments) as flags:
        if flags is not None:
            _time(flags)
    return 0


def _time(flags: ActionFlags) -> None:
    """Time ``-iterations`` passes of the net as one graph, which is how it runs elsewhere too, and then as
    many of every layer alone.

    DEVIATION: Caffe runs the layers one by one in both, so that its averages are the sums of the layers'.
    """
    if not flags.model:
        raise OptionError("Need a model definition to time.")
    if flags.phase not in ("", *PHASES):
        raise OptionError(f'-phase {flags.phase}: phase must be "TRAIN" or "TEST"')
    if flags.iterations < 1:
        raise OptionError(f"-iterations {flags.iterations}: expected at least 1")
    use_one_device(flags)
    net = _net(flags, PHASES[flags.phase or "TRAIN"])
    log_net(net)
    last = len(net.layers) - 1
    glog.log("Performing Forward", "caffe.cpp:352")
    glog.log(f"Initial loss: {net._forward(0, last):g}", "caffe.cpp:357")
    glog.log("Performing Backward", "caffe.cpp:358")
    net._backward(last, 0)
    net._debug_info.all_params()
    _single_layers(net, 1)  # this and the pass after it compile the graphs that will be timed
    net._forward(0, last)
    net._backward(last, 0)
    glog.log("*** Benchmark begins ***", "caffe.cpp:366")
    glog.log(f"Testing for {flags.iterations} iterations.", "caffe.cpp:367")
    _benchmark(net, flags.iterations)
    glog.log("*** Benchmark ends ***", "caffe.cpp:416")


def _net(flags: ActionFlags, phase: int) -> Net:
    """The net. One without a loss gets gradients nevertheless, as with ``force_backward: true``, so that
    there is something to time; Caffe computes those of its parameters."""
    net = Net(flags.model, phase, flags.level, flags.stages)
    if any(net.blob_loss_weights.values()):
        return net
    with as_runtime_error():
        message, custom = read_message(flags.model, phase, flags.level, flags.stages)
        message.force_backward = True
        definition = define(
            message, phase, seed=mode.draw_seed(), folder=Path(flags.model).parent, custom=custom
        )
    forced = Net.from_definition(definition)
    try:
        forced._forward(0, len(forced.layers) - 1)
        forced._backward(len(forced.layers) - 1, 0)
    except PycaffeError as error:
        glog.warning(f"no backward pass is timed: {error}")
        return net
    return forced


def _benchmark(net: Net, iterations: int) -> None:
    last = len(net.layers) - 1
    forward = backward = 0.0
    for iteration in range(1, iterations + 1):
        times = _milliseconds(lambda: net._forward(0, last)), _milliseconds(lambda: net._backward(last, 0))
        glog.log(f"Iteration: {iteration} forward-backward time: {sum(times):g} ms.", "caffe.cpp:395")
        forward, backward = forward + times[0], backward + times[1]
    glog.log("Average time per layer: ", "caffe.cpp:398")
    for name, times in zip(net._layer_names, _single_layers(net, iterations), strict=True):
        glog.log(f"{name:>10}\tforward: {times[0]:g} ms.", "caffe.cpp:401")
        glog.log(f"{name:>10}\tbackward: {times[1]:g} ms.", "caffe.cpp:404")
    total = forward + backward
    glog.log(f"Average Forward pass: {forward / iterations:g} ms.", "caffe.cpp:409")
    glog.log(f"Average Backward pass: {backward / iterations:g} ms.", "caffe.cpp:411")
    glog.log(f"Average Forward-Backward: {total / iterations:g} ms.", "caffe.cpp:413")
    glog.log(f"Total Time: {total:g} ms.", "caffe.cpp:415")


def _single_layers(net: Net, iterations: int) -> list[tuple[float, float]]:
    """The mean milliseconds of each layer's forward and backward pass."""
    forward, backward = [0.0] * len(net.layers), [0.0] * len(net.layers)
    for _ in range(iterations):
        for index in range(len(net.layers)):
            forward[index] += _milliseconds(lambda i=index: net._forward(i, i))  # type: ignore[misc]
        for index in reversed(range(len(net.layers))):
            backward[index] += _milliseconds(lambda i=index: net._backward(i, i))  # type: ignore[misc]
    return [(f / iterations, b / iterations) for f, b in zip(forward, backward, strict=True)]


def _milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)
