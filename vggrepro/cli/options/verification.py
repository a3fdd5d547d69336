"""How a converted model is compared with its reference before it is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vggrepro.cli.options.device import add_device_option
from vggrepro.cli.options.read import Options
from vggrepro.cli.options.results import add_json_option
from vggrepro.cli.options.values import amount


@dataclass(frozen=True)
class VerifyOptions:
    """How the converted net is compared with its reference."""

    verify: bool = False
    verify_with: tuple[str, ...] = ()
    input: Path | None = None
    tolerance: float = 1e-4
    json: Path | None = None
    device: str = "cpu"

    @property
    def compares(self) -> bool:
        """Whether anything is compared with the reference."""
        return self.verify or bool(self.verify_with)


def add_verification_options(options: Options) -> None:
    """Add the options of :class:`VerifyOptions`."""
    options.add_argument(
        "--verify", action="store_true", help="compare every blob with the float64 reference before writing"
    )
    options.add_argument(
        "--verify-with",
        type=lambda text: tuple(text.split(",")),
        default=(),
        metavar="RUNTIME,...",
        help="run the written file in onnxruntime, opencv or openvino and compare its outputs with the"
        " reference; a file that one of them answers wrongly is removed",
    )
    options.add_argument(
        "--input",
        type=Path,
        metavar="FILE.npy",
        help="array to verify with (default: normal noise, as strong as the net's images: of standard"
        " deviation 50, times the scale of its data layer; 1 where that saturates its posteriors)",
    )
    options.add_argument(
        "--tolerance",
        type=amount,
        default=VerifyOptions.tolerance,
        metavar="T",
        help="for verifying, relative to each blob's largest magnitude (default: 1e-4; most nets stay below"
        " 1e-6, but layers that saturate magnify the rounding of large values)",
    )
    add_json_option(options)
    add_device_option(options)
