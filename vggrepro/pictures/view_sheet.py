"""What the test protocols of section 3.2 see of an image: whole images, and crops as frames."""

from __future__ import annotations

from collections.abc import Sequence

from vggrepro.data.decode import Pixels
from vggrepro.data.opencv import opencv
from vggrepro.data.preprocess import Offset
from vggrepro.evaluation.measuring.rescaled_image import RescaledImage, offsets
from vggrepro.evaluation.protocols import Member, Stream, stream_shares
from vggrepro.pictures.sheet import Panel, Sheet, sheet

FRAMES = ((0, 159, 230), (233, 180, 86), (115, 158, 0), (66, 228, 240), (167, 121, 204))
"""The colours of frames, one after the other, B, G, R: five that people with any colour vision tell apart
(Okabe and Ito's)."""

_SHOWN = {
    "dense": "whole images, mirrored too",
    "multicrop": "5 x 5 crops, mirrored too",
    "tencrop": "corners and centre, mirrored too",
    "centre": "the crop in its frame, and alone",
}


def view_sheet(image: RescaledImage, crop: int) -> Sheet:
    """A panel for each protocol, with a tile for each scale and for its mirror image.

    The views are those that an evaluation cuts: of ``dense`` the view itself, of the others the image with a
    frame on the outermost pixels of each crop of ``crop`` x ``crop``, later ones above; for ``centre`` the
    crops themselves follow. Raises DataError where an image is smaller than the crop.
    """
    return sheet([_panel(image, crop, protocol) for protocol in _SHOWN])


def _panel(image: RescaledImage, crop: int, protocol: str) -> Panel:
    member = Member("net", protocol, tuple(image.pixels), flip=protocol != "centre")
    streams = sorted(stream_shares([member]))
    if protocol == "dense":
        tiles = [image.view(stream, 0, crop) for stream in streams]
    else:
        tiles = [framed_views(image, stream, crop) for stream in streams]
    if protocol == "centre":
        tiles += [image.view(stream, 0, crop) for stream in streams]
    count = f"{member.view_count} view{'s' if member.view_count > 1 else ''}"
    return Panel(f"{protocol}: {_SHOWN[protocol]}; Q = {_numbers(member.scales)}; {count}", tuple(tiles))


def framed_views(image: RescaledImage, stream: Stream, crop: int) -> Pixels:
    """The image of a stream of crops, mirrored if the stream is, with a frame for each of its views."""
    pixels = image.pixels[stream.scale]
    found: Sequence[Offset] = offsets(stream.view_kind, pixels, crop, image.centre)
    if stream.flip:
        found = [(top, pixels.shape[1] - crop - left) for top, left in found]
        pixels = pixels[:, ::-1]
    drawn: Pixels = pixels.copy(order="C")
    for number, (top, left) in enumerate(found):
        colour = FRAMES[number % len(FRAMES)]
        opencv().rectangle(drawn, (left, top), (left + crop - 1, top + crop - 1), colour, 1)
    return drawn


def _numbers(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))
