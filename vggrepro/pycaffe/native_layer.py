"""``net.layers[i]`` of Caffe's own layers."""

from __future__ import annotations

from collections.abc import Sequence

from vggrepro.errors import PycaffeError
from vggrepro.pycaffe.blob import Blob, BlobVec
from vggrepro.pycaffe.errors import as_runtime_error
from vggrepro.pycaffe.site import Site


class NativeLayer:
    """One of Caffe's own layers: its type and its parameters."""

    def __init__(self, site: Site) -> None:
        self._site = site

    @property
    def type(self) -> str:
        return self._site.type

    @property
    def blobs(self) -> BlobVec:
        return self._site.blobs

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Done when the net was made; gives the tops their shapes again."""
        self.reshape(bottom, top)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Give the tops the shapes that follow from the bottoms'. Raises RuntimeError for other blobs than
        the layer's own."""
        own = [*self._site.bottoms, *self._site.tops]
        if [id(blob) for blob in (*bottom, *top)] != [id(blob) for blob in own]:
            raise PycaffeError(f"layer {self._site.name!r}: reshape takes the layer's own bottoms and tops")
        with as_runtime_error():
            self._site.reshape()
