"""Images and the pictures of their labels, in the order of a list: what the layers of SegNet, DeepLab and HED
read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from vggrepro.data.choices import Exif
from vggrepro.data.decode import Pixels
from vggrepro.data.feeds.base import DataLayer
from vggrepro.data.sources import FolderSource
from vggrepro.errors import DataError


@dataclass(frozen=True)
class ImagePairs:
    """The files of ``images``, read with three channels or with ``is_color`` false with one, and of
    ``pictures`` of their labels, read with one. A file that ends early is read as far as it goes, with a
    warning."""

    images: FolderSource
    pictures: FolderSource
    is_color: bool
    exif: Exif
    max_pixels: int

    @classmethod
    def from_param(cls, data: Any, entries: Iterable[tuple[str, str]], layer: DataLayer) -> ImagePairs:
        """The pairs of names ``entries``, behind the ``root_folder`` of the parameter ``data``, from the
        layer's folder."""
        # Caffe joins the strings without a separator, so root_folder may be the beginning of a name.
        images, pictures = (
            FolderSource(layer.folder, tuple(data.root_folder + name for name in side))
            for side in zip(*entries, strict=True)
        )
        return cls(images, pictures, data.is_color, layer.exif, layer.max_pixels)

    def image(self, index: int) -> Pixels:
        """An image (H, W, C). Raises DataError if it cannot be decoded."""
        return self._read(self.images, index, grey=not self.is_color)

    def picture(self, index: int) -> Pixels:
        """The picture of an image's labels (H, W, 1). Raises DataError if it cannot be decoded."""
        return self._read(self.pictures, index, grey=True)

    def check_sizes(self, index: int, image: Pixels, labels: Pixels) -> None:
        """Raise DataError unless an image (H, W, C) and its labels (H, W, 1) have one height and width."""
        if image.shape[:2] != labels.shape[:2]:
            raise DataError(
                f"{self.pictures.place(index)}: Input and label image heights and widths must match:"
                f" {image.shape[:2]} and {labels.shape[:2]}"
            )

    def _read(self, source: FolderSource, index: int, *, grey: bool) -> Pixels:
        decoded = source.decoded(index, grey=grey, exif=self.exif, max_pixels=self.max_pixels)
        return decoded.warned(source.place(index))
