"""Every exception of the package.

A message is one line that names the file or layer, the place, what was got and what was expected;
command lines print it and exit with code 2. What a handler must tell apart is a class or an attribute,
never the text of a message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TypeVar

_Error = TypeVar("_Error", bound="VggReproError")


class VggReproError(Exception):
    """Base of every error that this package raises on purpose."""

    def within(self: _Error, place: str) -> _Error:
        """The same error with a place (a file, a layer) in front of its message; its attributes stay."""
        return self._saying(f"{place}: {self}")

    def with_advice(self: _Error, advice: str) -> _Error:
        """The same error with what the user can do behind its message; its attributes stay."""
        return self._saying(f"{self} ({advice})")

    def _saying(self: _Error, text: str) -> _Error:
        copy = type(self)(text)
        copy.__dict__.update(self.__dict__)
        return copy


@contextmanager
def naming(place: str) -> Iterator[None]:
    """Puts a place (a file, a layer) in front of the message of every error of this package raised inside."""
    try:
        yield
    except VggReproError as error:
        raise error.within(place) from error


def did_you_mean(name: str, names: Iterable[str], *, beginnings: bool = False) -> str:
    """The end of a message about a ``name`` that is none of the ``names`` there are: ``; did you mean 'x'?``
    with those that are close to it, or nothing. With ``beginnings`` those that begin with it are close."""
    there = list(dict.fromkeys(names))
    folded = [known for known in there if known.casefold() == name.casefold()]
    begun = [known for known in there if beginnings and name and known.startswith(name.casefold())]
    close = folded or begun or get_close_matches(name, there, n=2, cutoff=0.7)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""


MOST_NAMED = 3
"""How many names a message lists before it counts the others."""

MOST_CHARACTERS = 200
"""How long a list in a message may become: with the place in front, and what to do behind it, the message
stays within 300 characters."""


def some_of(names: Iterable[str], most: int = MOST_NAMED) -> str:
    """The first ``most`` of some names, and how many others there are: ``a, b, c and 4 more``."""
    there = list(names)
    more = f" and {len(there) - most} more" if len(there) > most else ""
    return ", ".join(there[:most]) + more


def within_length(parts: Iterable[str], most: int = MOST_CHARACTERS) -> str:
    """Parts of a message with ``; `` between them, as many as ``most`` characters hold (one at least), and
    how many others there are."""
    there = list(parts)
    kept = 1
    while kept < len(there) and len("; ".join(there[: kept + 1])) <= most:
        kept += 1
    more = [f"and {len(there) - kept} more"] if kept < len(there) else []
    return "; ".join([*there[:kept], *more])


class ParseError(VggReproError):
    """A file is not the prototxt, caffemodel or list that it should be."""


class UnknownFieldError(ParseError):
    """A text definition has a field that its message type does not have in Caffe."""

    def __init__(
        self,
        message: str,
        *,
        source: str = "",
        line: int = 0,
        column: int = 0,
        message_type: str = "",
        field: str = "",
        harmless: bool = False,
    ) -> None:
        super().__init__(message)
        self.source = source
        """The file."""
        self.line = line
        self.column = column
        """Where the field begins; line and column count from 1."""
        self.message_type = message_type
        """Full name of the type, as in ``caffe.LayerParameter``."""
        self.field = field
        self.harmless = harmless
        """Whether no number depends on it, so that who allows unknown fields may leave it out."""


class UpgradeError(VggReproError):
    """A model definition cannot be brought to the current format of Caffe."""


class UnsupportedError(VggReproError):
    """A layer type or parameter that exists but is not implemented; the message names all of them."""


class UnknownLayerError(UnsupportedError):
    """A net has layers of types that nobody has registered; ``types`` holds them, in the net's order."""

    def __init__(self, message: str, types: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.types = types


class RegistrationError(VggReproError):
    """A class that cannot be registered as a layer: incomplete, or of a type that exists."""


class NetError(VggReproError):
    """A net that Caffe would refuse: unknown bottoms, wrong shapes, wrong numbers of tops, cycles."""


class ShapeError(NetError):
    """A blob or parameter has a shape that a layer does not accept."""


class FixedShapeError(VggReproError):
    """A graph needs a size that was asked to stay symbolic."""


class WeightsError(VggReproError):
    """Weights are missing, or do not fit the net."""


class GradientError(VggReproError):
    """A gradient was asked for where no rule gives one."""


class DeviceError(VggReproError):
    """A device or execution provider that was asked for does not work."""


class DeviceMemoryError(DeviceError):
    """A GPU's memory is full."""


class DataError(VggReproError):
    """Images, labels or databases that cannot be used."""


class LabelError(DataError):
    """A label that a layer has no class for; ``row`` is its place along the first axis of its blob."""

    def __init__(self, message: str, row: int = 0) -> None:
        super().__init__(message)
        self.row = row


class ImageTooLargeError(DataError):
    """An image whose pixels, as its file declares them or after rescaling, are more than the limit."""


class SolverError(VggReproError):
    """A solver definition or state that cannot be used, or a diverged run."""


class LockError(VggReproError):
    """Another process is writing the files that this one would write."""


class ProtocolError(VggReproError):
    """An evaluation protocol, preset or cached result that cannot be used."""


class OptionError(VggReproError):
    """Options of a command that do not go together; the message names them."""


class PycaffeError(VggReproError, RuntimeError):
    """What a script that uses the ``caffe`` module did cannot be done. It is a RuntimeError, which is what
    Caffe's own module raises."""


class UnreadableImageError(PycaffeError, OSError):
    """What a script reads as an image is none. Scripts pass over such files by OSError (IOError), which is
    what Caffe's module raises there."""
