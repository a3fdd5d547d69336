"""The grey of a colour PNG, by the rule of libpng 1.6, which converts where the file says how.

OpenCV leaves the conversion to libpng (``png_set_rgb_to_gray`` with 0.299 and 0.587). If the file
declares its gamma - by a gAMA or sRGB chunk, or by an ICC profile that libpng knows for sRGB -
libpng mixes the channels in linear light: many levels away from the plain mixture. The newest
releases (1.6.58 inside OpenCV 5.0) no longer look at ICC profiles, so the rule is written out here
to be the same everywhere. A PNG of 16 bits a channel is left to the libpng at hand.
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from vggrepro.data.png import SIGNATURE, chunks

_SRGB_GAMMA = 45455  # 1/2.2, in libpng's units of 1/100000
_INSIGNIFICANT = range(95_000, 105_001)
_COLOUR_TYPES = {2, 3, 6}  # RGB, palette, RGBA

_RED, _GREEN = 29_900 * 32_768 // 100_000, 58_700 * 32_768 // 100_000
_BLUE = 32_768 - _RED - _GREEN

_SRGB_PROFILES = {
    # (length, Adler-32, CRC-32) of the ICC profiles that libpng's png.c takes for sRGB.
    (3048, 0x0A3FD9F6, 0x3B8772B9),
    (3052, 0x4909E5E1, 0x427EBB21),
    (60988, 0xFD2144A1, 0x306FD8AE),
    (60960, 0x209C35D2, 0xBBEF7812),
    (3024, 0xA054D762, 0x5D5129CE),
    (3144, 0xF784F3FB, 0x182EA552),
    (3144, 0x0398F3FC, 0xF29E526D),
}
_LONGEST_PROFILE = max(length for length, _, _ in _SRGB_PROFILES)


def declared_gamma(data: bytes) -> int | None:
    """The file's gamma times 100000, if it is a colour PNG of 8 bits that libpng mixes in linear light."""
    if not data.startswith(SIGNATURE):
        return None
    gamma = None
    for kind, body, _ in chunks(data):
        if kind == b"IDAT":
            break
        if kind == b"IHDR" and (len(body) < 10 or body[8] > 8 or body[9] not in _COLOUR_TYPES):
            return None
        if kind == b"sRGB" or (kind == b"iCCP" and _is_srgb(bytes(body))):
            return _SRGB_GAMMA
        if kind == b"gAMA" and len(body) == 4:
            gamma = int.from_bytes(body, "big")
    return None if not gamma or gamma in _INSIGNIFICANT else gamma


def grey_of_colours(bgr: npt.NDArray[np.uint8], gamma: int) -> npt.NDArray[np.uint8]:
    """Mix (H, W, 3) to (H, W) in linear light, with libpng's 8-bit tables and 15-bit weights.

    A pixel of three equal channels keeps its value, which the tables alone would not promise.
    """
    to_linear = _table(_reciprocal(gamma))
    from_linear = _table(_reciprocal(_reciprocal(gamma)))
    linear = to_linear[bgr].astype(np.int32)  # H W 3
    mixed = (_RED * linear[..., 2] + _GREEN * linear[..., 1] + _BLUE * linear[..., 0] + 16_384) >> 15  # H W
    equal = (bgr[..., 0] == bgr[..., 1]) & (bgr[..., 1] == bgr[..., 2])
    return np.where(equal, bgr[..., 0], from_linear[mixed])


def _table(exponent: int) -> npt.NDArray[np.uint8]:
    values = np.arange(256) / 255.0
    if exponent in _INSIGNIFICANT:
        return np.arange(256, dtype=np.uint8)
    return np.floor(255 * values ** (exponent * 0.00001) + 0.5).astype(np.uint8)


def _reciprocal(gamma: int) -> int:
    return int(1e10 / gamma + 0.5)


def _is_srgb(body: bytes) -> bool:
    _, _, packed = body.partition(b"\0")
    try:
        # After the byte that names the compression; a longer profile is none of those known.
        profile = zlib.decompressobj().decompress(packed[1:], _LONGEST_PROFILE + 1)
    except zlib.error:
        return False
    return (len(profile), zlib.adler32(profile), zlib.crc32(profile)) in _SRGB_PROFILES
