"""caffe device_query: what the driver tells of the GPUs that ``-gpu`` names."""

from __future__ import annotations

from collections.abc import Sequence

from vggrepro.cli.caffe_programs.action import action_flags
from vggrepro.pycaffe import glog
from vggrepro.runtime.gpu_properties import GpuProperties, gpu_properties


def main(arguments: Sequence[str]) -> int:
    """Log the properties of each GPU."""
    with action_flags(arguments) as flags:
        if flags is not None:
            glog.log(f"Querying GPUs {flags.gpu}", "caffe.cpp:138")
            for index in flags.gpus():
                for line in _lines(gpu_properties(index)):
                    glog.log(line, "common.cpp:178")
    return 0


def _lines(gpu: GpuProperties) -> list[str]:
    has = gpu.attributes
    rows = {
        "Device id:": gpu.index,
        "Major revision number:": has["major"],
        "Minor revision number:": has["minor"],
        "Name:": gpu.name,
        "Total global memory:": gpu.memory,
        "Total shared memory per block:": has["shared_memory_per_block"],
        "Total registers per block:": has["registers_per_block"],
        "Warp size:": has["warp_size"],
        "Maximum memory pitch:": has["max_pitch"],
        "Maximum threads per block:": has["max_threads_per_block"],
        "Maximum dimension of block:": ", ".join(str(has[f"max_block_{axis}"]) for axis in "xyz"),
        "Maximum dimension of grid:": ", ".join(str(has[f"max_grid_{axis}"]) for axis in "xyz"),
        "Clock rate:": has["clock_rate"],
        "Total constant memory:": has["constant_memory"],
        "Texture alignment:": has["texture_alignment"],
        "Concurrent copy and execution:": "Yes" if has["overlaps_copies"] else "No",
        "Number of multiprocessors:": has["multiprocessors"],
        "Kernel execution timeout:": "Yes" if has["kernel_timeout"] else "No",
    }
    return [f"{name:<31}{value}" for name, value in rows.items()]
