"""An archive of DIGITS in place of the files inside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from vggrepro.caffe.digits_job import DigitsJob, is_job_archive, open_job
from vggrepro.cli.options.evaluation import NetworkOptions, ProtocolOptions, ReadingOptions
from vggrepro.errors import OptionError


@dataclass(frozen=True)
class JobOptions:
    """Options of a command that looks at images, where ``--weights`` may name an archive of DIGITS."""

    network: NetworkOptions
    protocol: ProtocolOptions
    reading: ReadingOptions
    synsets: Path | None

    def with_job(self) -> JobOptions:
        """The options with what an archive holds in place of what was not given: deploy net, mean, class
        names, size and resizing, and the centre crop, by which DIGITS looks at an image. Raises ParseError,
        and OptionError for an archive among several ``--weights``."""
        if not any(is_job_archive(_file(option)) for option in self.network.weights):
            return self
        if len(self.network.weights) > 1 or self.network.deploy:
            raise OptionError("--weights: an archive of DIGITS, expected it alone, without --deploy")
        path = _file(self.network.weights[0])
        job = open_job(path)
        name = path.name.partition(".")[0]
        weights, deploy = (f"{name}={job.snapshot}",), (str(job.deploy),)
        mean = job.mean if self.network.mean is None else self.network.mean
        return JobOptions(
            replace(self.network, mean=mean, weights=weights, deploy=deploy),
            self._protocol(job),
            replace(self.reading, resize="warp") if job.warped else self.reading,
            self.synsets or job.labels,
        )

    def _protocol(self, job: DigitsJob) -> ProtocolOptions:
        protocol = replace(self.protocol, protocol=self.protocol.protocol or "centre")
        if job.size is None or protocol.scales is not None:
            return protocol
        return replace(protocol, scales=(job.size,))


def _file(option: str) -> Path:
    """The file of ``FILE`` or ``NAME=FILE``."""
    return Path(option) if Path(option).exists() else Path(option.partition("=")[2])
