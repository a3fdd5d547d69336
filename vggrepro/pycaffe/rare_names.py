"""Names of nets and solvers that few scripts use: lists of Caffe's module for itself, methods of forks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from vggrepro.pycaffe.deconvnet import DeconvnetNames
from vggrepro.pycaffe.earlier_names import EarlierNetNames


class _Net(Protocol):
    @property
    def _blob_names(self) -> list[str]: ...
    @property
    def inputs(self) -> list[str]: ...
    @property
    def outputs(self) -> list[str]: ...
    @property
    def layers(self) -> list[Any]: ...
    @property
    def layer_dict(self) -> Mapping[str, Any]: ...
    def _forward(self, start: int, end: int) -> float: ...
    def _backward(self, start: int, end: int) -> None: ...


class _Solver(Protocol):
    iter: int
    param: Any


class RareNetNames(EarlierNetNames, DeconvnetNames):
    """``forward_simple``, ``backward_simple``, ``_blob_names_index`` are of dosovits/caffe-fr-chairs, whose
    scripts train several nets in turns."""

    @property
    def _input_list(self: _Net) -> list[str]:
        return self.inputs

    @property
    def _output_list(self: _Net) -> list[str]:
        return self.outputs

    def forward_simple(self: _Net) -> None:
        """Run all layers on what the blobs hold."""
        self._forward(0, len(self.layers) - 1)

    def backward_simple(self: _Net) -> None:
        """Run all layers backward from what the diffs hold."""
        self._backward(len(self.layers) - 1, 0)

    @property
    def layers_dict(self: _Net) -> Mapping[str, Any]:
        """``layer_dict``, as naibaf7/caffe calls it."""
        return self.layer_dict

    def add_nccl(self, nccl: Any) -> None:
        """Exchange gradients layer by layer: nothing, for one solver."""

    @property
    def _blob_names_index(self: _Net) -> dict[str, int]:
        return {name: index for index, name in enumerate(self._blob_names)}


class RareSolverNames:
    """``increment_iter`` is of dosovits/caffe-fr-chairs, ``set_iter`` of forks that resume in Python,
    ``max_iter`` of naibaf7/caffe, ``get_base_lr`` and ``set_base_lr`` of gnina/caffe."""

    @property
    def max_iter(self: _Solver) -> int:
        return int(self.param.max_iter)

    def increment_iter(self: _Solver) -> None:
        """Count an iteration, where a script runs the passes and ``apply_update`` itself."""
        self.iter += 1

    def set_iter(self: _Solver, iter: int) -> None:
        """Go on as after ``iter`` iterations."""
        self.iter = int(iter)

    def get_base_lr(self: _Solver) -> float:
        return float(self.param.base_lr)

    def set_base_lr(self: _Solver, base_lr: float) -> None:
        """The rate from which the policy computes, from the next iteration on; snapshots do not keep it."""
        self.param.base_lr = float(base_lr)
