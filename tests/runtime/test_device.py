"""Devices by name, and what is said where one does not work."""

from __future__ import annotations

import ctypes
from typing import Any

import onnxruntime
import pytest

import vggrepro.runtime.device as module
from vggrepro.errors import DeviceError, DeviceMemoryError
from vggrepro.runtime.cuda_state import Memory
from vggrepro.runtime.device import Device, as_device, parse_device, require


@pytest.mark.parametrize(
    ("text", "device", "name"),
    [
        ("cpu", Device("cpu"), "cpu"),
        ("cuda", Device("cuda", 0), "cuda:0"),
        ("cuda:0", Device("cuda", 0), "cuda:0"),
        ("cuda:12", Device("cuda", 12), "cuda:12"),
    ],
)
def test_names(text: str, device: Device, name: str) -> None:
    assert parse_device(text) == device
    assert str(device) == name


@pytest.mark.parametrize(
    "text", ["", "gpu", "CPU", "cpu:0", "cuda:", "cuda:-1", "cuda:x", "cuda 0", "cuda:0\n"]
)
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(DeviceError, match="device must be cpu, cuda or cuda:N, got "):
        parse_device(text)


def test_providers() -> None:
    assert Device("cpu").providers(tf32=True) == ["CPUExecutionProvider"]
    (cuda, options), cpu = Device("cuda", 3).providers(tf32=False)
    assert (cuda, cpu) == ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert options == {"device_id": "3", "use_tf32": "0"}
    assert Device("cuda").providers(tf32=True)[0][1]["use_tf32"] == "1"
    rule = {"cudnn_conv_algo_search": "HEURISTIC"}
    assert Device("cuda").providers(tf32=False, repeatable=True)[0][1].items() >= rule.items()


def test_the_cpu_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: pytest.fail("asked"))
    require(Device("cpu"))


def test_a_runtime_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(DeviceError) as caught:
        require(Device("cuda", 1))
    assert str(caught.value) == (
        f"device cuda:1: this onnxruntime {onnxruntime.__version__} has no CUDA provider;"
        " uninstall onnxruntime, then: pip install onnxruntime-gpu"
    )


def test_a_provider_that_is_listed_but_does_not_load(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The library that is missing is named, and what brings it; nothing is printed besides."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])

    def fails(path: str, mode: int = 0) -> Any:
        raise OSError("libcudnn.so.9: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(ctypes, "CDLL", fails)
    with pytest.raises(DeviceError) as caught:
        require(Device("cuda"))
    assert str(caught.value) == (
        "device cuda:0: CUDA does not load: libcudnn.so.9: cannot open shared object file: No such file or"
        ' directory; install the CUDA libraries with: pip install "vggrepro[cuda]"'
    )
    assert capfd.readouterr().out == ""


def test_both_libraries_of_the_provider_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda directory: tried.append(f"preload {directory!r}"))
    monkeypatch.setattr(module.ctypes, "CDLL", lambda path, **_: tried.append(path.rsplit("/", 1)[-1]))
    require(Device("cuda"))
    assert tried == [
        "preload ''",  # from PyPI's packages, if they are there
        "libonnxruntime_providers_shared.so",
        "libonnxruntime_providers_cuda.so",
    ]


def test_a_device_or_its_name() -> None:
    assert as_device("cuda:3") == as_device(Device("cuda", 3)) == Device("cuda", 3)
    with pytest.raises(DeviceError, match="got 'gpu'"):
        as_device("gpu")


@pytest.mark.parametrize(
    "text", ["Failed to allocate memory for requested buffer of size 80", "std::bad_alloc"]
)
def test_no_memory_on_the_host_is_a_memory_error(text):
    with pytest.raises(MemoryError, match=text):
        Device("cpu").explain(RuntimeError(text))
    Device("cpu").explain(RuntimeError("a bug"))


@pytest.mark.parametrize(
    "reason",
    [
        "Error in execution: Failed to allocate memory for requested buffer of size 411041792",
        "CUDA failure 2: out of memory ; GPU=0",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
    ],
)
def test_a_full_gpu_has_an_error_of_its_own(reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "memory", lambda _: Memory(2**30, 8 * 2**30))
    with pytest.raises(DeviceMemoryError) as caught:
        Device("cuda", 1).explain(RuntimeError(reason))
    assert str(caught.value) == "device cuda:1: out of memory (1.0 of 8.0 GiB are free)"


def test_a_cpu_has_no_memory_to_tell_of() -> None:
    assert Device("cpu").memory() is None


def test_a_sum_over_nothing() -> None:
    text = "keepdims || input_dims[axis] != 0 was false. Can't reduce on dim with value of 0 if 'keepdims' is"
    with pytest.raises(
        DeviceError, match=r"^device cuda:0: a sum over no items, .* a Filter has selected none"
    ):
        Device("cuda").explain(RuntimeError(text))
    Device("cpu").explain(RuntimeError(text))


def test_a_convolution_that_cudnn_cannot_compute() -> None:
    """In the words of ONNX Runtime 1.31."""
    text = (
        "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Conv node."
        " Name:'fc6/Conv' Status Message: Failed to initialize CUDNN Frontend: /onnxruntime_src/x.cc:99"
    )
    with pytest.raises(DeviceError) as caught:
        Device("cuda").explain(RuntimeError(text))
    assert str(caught.value) == (
        "device cuda:0: cuDNN has no algorithm for node fc6/Conv in this size and precision:"
        " try another --precision"
    )
