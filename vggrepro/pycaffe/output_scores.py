"""What a solver's test makes of its net's outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.pycaffe import glog
from vggrepro.pycaffe.net import Net
from vggrepro.pycaffe.solver_log import output_lines
from vggrepro.training.average_precision import Detections
from vggrepro.training.output_values import OutputMeans


class OutputScores:
    """The mean of every output over the passes of a test (Caffe's ``Solver::Test``); with
    ``eval_type: "detection"`` in ``param``, a ``SolverParameter``, the mean average precision of every output
    (SSD's ``Solver::TestDetection``)."""

    def __init__(self, net: Net, param: Any) -> None:
        self._net, self._param = net, param
        self._means: dict[str, OutputMeans] = {}
        detects = param.eval_type == "detection"
        self._found = {name: Detections(name) for name in net.outputs} if detects else {}

    def add(self) -> None:
        """Take what the net's outputs hold after a pass."""
        for name in self._net.outputs:
            if name in self._found:
                self._found[name].add(self._net.array(name))
            else:
                values = self._net.array(name).reshape(-1)
                self._means.setdefault(name, OutputMeans(name, values.shape)).add(1, values)

    def log(self) -> None:
        """Log a line for each score."""
        scores = [(name, self._score(name)) for name in self._net.outputs]
        for line in output_lines(self._net, scores, "    Test net output"):
            glog.log(line, "solver.cpp:397")

    def _score(self, name: str) -> npt.NDArray[np.float64]:
        if name not in self._found:
            return np.array(self._means[name].scores()[name])
        averages = self._found[name].averages(self._param.ap_version)
        if self._param.show_per_class_result:
            for label, average in averages.items():
                glog.log(f"class{label}: {average:g}", "solver.cpp:541")
        return np.array(self._found[name].mean(self._param.ap_version))
