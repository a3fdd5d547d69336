"""Nets written in Python: ``NetSpec``, ``layers`` (L), ``params`` (P) and ``to_proto``.

``L.Convolution(bottom, num_output=10)`` gives a :class:`Top`; tops that are assigned to attributes of a
``NetSpec`` get their names.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Any

from vggrepro.pycaffe.proto import caffe_pb2

Layers_ = OrderedDict["Function", Any]
Names = dict[Any, str]


def param_name_dict() -> dict[str, str]:
    """The field of a layer's own parameters without ``_param``, by layer type: Convolution, convolution."""
    fields = [f for f in caffe_pb2.LayerParameter.DESCRIPTOR.fields if f.name.endswith("_param")]
    return {
        f.message_type.name.removesuffix("Parameter"): f.name.removesuffix("_param")
        for f in fields
        if f.message_type is not None
    }


_param_names = param_name_dict()


def to_proto(*tops: Top) -> Any:
    """A ``NetParameter`` with all layers that these tops need; names that are not given are made up."""
    layers: Layers_ = OrderedDict()
    names: Names = {}
    autonames: Counter[str] = Counter()
    for top in tops:
        top.fn._to_proto(layers, names, autonames)
    return _net(layers)


def assign_proto(proto: Any, name: str, val: Any) -> None:
    """Set a field from Python values: a list (or a single value) fills a repeated field, a dict a message.
    None leaves it unset, as in the forks of LRCN.

    Raises AttributeError for a field that the message does not have.
    """
    field = getattr(proto, name)
    if val is None:
        return
    if hasattr(field, "extend"):
        values = list(val) if isinstance(val, (list, tuple)) else [val]
        for value in values:
            if isinstance(value, Mapping):
                _assign_all(field.add(), value)
            else:
                field.append(value)
    elif isinstance(val, Mapping):
        _assign_all(field, val)
    else:
        setattr(proto, name, val)


def _assign_all(message: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        assign_proto(message, name, value)


class Top:
    """One output of a layer: ``fn`` is the :class:`Function` that makes it, ``n`` its number there."""

    def __init__(self, fn: Function, n: int) -> None:
        self.fn = fn
        self.n = n

    def to_proto(self) -> Any:
        """A ``NetParameter`` with all layers that this top needs."""
        return to_proto(self)

    def _update(self, params: Mapping[str, Any]) -> None:
        self.fn._update(params)

    def _to_proto(self, layers: Layers_, names: Names, autonames: Counter[str]) -> None:
        self.fn._to_proto(layers, names, autonames)


class Function:
    """A layer with its inputs (tops of others) and its parameters. Raises TypeError for an input that is
    no :class:`Top`."""

    def __init__(self, type_name: str, inputs: tuple[Any, ...], params: Mapping[str, Any]) -> None:
        self.type_name = type_name
        for index, given in enumerate(inputs):
            if not isinstance(given, Top):
                raise TypeError(f"{type_name} input {index} is not a Top (type is {type(given)})")
        self.inputs: tuple[Top, ...] = inputs
        self.params = dict(params)
        self.ntop = int(self.params.pop("ntop", 1))
        self.in_place = bool(self.params.pop("in_place", False))
        self.tops = tuple(Top(self, n) for n in range(self.ntop))

    def _get_name(self, names: Names, autonames: Counter[str]) -> str:
        if self not in names:
            names[self] = (
                self._get_top_name(self.tops[0], names, autonames)
                if self.ntop > 0
                else _made_up(self.type_name, autonames)
            )
        return names[self]

    def _get_top_name(self, top: Top, names: Names, autonames: Counter[str]) -> str:
        if top not in names:
            names[top] = _made_up(top.fn.type_name, autonames)
        return names[top]

    def _update(self, params: Mapping[str, Any]) -> None:
        self.params.update(params)

    def _to_proto(self, layers: Layers_, names: Names, autonames: Counter[str]) -> None:
        if self in layers:
            return
        bottoms = []
        for given in self.inputs:
            given._to_proto(layers, names, autonames)
            bottoms.append(layers[given.fn].top[given.n])
        layer = caffe_pb2.LayerParameter(type=self.type_name, bottom=bottoms)
        if self.in_place:
            layer.top.extend(bottoms)
        else:
            layer.top.extend(self._get_top_name(top, names, autonames) for top in self.tops)
        layer.name = self._get_name(names, autonames)
        for key, value in self.params.items():
            self._assign(layer, key, value)
        layers[self] = layer

    def _assign(self, layer: Any, key: str, value: Any) -> None:
        """A field of the layer's own parameters if they have it, else of the layer itself."""
        field = f"{_param_names.get(self.type_name, '')}_param"
        own = getattr(layer, field, None)
        if not key.endswith("param") and own is not None and key in own.DESCRIPTOR.fields_by_name:
            assign_proto(own, key, value)
        else:
            assign_proto(layer, key, value)


class MissingTopError(KeyError, AttributeError):
    """A top that a ``NetSpec`` lacks: for ``hasattr``, which in Python 2 took every error, and for Caffe's
    KeyError."""


class NetSpec:
    """A net as attributes: ``n.conv1 = L.Convolution(n.data, ...)`` names the top and its layer ``conv1``."""

    tops: OrderedDict[str, Any]

    def __init__(self) -> None:
        super().__setattr__("tops", OrderedDict())

    def __setattr__(self, name: str, value: Any) -> None:
        self.tops[name] = value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in self.tops:
            raise MissingTopError(name)
        return self.tops[name]

    def __setitem__(self, key: str, value: Any) -> None:
        self.__setattr__(key, value)

    def __getitem__(self, item: str) -> Any:
        return self.__getattr__(item)

    def __delitem__(self, name: str) -> None:
        del self.tops[name]

    def keys(self) -> list[str]:
        return list(self.tops)

    def vals(self) -> list[Any]:
        return list(self.tops.values())

    def update(self, name: str, params: Mapping[str, Any]) -> None:
        """Change parameters of the layer that makes a top."""
        self.tops[name]._update(params)

    def to_proto(self) -> Any:
        """A ``NetParameter`` with all layers that the assigned tops need."""
        names: Names = {top: name for name, top in self.tops.items()}
        autonames: Counter[str] = Counter()
        layers: Layers_ = OrderedDict()
        for top in self.tops.values():
            top._to_proto(layers, names, autonames)
        return _net(layers)


class Layers:
    """``layers.<Type>(*bottoms, **params)`` makes a layer: its top, a tuple of its tops (``ntop=2``), or with
    ``ntop=0`` the :class:`Function` itself."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def layer_fn(*args: Top, **kwargs: Any) -> Any:
            function = Function(name, args, kwargs)
            return {0: function, 1: function.tops[:1] and function.tops[0]}.get(function.ntop, function.tops)

        return layer_fn


class Parameters:
    """``params.Pooling.MAX``: the enum values of a layer's parameters."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(caffe_pb2, f"{name}Parameter")


def _made_up(type_name: str, autonames: Counter[str]) -> str:
    autonames[type_name] += 1
    return f"{type_name}{autonames[type_name]}"


def _net(layers: Layers_) -> Any:
    return caffe_pb2.NetParameter(layer=layers.values())


layers = Layers()
params = Parameters()
