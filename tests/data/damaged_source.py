"""Images of another source, some of them damaged."""

from vggrepro.data.sources import Source


class Damaged(Source):
    """The demo's images, some of them damaged."""

    def __init__(self, base: Source, unreadable: set[int], truncated: set[int]) -> None:
        self.base, self.unreadable, self.cut = base, unreadable, truncated

    @property
    def name(self) -> str:
        return "damaged"

    def __len__(self) -> int:
        return len(self.base)

    def key(self, index: int) -> str:
        return self.base.key(index)

    def label(self, index: int) -> int | None:
        return self.base.label(index)

    def read(self, index: int) -> bytes:
        data = self.base.read(index)
        assert isinstance(data, bytes)
        if index in self.unreadable:
            return b"damaged"
        return data[: len(data) * 3 // 4] if index in self.cut else data
