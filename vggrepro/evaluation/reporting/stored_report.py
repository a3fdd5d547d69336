"""The JSON report of an earlier run: what it read, what it found, and where its predictions are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vggrepro.errors import DataError
from vggrepro.evaluation.paired import Answers
from vggrepro.evaluation.predictions import read_answers
from vggrepro.system.file_digest import file_sha256
from vggrepro.system.file_names import file_path
from vggrepro.system.json_text import parsed_json

FORMAT = 2
"""The version of the report's JSON. The first one did not hold all that a repetition needs."""

_NO_RESULTS = ("format", "settings", "notices", "seconds")
"""Parts of a report whose numbers are no results."""

_CLOSE = 1e-5
"""How far numbers that are not whole may be apart: two devices round differently."""


@dataclass(frozen=True)
class InputHash:
    """A file that a run read, or a set of images, and a SHA-256 of it."""

    file: str
    sha256: str


def input_hashes(settings: Mapping[str, Any]) -> dict[str, InputHash]:
    """What a run read, by what it is: nets, ground truth, other files; of the images their names and a sample
    of their contents. ``settings`` are those of a report, or a part of them."""
    found = {}
    for net in settings.get("net_files", ()):
        for kind in ("weights", "prototxt"):
            found[f"{kind} of {net['name']}"] = InputHash(net[f"{kind}_file"], net[f"{kind}_sha256"])
    for what, file in settings.get("files", {}).items():
        found[what] = InputHash(file["file"], file["sha256"])
    for kind, what in (("listing", "names of all images"), ("samples", "contents of up to eight images")):
        digest = settings.get("images_fingerprint", {}).get(f"{kind}_sha256")
        if digest is not None:
            found[what] = InputHash(settings["images"], digest)
    return found


@dataclass(frozen=True, eq=False)
class StoredReport:
    """A report from its file ``path``. Its run was started in ``folder`` with the arguments ``command``."""

    path: Path
    data: Mapping[str, Any]
    folder: Path
    command: tuple[str, ...]
    inputs: Mapping[str, InputHash]
    predictions: InputHash | None

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raise DataError unless what a run with these ``settings``, or a part of them, reads is what this
        one's read."""
        for what, now in input_hashes(settings).items():
            then = self.inputs.get(what)
            if then is None:
                raise DataError(f"{now.file}: the run of {self.path} did not read {what}")
            if then.sha256 != now.sha256:
                raise DataError(
                    f"{now.file}: {what} changed since {self.path}: SHA-256 {now.sha256[:16]}..., expected"
                    f" {then.sha256[:16]}..."
                )

    def differences(self, again: Mapping[str, Any]) -> list[str]:
        """A sentence for each number of the results that is another one in the report of the same run made
        ``again``. Whole numbers must be equal, others to 5 digits after the point."""
        then, now = dict(_numbers(_results(self.data))), dict(_numbers(_results(again)))
        return [
            f"{place}: {then.get(place, 'nothing')} in {self.path}, now {now.get(place, 'nothing')}"
            for place in {**then, **now}
            if not _equal(then.get(place), now.get(place))
        ]

    def answers(self) -> Answers:
        """The ranks of the true classes of each image, from the predictions that the run wrote. Raises
        DataError if there are none, or if they changed since."""
        named = self.predictions
        if named is None:
            raise DataError(
                f"{self.path}: names no predictions of its run; expected one with --predictions and --json"
            )
        file = file_path(self.folder / named.file)
        if not file.exists():
            file = self.path.parent / file.name  # both were moved
        try:
            digest = file_sha256(file)
        except OSError as error:
            raise DataError(
                f"{self.path}: its predictions {named.file} cannot be read: {error.strerror}"
            ) from error
        if digest != named.sha256:
            raise DataError(f"{file}: changed since {self.path} was written")
        found = replace(read_answers(file), where=str(self.path), name=self.data["name"])
        return found if found.combinations else replace(found, combinations={found.name: found.ranks})


def read_report(path: Path) -> StoredReport:
    """Read a report that ``eval_ilsvrc --json`` wrote. Raises DataError for any other file, and for a report
    of another version."""
    try:
        data = parsed_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{path}: no JSON: {error}") from error
    if not isinstance(data, dict) or "settings" not in data:
        raise DataError(f"{path}: no report of eval_ilsvrc: expected an object with settings")
    if data.get("format") != FORMAT:
        raise DataError(f"{path}: a report of version {data.get('format')!r}, expected {FORMAT}")
    try:
        settings = data["settings"]
        folder, command = Path(settings["directory"]), settings["command"]
        if not isinstance(command, list) or not all(isinstance(t, str) for t in (data["name"], *command)):
            raise TypeError("its name is no text, or its command no list of texts")
        named = settings.get("predictions")
        predictions = None if named is None else InputHash(named["file"], named["sha256"])
        return StoredReport(path, data, folder, tuple(command), input_hashes(settings), predictions)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: a damaged report: {type(error).__name__}: {error}") from error


def _results(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in _NO_RESULTS}


def _numbers(value: Any, place: str = "") -> Iterator[tuple[str, float]]:
    """Every number in JSON data with its place, such as ``results > table 5, D:dense > top1_wrong``."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            yield from _numbers(inner, f"{place} > {key}" if place else str(key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield place, value


def _equal(then: float | None, now: float | None) -> bool:
    if then is None or now is None or (isinstance(then, int) and isinstance(now, int)):
        return then == now
    return abs(then - now) <= _CLOSE
