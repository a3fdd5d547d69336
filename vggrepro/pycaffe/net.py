"""``Net``: Caffe's net, as scripts use it."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.hdf5 import is_hdf5
from vggrepro.caffe.messages import TEST, TRAIN
from vggrepro.caffe.snapshot import write_caffemodel, write_caffemodel_hdf5
from vggrepro.errors import PycaffeError
from vggrepro.layers.registry import set_up_definition
from vggrepro.net import Net as Rules
from vggrepro.pycaffe import glog, mode, parameters
from vggrepro.pycaffe.batches import Arrays, common_length, in_batches, without_padding
from vggrepro.pycaffe.blob import Blob, BlobVec, Floats, IntVec
from vggrepro.pycaffe.debug_info import DebugInfo
from vggrepro.pycaffe.deconvnet import way_back
from vggrepro.pycaffe.definition import Definition, define, read_message
from vggrepro.pycaffe.errors import as_runtime_error, check_file, place_of
from vggrepro.pycaffe.hosts import InputHost
from vggrepro.pycaffe.memory_data import MemoryDataNames
from vggrepro.pycaffe.native_layer import NativeLayer
from vggrepro.pycaffe.passes import Passes
from vggrepro.pycaffe.python_layer import PythonRules
from vggrepro.pycaffe.rare_names import RareNetNames

PathLike = str | bytes | os.PathLike[str]


class Net(RareNetNames, MemoryDataNames):
    """``Net(network_file, phase, level=0, stages=None, weights=None)``, or as before Caffe 1.0
    ``Net(network_file, weights, phase)`` and ``Net(network_file)``, where the phase is ``set_phase_test``'s.

    ``phase`` is ``caffe.TRAIN`` or ``caffe.TEST``. ``allow_python_layers`` (not Caffe's) lets this net import
    the modules of its Python layers; without it, what :func:`vggrepro.pycaffe.install` allowed counts.
    Raises RuntimeError where Caffe would stop.
    """

    layers: list[Any]

    def __init__(
        self,
        network_file: PathLike,
        phase: int | PathLike | None = None,
        level: int | None = None,
        stages: Sequence[str] | None = None,
        weights: PathLike | None = None,
        *,
        allow_python_layers: bool | None = None,
    ) -> None:
        path = os.fsdecode(network_file)
        if not isinstance(phase, (int, np.integer)):  # Net(network_file, weights, phase)
            weights, phase, level = phase or weights, mode.default_phase() if level is None else level, 0
            glog.warning("DEPRECATION WARNING - deprecated use of Python interface")
            glog.warning(f"Use Net('{path}', {phase}, weights={weights and os.fsdecode(weights)!r})")
        level = level or 0
        files = [os.fsdecode(weights)] if weights is not None else []
        for file in (path, *files):
            check_file(file)
        if phase not in (TRAIN, TEST):
            raise PycaffeError(f"{path}: phase must be caffe.TRAIN (0) or caffe.TEST (1), got {phase!r}")
        options = {"level": level, "stages": stages, "allow_python_layers": allow_python_layers}
        self._made_of = {"network_file": path, **options}
        with as_runtime_error():
            message, custom = read_message(path, int(phase), level, stages or ())
            self._set_up(
                define(
                    message,
                    int(phase),
                    seed=mode.draw_seed(),
                    folder=Path(path).parent,
                    weights=[file for file in files if parameters.has_any(file)],
                    allow_python=allow_python_layers,
                    custom=custom,
                )
            )

    @classmethod
    def from_definition(cls, definition: Definition) -> Net:
        """A net of what was read already, for solvers."""
        net = cls.__new__(cls)
        net._set_up(definition)
        return net

    def _set_up(self, definition: Definition) -> None:
        self._definition = definition
        self._sites = definition.sites
        phase = TRAIN if definition.rules.phase == "TRAIN" else TEST
        learns = phase == TRAIN or bool(definition.message.force_backward)
        self._passes = Passes(definition, learns=learns)
        self._debug_info = DebugInfo(self._sites, self._passes, bool(definition.message.debug_info))
        self.blobs: OrderedDict[str, Blob] = OrderedDict(definition.blobs)
        layers = [
            s.layer.instance if isinstance(s.layer, PythonRules) else NativeLayer(s) for s in self._sites
        ]
        vars(self)["layers"] = layers  # classes of scripts have properties of this name
        self._layer_names = [site.name for site in self._sites]
        self.layer_dict: OrderedDict[str, Any] = OrderedDict(zip(self._layer_names, layers, strict=True))
        self.params: OrderedDict[str, BlobVec] = OrderedDict(
            (site.name, site.blobs) for site in self._sites if site.blobs
        )
        self.inputs = [
            top.name for site in self._sites if isinstance(site.host, InputHost) for top in site.tops
        ]
        self.outputs = list(definition.outputs)
        self.top_names = OrderedDict((s.name, [b.name for b in s.tops]) for s in self._sites)
        self.bottom_names = OrderedDict((s.name, [b.name for b in s.bottoms]) for s in self._sites)
        for site in self._sites:
            if site.type == "DummyData" and site.host is not None:
                site.host.forward(site)

    @property
    def rules(self) -> Rules:
        """The net's layers and wiring, without parameters. Not part of Caffe's module."""
        return self._definition.rules

    def array(self, name: str) -> Floats:
        """A blob's data for reading. Not part of Caffe's module."""
        blob = self.blobs[name]
        return blob.net_data

    @property
    def _blob_names(self) -> list[str]:
        return list(self.blobs)

    @property
    def _blobs(self) -> BlobVec:
        return BlobVec(self.blobs.values())

    @property
    def _inputs(self) -> IntVec:
        return IntVec(self._blob_names.index(name) for name in self.inputs)

    @property
    def _outputs(self) -> IntVec:
        return IntVec(self._blob_names.index(name) for name in self.outputs)

    @property
    def _blob_loss_weights(self) -> list[float]:
        return list(self.blob_loss_weights.values())

    def _top_ids(self, index: int) -> IntVec:
        return IntVec(self._blob_names.index(top.name) for top in self._sites[index].tops)

    def _bottom_ids(self, index: int) -> IntVec:
        return IntVec(self._blob_names.index(bottom.name) for bottom in self._sites[index].bottoms)

    @property
    def blob_loss_weights(self) -> OrderedDict[str, float]:
        """The loss weight of every blob, 0 for most."""
        weights = OrderedDict.fromkeys(self.blobs, 0.0)
        for site in self._sites:
            weights.update(zip((top.name for top in site.tops), site.loss_weights, strict=True))
        return weights

    def forward(
        self,
        blobs: Sequence[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        **kwargs: npt.NDArray[Any],
    ) -> Arrays:
        """Run the layers from ``start`` to ``end`` (default: all). Keyword arguments are the inputs' arrays;
        without them the inputs are what the blobs hold. Returns the arrays of the outputs (with ``end``: of
        that layer's tops) and of ``blobs``: the net's own memory, which the next pass writes again."""
        first = place_of(start, self._layer_names, 0)
        last = place_of(end, self._layer_names, len(self._layer_names) - 1)
        wanted = [*(self.top_names[end] if end is not None else self.outputs), *(blobs or ())]
        if kwargs:
            self._fill(kwargs, self.inputs, "Input blob arguments do not match net inputs.", "Input", "data")
        self._forward(first, last)
        return {name: self.blobs[name].data for name in wanted}

    def backward(
        self,
        diffs: Sequence[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        **kwargs: npt.NDArray[Any],
    ) -> Arrays:
        """Run the layers backward from ``start`` to ``end`` (default: all). Keyword arguments are the
        outputs' diffs. Returns the diffs of the inputs (with ``end``: of that layer's bottoms) and of
        ``diffs``."""
        first, last, wanted = way_back(self, diffs, start, end)
        if kwargs:
            self._fill(kwargs, self.outputs, "Top diff arguments do not match net outputs.", "Diff", "diff")
        self._backward(first, last)
        return {name: self.blobs[name].diff for name in wanted}

    def _fill(
        self, given: Mapping[str, npt.NDArray[Any]], names: Sequence[str], problem: str, what: str, kind: str
    ) -> None:
        if set(given) != set(names):
            raise PycaffeError(f"{problem} (got {sorted(given)}, the net has {list(names)})")
        for name, array in given.items():
            blob = self.blobs[name]
            if array.shape[0] != blob.shape[0]:
                raise PycaffeError(
                    f"{what} is not batch sized (blob {name!r}: {array.shape} for {blob.dims})"
                )
            getattr(blob, kind)[...] = array

    def _forward(self, start: int, end: int) -> float:
        """Run the layers from ``start`` to ``end`` by number, and return the sum of losses times weights."""
        with as_runtime_error():
            self._passes.forward(start, end)
        return sum(
            float(np.vdot(top.net_data, top.net_diff))
            for site in self._sites[start : end + 1]
            for top, weight in zip(site.tops, site.loss_weights, strict=True)
            if weight != 0
        )

    def _backward(self, start: int, end: int) -> None:
        with as_runtime_error():
            self._passes.backward(start, end)

    def forward_all(self, blobs: Sequence[str] | None = None, **kwargs: npt.NDArray[Any]) -> Arrays:
        """Forward passes over inputs of any number, in batches of the net's size; the last one is padded with
        zeros, and what comes of them is left out."""
        count = common_length(kwargs)
        found: dict[str, list[Floats]] = {name: [] for name in [*self.outputs, *(blobs or ())]}
        for batch in self._batch(kwargs):
            for name, array in self.forward(blobs, None, None, **batch).items():
                found[name].extend(array.copy())
        return without_padding(found, count)

    def forward_backward_all(
        self,
        blobs: Sequence[str] | None = None,
        diffs: Sequence[str] | None = None,
        **kwargs: npt.NDArray[Any],
    ) -> tuple[Arrays, Arrays]:
        """Forward and backward passes in batches: keyword arguments are inputs and diffs of outputs."""
        count = common_length(kwargs)
        outs: dict[str, list[Floats]] = {name: [] for name in [*self.outputs, *(blobs or ())]}
        grads: dict[str, list[Floats]] = {name: [] for name in [*self.inputs, *(diffs or ())]}
        forwards = self._batch({name: kwargs[name] for name in self.inputs if name in kwargs})
        backwards = self._batch({name: kwargs[name] for name in self.outputs if name in kwargs})
        nothing: Arrays = {}
        for inputs, tops in zip_longest(forwards, backwards, fillvalue=nothing):
            for name, array in self.forward(blobs, None, None, **inputs).items():
                outs[name].extend(array.copy())
            for name, array in self.backward(diffs, None, None, **tops).items():
                grads[name].extend(array.copy())
        return without_padding(outs, count), without_padding(grads, count)

    def _batch(self, blobs: Mapping[str, npt.NDArray[Any]]) -> Iterator[Arrays]:
        return in_batches(blobs, next(iter(self.blobs.values())).num)

    def reshape(self) -> None:
        """Give every blob the shape that follows from the inputs'."""
        with as_runtime_error():
            self._passes.reshape()

    def copy_from(self, trained_filename: PathLike, ignore_shape_mismatch: bool = False) -> None:
        """Copy parameters by layer name from a .caffemodel or .h5 file. With ``ignore_shape_mismatch``,
        which forks have, parameters whose shapes differ stay as they are."""
        path = os.fsdecode(trained_filename)
        parameters.copy_from(self.params, self.rules, path, misfits=ignore_shape_mismatch)

    def share_with(self, other: Net) -> None:
        """Use the other net's parameters, layer by layer of the same name: one memory for both."""
        if parameters.share(self.params, other.params):
            self._passes.forget()

    def save(self, filename: PathLike) -> None:
        """Write a .caffemodel, as Caffe does."""
        self._write(write_caffemodel, filename)

    def save_hdf5(self, filename: PathLike) -> None:
        """Write the parameters to an HDF5 file (extra ``hdf5``)."""
        self._write(write_caffemodel_hdf5, filename)

    def _write(self, write: Callable[..., None], filename: PathLike) -> None:
        arrays = parameters.arrays(self.params)
        with as_runtime_error():
            write(os.fsdecode(filename), self._definition.message, arrays, set_up_definition)

    def load_hdf5(self, filename: PathLike) -> None:
        """Copy parameters by layer name from an HDF5 file."""
        path = os.fsdecode(filename)
        check_file(path)
        if not is_hdf5(path):
            raise PycaffeError(f"{path}: not an HDF5 file")
        self.copy_from(path)

    def clear_param_diffs(self) -> None:
        """Set every parameter's diff to zero: backward passes add to it."""
        for blobs in self.params.values():
            for blob in blobs:
                blob.net_diff[...] = 0

    def before_forward(self, run: Callable[[int], Any]) -> None:
        """Call ``run(layer number)`` before every layer's forward pass. Layers then run one by one."""
        self._passes.before_forward.append(run)

    def after_forward(self, run: Callable[[int], Any]) -> None:
        self._passes.after_forward.append(run)

    def before_backward(self, run: Callable[[int], Any]) -> None:
        self._passes.before_backward.append(run)

    def after_backward(self, run: Callable[[int], Any] | mode.NCCL) -> None:
        if not isinstance(run, mode.NCCL):
            self._passes.after_backward.append(run)
