"""Why CUDA does not work, each reason in a line with what to do."""

from __future__ import annotations

from typing import Any

import pytest

from vggrepro.runtime import cuda_state as module
from vggrepro.runtime.cuda_state import Memory, memory, problem


class Provider:
    """The calls of a CUDA runtime that is version 13.0, with what they answer."""

    def __init__(self, *, driver: int = 13000, count: int = 2, error: int = 0, free: int = 3) -> None:
        self.driver, self.count, self.error, self.free = driver, count, error, free
        self.current = -1

    def cudaGetDeviceCount(self, count: Any) -> int:
        count._obj.value = self.count
        return self.error

    def cudaDriverGetVersion(self, version: Any) -> int:
        version._obj.value = self.driver
        return 0

    def cudaRuntimeGetVersion(self, version: Any) -> int:
        version._obj.value = 13000
        return 0

    def cudaSetDevice(self, index: int) -> int:
        self.current = index
        return self.error

    def cudaMemGetInfo(self, free: Any, total: Any) -> int:
        free._obj.value, total._obj.value = self.free, 8
        return 0


@pytest.fixture(autouse=True)
def cudnn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(module.ctypes, "CDLL", lambda name: name)


@pytest.mark.parametrize(
    ("provider", "index", "words"),
    [
        (Provider(driver=0, error=35), 0, "no NVIDIA driver is loaded"),
        (
            Provider(driver=12040, error=35),
            0,
            r"driver is for CUDA 12\.4, .* for CUDA 13\.0: install driver 580",
        ),
        (Provider(driver=12040), 0, "install driver 580 or newer, or an older onnxruntime-gpu"),
        (Provider(count=0, error=100), 0, "the driver shows no GPU: see nvidia-smi"),
        (Provider(count=0), 0, "the driver shows no GPU"),
        (Provider(count=0, error=999), 0, "CUDA fails with error 999"),
        (Provider(), 2, "no such GPU: this machine has cuda:0 to cuda:1$"),
        (Provider(count=1), 7, "no such GPU: this machine has cuda:0$"),
    ],
)
def test_each_reason_has_its_line(provider: Provider, index: int, words: str) -> None:
    found = problem(provider, index)
    assert "\n" not in found
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(found)


def test_what_is_visible_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert problem(Provider(count=1), 3).endswith("has cuda:0 (CUDA_VISIBLE_DEVICES=3)")


def test_cudnn_is_looked_for_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problem(Provider(), 1) == ""

    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(module.ctypes, "CDLL", missing)
    assert problem(Provider(), 1).startswith("cuDNN does not load: libcudnn.so.9: cannot open")


def test_memory() -> None:
    provider = Provider()
    assert memory(provider, 1) == Memory(3, 8) and provider.current == 1
    assert memory(Provider(error=1), 1) is None


def test_where_the_library_leads_nowhere_nothing_is_said() -> None:
    assert problem(object(), 5) == ""
    assert memory(object(), 5) is None
