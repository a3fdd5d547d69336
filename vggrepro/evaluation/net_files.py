"""Which files a network is read from: ``--weights "D:256;512=FILE"`` and ``--deploy FILE``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vggrepro.errors import ProtocolError
from vggrepro.net.fork_rules import BVLC, ForkRules
from vggrepro.paper.nets import CONFIGS, canonical, deploy_prototxt
from vggrepro.system.file_digest import file_sha256


@dataclass(frozen=True)
class NetFiles:
    """A network to evaluate: its name in results, its deploy prototxt and its weights."""

    name: str
    deploy: Path
    weights: Path
    rules: ForkRules = field(default=BVLC, hash=False)
    """How the deploy prototxt is read."""

    def facts(self) -> dict[str, str]:
        """The name and the files with their SHA-256, ready for JSON. Raises OSError."""
        return {
            "name": self.name,
            "weights_file": str(self.weights),
            "weights_sha256": file_sha256(self.weights),
            "prototxt_file": str(self.deploy),
            "prototxt_sha256": file_sha256(self.deploy),
        }

    @property
    def published(self) -> bool:
        """Whether it is one of the paper's nets, by its own name or the one in its prototxt.

        Raises what :meth:`ForkRules.read` raises.
        """
        named = self.name.split(":")[0] in CONFIGS
        return named or "VGG" in self.rules.read(self.deploy).message.name.upper()


_KEY = re.compile(r"([A-Za-z0-9_.:;\[\]-]+)=(.+)", re.DOTALL)


def files_for_names(
    names: Sequence[str], weights: Sequence[str], deploys: Sequence[str], prototxt: Path
) -> list[NetFiles]:
    """Files for the nets of the paper with these names ("D:256;512", ...).

    ``weights`` and ``deploys`` are options ``KEY=FILE``, where KEY is such a name, or its configuration alone
    where only one of the nets has it; or just ``FILE`` where there is one net. Without an option a net has
    the deploy prototxt of its configuration in the folder ``prototxt``.

    Raises ProtocolError for nets without weights, options that fit no net, and ambiguous ones.
    """
    chosen = _assign("--weights", names, weights)
    missing = [name for name in names if name not in chosen]
    if missing:
        wanted = " ".join(f'--weights "{name}=FILE"' for name in missing)
        raise ProtocolError(f"no weights for {', '.join(missing)}: expected {wanted}")
    given = _assign("--deploy", names, deploys)
    return [NetFiles(name, _deploy(name, given, prototxt), chosen[name]) for name in names]


def files_for_options(weights: Sequence[str], deploys: Sequence[str], prototxt: Path) -> list[NetFiles]:
    """Files for any nets: one for each of the ``weights``, which are options ``NAME=FILE`` or ``FILE``, whose
    name is then the file's.

    A name that is a configuration of the paper (A to E, with or without a training scale) has a deploy
    prototxt in the folder ``prototxt``; every other needs one of ``deploys``.

    Raises ProtocolError if there is no net, or if one has no deploy prototxt.
    """
    split = [net_option(option) for option in weights]
    if not split:
        raise ProtocolError("no network: expected --weights FILE with --deploy FILE, or --weights D=FILE")
    names = [key or path.stem for key, path in split]
    if len(set(names)) != len(names):
        raise ProtocolError(f"--weights name the same network twice: {', '.join(names)}")
    given = _assign("--deploy", names, deploys)
    return [
        NetFiles(name, _deploy(name, given, prototxt), path)
        for name, (_, path) in zip(names, split, strict=True)
    ]


def net_option(option: str) -> tuple[str | None, Path]:
    """The net that an option ``KEY=FILE`` names, and its file; None with a ``FILE`` alone, whose own name may
    have an equals sign."""
    match = _KEY.fullmatch(option)
    if match is None or Path(option).exists():
        return None, Path(option)
    return canonical(match.group(1)), Path(match.group(2))


def _assign(flag: str, names: Sequence[str], options: Sequence[str]) -> dict[str, Path]:
    """The file of each name that an option gives one to."""
    chosen: dict[str, Path] = {}
    for option in options:
        key, path = net_option(option)
        fitting = [name for name in names if key in (None, name, name.split(":")[0])]
        if len(fitting) != 1:
            got = "fits none of" if not fitting else "could mean any of"
            raise ProtocolError(f"{flag} {option}: {got} {', '.join(fitting or names)}")
        if fitting[0] in chosen:
            raise ProtocolError(f"{flag} {option}: {fitting[0]} was given before ({chosen[fitting[0]]})")
        chosen[fitting[0]] = path
    return chosen


def _deploy(name: str, given: dict[str, Path], folder: Path) -> Path:
    """The deploy prototxt that was given for a net, or that of its configuration."""
    if name in given:
        return given[name]
    config = name.split(":")[0]
    if config not in CONFIGS:
        raise ProtocolError(
            f"network {name}: expected --deploy FILE (only {', '.join(CONFIGS)} have their own)"
        )
    path = deploy_prototxt(config, folder)
    if not path.is_file():
        raise ProtocolError(f"network {name}: no {path}; expected --deploy FILE or --prototxt-dir DIR")
    return path
