"""Every exception of the package.

A message is one line that names the file or layer, the place, what was got and what was expected;
command lines print it and exit with code 2.
"""


class VggReproError(Exception):
    """Base of every error that this package raises on purpose."""


class ParseError(VggReproError):
    """A file is not the prototxt, caffemodel or list that it should be."""


class UpgradeError(VggReproError):
    """A model definition cannot be brought to the current format of Caffe."""


class UnsupportedError(VggReproError):
    """A layer type or parameter that exists but is not implemented; the message names all of them."""


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


class DataError(VggReproError):
    """Images, labels or databases that cannot be used."""


class SolverError(VggReproError):
    """A solver definition or state that cannot be used, or a diverged run."""


class ProtocolError(VggReproError):
    """An evaluation protocol, preset or cached result that cannot be used."""


class OptionError(VggReproError):
    """Options of a command that do not go together; the message names them."""
