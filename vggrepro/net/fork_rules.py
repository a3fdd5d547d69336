"""``ForkRules``: how a definition is read that was written for a fork of Caffe, or leaves shapes open."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from operator import index
from pathlib import Path
from typing import Any, SupportsIndex

from vggrepro.caffe.messages import LayerParameter, NetParameter
from vggrepro.caffe.proto_file import read_schema
from vggrepro.caffe.text import read_net
from vggrepro.caffe.unknown_layers import PartlyKnownNet, read_partly_known_net
from vggrepro.caffe.weights import SavedLayer
from vggrepro.emit import Shape
from vggrepro.errors import NetError, UnknownFieldError
from vggrepro.layers.base import AnyLayer
from vggrepro.net.custom import custom_layers
from vggrepro.net.forks import with_defaults
from vggrepro.net.kinds import has_own_fields, is_known
from vggrepro.net.own_schema import is_from_outside, own_schema_layers
from vggrepro.system.file_digest import file_sha256

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class ForkRules:
    """What :func:`vggrepro.load_net` says of its arguments of these names. Wherever a net is read, these
    rules are asked. Raises NetError for ``custom_shapes`` without ``allow_custom``, and for sizes that are no
    whole numbers."""

    input_shapes: Mapping[str, Shape] = field(default_factory=dict)
    allow_unknown: bool = False
    allow_custom: bool = False
    custom_shapes: Mapping[str, Shape] = field(default_factory=dict)
    fork: str | None = None
    proto: PathLike | None = None

    def __post_init__(self) -> None:
        for name in ("input_shapes", "custom_shapes"):
            object.__setattr__(self, name, _whole(getattr(self, name), name))
        if self.custom_shapes and not self.allow_custom:
            raise NetError(f"custom shape of {min(self.custom_shapes)!r}: given without allow_custom")

    def facts(self) -> dict[str, Any]:
        """The rules that are not those of BVLC Caffe's files, ready for JSON: what a net depends on besides
        its files. Raises OSError."""
        given = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name)}
        for name in given.keys() & {"input_shapes", "custom_shapes"}:
            given[name] = {blob: list(shape) for blob, shape in given[name].items()}
        if self.proto is not None:
            given["proto"] = file_sha256(Path(self.proto))
        return {"fork_rules": given} if given else {}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any], proto: PathLike | None) -> ForkRules:
        """The rules of :meth:`facts`, with a schema where it is now. Raises NetError for what are none."""
        try:
            given = dict(facts.get("fork_rules", {}))
            if given.pop("proto", None) is None:
                proto = None
            for name in given.keys() & {"input_shapes", "custom_shapes"}:
                given[name] = {blob: tuple(map(int, shape)) for blob, shape in given[name].items()}
            return cls(**given, proto=proto)
        except (TypeError, ValueError, AttributeError) as error:
            raise NetError(f"rules for definitions of forks: {error}") from None

    def read(self, source: PathLike) -> PartlyKnownNet:
        """A net as it was written. Data layers of forks and layers of unknown types may have fields of their
        own: who builds the net names the types, if it has such layers in its phase. So may layers from
        outside where there is a schema of their own. Raises ParseError."""
        try:
            if not (self.allow_unknown or self.make_layers):
                return PartlyKnownNet(read_net(source), {})
        except UnknownFieldError:
            pass
        try:
            return read_partly_known_net(source, self._has_own_fields, allow_unknown=self.allow_unknown)
        except UnknownFieldError as error:
            if error.harmless and not self.allow_unknown:
                raise error.with_advice("--allow-unknown (allow_unknown) leaves it out") from None
            raise

    def _has_own_fields(self, layer: LayerParameter) -> bool:
        own = not is_known(layer) or has_own_fields(layer)
        return own or (self.proto is not None and is_from_outside(layer))

    def with_defaults(self, message: NetParameter) -> NetParameter:
        """An upgraded net whose layers tell what they mean in the fork (:mod:`vggrepro.net.forks`)."""
        return with_defaults(message, self.fork)

    @property
    def make_layers(self) -> bool:
        """Whether :meth:`layers` may find any."""
        return self.allow_custom or self.proto is not None

    def layers(
        self,
        message: NetParameter,
        written: PartlyKnownNet,
        phase: str,
        saved: Sequence[SavedLayer] = (),
    ) -> dict[str, AnyLayer]:
        """The layers of an upgraded and filtered net that the catalogue does not make, by name: custom nodes,
        and those whose parameters are fields of the user's own schema. ``saved`` tells which blobs custom
        ones have. Raises NetError, ParseError."""
        found: dict[str, AnyLayer] = {}
        if self.allow_custom:
            found.update(custom_layers(message, written, self.custom_shapes, saved))
        if self.proto is not None:
            found.update(own_schema_layers(message, written, read_schema(self.proto), phase))
        return found

    def for_net(self, message: NetParameter) -> ForkRules:
        """The same rules without shapes of tops that a net lacks: those of another phase."""
        tops = {top for layer in message.layer for top in layer.top}
        shapes = {top: shape for top, shape in self.custom_shapes.items() if top in tops}
        return replace(self, custom_shapes=shapes)


def _whole(shapes: Mapping[str, Iterable[SupportsIndex]], argument: str) -> dict[str, Shape]:
    """Shapes by name, of Python's own numbers."""
    found = {}
    for name, shape in shapes.items():
        try:
            found[name] = tuple(map(index, shape))
        except TypeError:
            problem = f"{argument}: {name!r}: expected whole numbers, got {shape!r}"
            raise NetError(problem) from None
    return found


BVLC = ForkRules()
"""The rules for definitions of BVLC Caffe: nothing unknown is allowed."""
