"""``net.layers[i]`` of Caffe's own layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vggrepro.errors import PycaffeError
from vggrepro.pycaffe.blob import Blob, BlobVec
from vggrepro.pycaffe.errors import as_runtime_error
from vggrepro.pycaffe.site import Site


class LayerParam:
    """A ``LayerParameter`` with the methods by which naibaf7/caffe reads its bottoms and tops."""

    def __init__(self, message: Any) -> None:
        self._message = message
        self.bottom_size = len(message.bottom)
        self.top_size = len(message.top)

    def get_bottom(self, index: int) -> str:
        return str(self._message.bottom[index])

    def get_top(self, index: int) -> str:
        return str(self._message.top[index])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._message, name)


class NativeLayer:
    """One of Caffe's own layers: its type and its parameters. ``site`` is not part of Caffe's module."""

    def __init__(self, site: Site) -> None:
        self.site = site

    @property
    def type(self) -> str:
        return self.site.type

    @property
    def blobs(self) -> BlobVec:
        return self.site.blobs

    @property
    def layer_param(self) -> LayerParam:
        """The layer's definition, of naibaf7/caffe."""
        return LayerParam(self.site.message)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Done when the net was made; gives the tops their shapes again."""
        self.reshape(bottom, top)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Give the tops the shapes that follow from the bottoms'. Raises RuntimeError for other blobs than
        the layer's own."""
        own = [*self.site.bottoms, *self.site.tops]
        if [id(blob) for blob in (*bottom, *top)] != [id(blob) for blob in own]:
            raise PycaffeError(f"layer {self.site.name!r}: reshape takes the layer's own bottoms and tops")
        with as_runtime_error():
            self.site.reshape()
