"""``caffe.io`` against what pycaffe computed, and on its own."""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from golden_suite import ROOT
from numpy.testing import assert_allclose, assert_array_equal

import vggrepro.pycaffe as caffe
from vggrepro.pycaffe import io
from vggrepro.pycaffe.proto import caffe_pb2
from vggrepro.pycaffe.resize import zoom_corners

FOLDER = ROOT / "images"
GOLDEN = np.load(FOLDER / "transform.npz")
LOADED = [key.split("|")[0] for key in GOLDEN.files if key.endswith("pycaffe_load")]
AS_SKIMAGE = [name for name in LOADED if "cmyk" not in name]
"""OpenCV reads CMYK as colours, scikit-image as four channels."""


def transformer() -> io.Transformer:
    made = io.Transformer({"data": (1, 3, 37, 45)})
    made.set_transpose("data", (2, 0, 1))
    made.set_channel_swap("data", (2, 1, 0))
    made.set_raw_scale("data", 255)
    made.set_mean("data", np.array([104, 117, 123]))
    return made


@pytest.mark.parametrize("name", AS_SKIMAGE)
def test_load_image(name: str) -> None:
    image = io.load_image(str(FOLDER / name))
    assert image.dtype == np.float32
    assert_allclose(image * 255, GOLDEN[f"{name}|pycaffe_load"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", LOADED)
def test_preprocess(name: str) -> None:
    image = (GOLDEN[f"{name}|pycaffe_load"] / 255).astype(np.float32)
    before = image.copy()
    resized = transformer().preprocess("data", image)
    assert resized.dtype == np.float32 and resized.shape == (3, 37, 45)
    assert_allclose(resized, GOLDEN[f"{name}|pycaffe_preprocess"], rtol=0, atol=2e-3)
    whole = transformer().preprocess("data", image[:37, :45])
    assert_allclose(whole, GOLDEN[f"{name}|pycaffe_preprocess_no_resize"], rtol=0, atol=1e-4)
    assert_array_equal(image, before)


def test_oversample() -> None:
    image = (GOLDEN["astronaut.jpg|pycaffe_load"] / 255).astype(np.float32)
    crops = io.oversample([image[:40, :50]], [33, 41])
    assert_allclose(crops, GOLDEN["astronaut.jpg|pycaffe_oversample"], rtol=0, atol=1e-6)


def test_flow_is_mirrored_with_its_sign_as_in_lrcn() -> None:
    made = transformer()
    made.set_is_flow("data", True)
    assert made.is_flow == {"data": True}
    with pytest.raises(RuntimeError, match="label is not one of the net inputs"):
        made.set_is_flow("label", True)
    image = np.random.default_rng(2).random((6, 8, 3), np.float32)
    before = image.copy()
    assert_array_equal(io.flip_image(image), image[:, ::-1])
    flipped = io.flip_image(image, 1, True)
    assert_array_equal(flipped[..., 0], 1 - image[:, ::-1, 0])
    assert_array_equal(flipped[..., 1:], image[:, ::-1, 1:])
    assert_array_equal(io.flip_image(image, is_flow=True)[..., 0], 128 - image[:, ::-1, 0])
    assert_array_equal(image, before)
    crops = io.oversample([image], [4, 4], True)
    assert_array_equal(crops[:5], io.oversample([image], [4, 4])[:5])
    assert_array_equal(crops[5:], [io.flip_image(crop, 1, True) for crop in crops[:5]])


def test_deprocess_undoes_preprocess() -> None:
    image = np.random.default_rng(0).random((37, 45, 3), np.float32)
    made = transformer()
    made.set_input_scale("data", 0.5)
    assert_allclose(made.deprocess("data", made.preprocess("data", image)[None]), image, atol=1e-5)


def test_a_scale_or_a_mean_of_none_counts_as_not_set() -> None:
    """Scripts pass on what their command line lacks."""
    made = io.Transformer({"data": (1, 3, 37, 45)})
    made.set_transpose("data", (2, 0, 1))
    made.set_raw_scale("data", None)
    made.set_input_scale("data", None)
    made.mean["data"] = None
    image = np.random.default_rng(0).random((37, 45, 3), np.float32)
    prepared = made.preprocess("data", image)
    assert_array_equal(prepared, image.transpose(2, 0, 1))
    assert_array_equal(made.deprocess("data", prepared[None]), image)


def test_transformer_refuses() -> None:
    made = transformer()
    with pytest.raises(Exception, match="image is not one of the net inputs"):
        made.set_raw_scale("image", 1)
    with pytest.raises(Exception, match="same number of dimensions as the input"):
        made.set_transpose("data", (1, 0))
    with pytest.raises(Exception, match="input channels"):
        made.set_channel_swap("data", (1, 0))
    for mean in (np.zeros(2), np.zeros((2, 37, 45)), np.zeros((37, 45)), np.zeros((1, 3, 37, 45))):
        with pytest.raises(ValueError, match="Mean"):
            made.set_mean("data", mean)


def test_a_mean_image_of_another_size_is_resized() -> None:
    """As CaffeNet's, of 256 x 256 pixels, for a crop of 227."""
    made = transformer()
    mean = np.random.default_rng(0).random((3, 50, 60)) * 200
    made.set_mean("data", mean)
    expected = io.resize_image(mean.transpose(1, 2, 0), (37, 45)).transpose(2, 0, 1)
    assert_allclose(made.mean["data"], expected)
    whole = mean[:, :37, :45]
    made.set_mean("data", whole)
    assert made.mean["data"] is whole


def test_resize_without_smoothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half the size by linear interpolation is the mean of two pixels in each direction."""
    monkeypatch.setattr(io, "ANTI_ALIASING", False)
    image = np.random.default_rng(0).random((6, 8, 3))
    expected = image.reshape(3, 2, 4, 2, 3).mean((1, 3))
    assert_allclose(io.resize_image(image, (3, 4)), expected, atol=1e-6)


def test_resize_others() -> None:
    assert (io.resize_image(np.full((3, 4, 3), 7.0), (9, 2)) == 7).all()
    image = np.arange(4.0)[:, None, None] * np.ones((4, 3, 5))
    assert_allclose(io.resize_image(image, (7, 3))[:, 0, 0], np.linspace(0, 3, 7), atol=1e-6)
    assert_array_equal(
        io.resize_image(np.eye(2)[:, :, None], (4, 4), 0)[..., 0], np.eye(2).repeat(2, 0).repeat(2, 1)
    )


def test_splines_are_those_of_scikit_image(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    def resize(image: np.ndarray, sizes: tuple[int, int], **how: object) -> np.ndarray:
        seen.update(how, low=image.min(), high=image.max())
        return np.full((*sizes, 3), 0.25)

    transform = ModuleType("skimage.transform")
    transform.resize = resize  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "skimage.transform", transform)
    image = np.linspace(2, 6, 60).reshape(4, 5, 3)
    assert (io.resize_image(image, (2, 9), interp_order=3) == 3).all()  # a quarter of the way from 2 to 6
    assert seen == {"order": 3, "mode": "constant", "anti_aliasing": True, "low": 0, "high": 1}
    monkeypatch.setitem(sys.modules, "skimage.transform", None)
    with pytest.raises(RuntimeError, match=r"caffe\.io\.resize is from scikit-image"):
        io.resize_image(image, (2, 9), interp_order=3)


def test_splines_of_other_channels_are_scipys() -> None:
    scipy = pytest.importorskip("scipy.ndimage")
    image = np.random.default_rng(0).random((5, 7, 2))
    expected = scipy.zoom(image, (9 / 5, 4 / 7, 1), order=3)
    assert_allclose(io.resize_image(image, (9, 4), interp_order=3), expected, atol=1e-6)


def test_zoom_is_scipys() -> None:
    scipy = pytest.importorskip("scipy.ndimage")
    assert io.zoom is scipy.zoom
    image = np.random.default_rng(0).random((5, 7, 2))
    for order in (0, 1):
        assert_allclose(
            zoom_corners(image, (9, 4), order),
            scipy.zoom(image, (9 / 5, 4 / 7, 1), order=order),
            atol=1e-12,
        )


def test_grey_and_missing(tmp_path: Path) -> None:
    grey = io.load_image(str(FOLDER / "astronaut.jpg"), color=False)
    colour = io.load_image(str(FOLDER / "astronaut.jpg"))
    assert_allclose(grey[..., 0], colour @ [0.2125, 0.7154, 0.0721], atol=1e-6)
    assert io.load_image(str(FOLDER / "camera_grey.jpg"), color=False).shape[2] == 1
    with pytest.raises(OSError, match="none"):
        io.load_image(str(tmp_path / "none.jpg"))
    with pytest.raises(RuntimeError, match="broken") as failed:
        io.load_image(str(FOLDER / "broken.jpg"))
    assert isinstance(failed.value, OSError)  # scripts pass over pictures that cannot be read by IOError


def test_blobproto() -> None:
    array = np.arange(6.0).reshape(2, 3)
    blob = io.array_to_blobproto(array, diff=-array)
    assert list(blob.shape.dim) == [2, 3]
    assert_array_equal(io.blobproto_to_array(blob), array)
    assert_array_equal(io.blobproto_to_array(blob, return_diff=True), -array)
    old = caffe_pb2.BlobProto(data=range(6), num=1, channels=1, height=2, width=3)
    assert io.blobproto_to_array(old).shape == (1, 1, 2, 3)
    assert io.blobproto_to_array(caffe_pb2.BlobProto(data=[5])) == 5
    with pytest.raises(ValueError, match="shape"):
        io.blobproto_to_array(caffe_pb2.BlobProto(data=range(6)))


def test_blobprotovector() -> None:
    arrays = [np.arange(3.0), np.ones((2, 2))]
    data = io.arraylist_to_blobprotovector_str(arrays)
    for got, want in zip(io.blobprotovector_str_to_arraylist(data), arrays, strict=True):
        assert_array_equal(got, want)
    assert caffe.io.arraylist_to_blobprotovecor_str(arrays) == data


def test_datum() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    datum = io.array_to_datum(pixels, 7)
    assert (datum.label, datum.channels, datum.height, datum.width) == (7, 2, 3, 4)
    assert_array_equal(io.datum_to_array(datum), pixels)
    floats = io.array_to_datum(pixels / 2)
    assert not floats.HasField("label")
    assert_array_equal(io.datum_to_array(floats), pixels / 2)
    with pytest.raises(ValueError, match="Incorrect array shape"):
        io.array_to_datum(pixels[0])


@pytest.mark.parametrize("color", [True, False])
def test_load_image_of_an_opened_file(tmp_path: Path, color: bool) -> None:
    """Also one that was written just now, or read before."""
    name = FOLDER / AS_SKIMAGE[0]
    buffer = BytesIO()
    buffer.write(name.read_bytes())
    for file in (buffer, name.open("rb")):
        assert_array_equal(io.load_image(file, color), io.load_image(name, color))
    with pytest.raises(RuntimeError, match="the opened file: Could not open"):
        io.load_image(BytesIO(b"no image"))


def test_load_image_of_sixteen_bits(tmp_path: Path) -> None:
    deep = np.random.default_rng(3).integers(0, 2**16, (4, 5), dtype=np.uint16)
    assert cv2.imwrite(str(tmp_path / "depth.png"), deep)
    image = io.load_image(tmp_path / "depth.png", color=False)
    assert image.dtype == np.float32
    assert_allclose(image[:, :, 0], deep / 65535, rtol=1e-6)


@pytest.mark.parametrize("name", ["resize", "skimage"])
def test_names_of_scikit_image(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    skimage, transform = ModuleType("skimage"), ModuleType("skimage.transform")
    transform.resize = skimage.io = object()  # type: ignore[attr-defined]
    modules = {"skimage": skimage, "skimage.transform": transform, "skimage.io": ModuleType("skimage.io")}
    for module, found in modules.items():
        monkeypatch.setitem(sys.modules, module, found)
    assert getattr(io, name) is {"resize": transform.resize, "skimage": skimage}[name]
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(RuntimeError, match=f"caffe.io.{name} is from scikit-image: pip install scikit-image"):
        getattr(io, name)
    with pytest.raises(AttributeError, match="no attribute 'blur'"):
        _ = io.blur


def test_a_transformer_of_a_script_checks_its_inputs() -> None:
    """By the name that Python gives the check of Caffe's class."""

    class Cropping(io.Transformer):
        def set_crop(self, name: str, size: int) -> None:
            io.Transformer._Transformer__check_input(self, name)  # type: ignore[attr-defined]

    made = Cropping({"data": (1, 3, 4, 4)})
    made.set_crop("data", 2)
    with pytest.raises(RuntimeError, match="label is not one of the net inputs"):
        made.set_crop("label", 2)
