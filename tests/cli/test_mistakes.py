"""Mistakes that users make: one line that names what is wrong and what would be right, exit code 2, and
nothing written."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from golden_suite import ROOT

from vggrepro.cli.main import main
from vggrepro.evaluation import demo

NET = ROOT / "nets" / "lenet_test" / "net.prototxt"
WEIGHTS = ROOT / "nets" / "lenet_test" / "weights.caffemodel"
STATE = next((ROOT / "train").glob("*/*.solverstate"))
JPEG = ROOT / "images" / "rocket_exif6.jpg"
DEPLOY, MODEL = demo.FILES.deploy, demo.FILES.weights
DIGITS = ["--weights", f"digits={MODEL}", "--deploy", str(DEPLOY), "--mean", "100,100,100"]
TRUTH = ["--images", str(demo.IMAGES), "--labels", str(demo.LABELS)]
ZERO = ["--mean", "0,0,0", *TRUTH, "--protocol", "dense", "--scales", "72"]
DENSE = ["--protocol", "dense", "--scales", "72"]

LIST = demo.LABELS.read_text().splitlines()
SYNSETS = demo.SYNSETS.read_text().splitlines()
PAGE = "<!DOCTYPE html>\n<html><head><title>404: Not Found</title></head></html>\n"
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{64 * '4'}\nsize 12345\n"
CONVOLUTION = """
layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
layer { name: "c" type: "Convolution" bottom: "data" top: "c"
  convolution_param { num_output: 2 kernel_size: 1 } }
"""

TWO_OUTPUTS = """
layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
layer { name: "a" type: "Pooling" bottom: "data" top: "a" pooling_param { global_pooling: true } }
layer { name: "b" type: "Pooling" bottom: "data" top: "b" pooling_param { pool: AVE global_pooling: true } }
"""


def file(name: str, content: bytes | str) -> Callable[[Path], str]:
    """A file of the test's folder, made when it is asked for."""

    def make(folder: Path) -> str:
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return make


def inside(name: str) -> Callable[[Path], str]:
    """A path in the test's folder, of which there is nothing yet."""
    return lambda folder: str(folder / name)


def zipped(content: bytes) -> bytes:
    """A zip archive that holds a caffemodel."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("weights.caffemodel", content)
    return archive.getvalue()


def misspelt(right: str, wrong: str) -> Callable[[Path], str]:
    """A net in which a word is wrong."""
    assert right in CONVOLUTION
    return file("net.prototxt", CONVOLUTION.replace(right, wrong))


def folder_of_files(folder: Path) -> str:
    (folder / "models").mkdir()
    return str(folder / "models")


def read_only(folder: Path) -> str:
    locked = folder / "locked"
    locked.mkdir()
    locked.chmod(0o500)
    return str(locked / "m.onnx")


OUT = ["-o", inside("m.onnx")]

MISTAKES: dict[str, tuple[list[object], list[str]]] = {
    "no such command": (["inspect", NET], ["no command 'inspect'", "inspect-net"]),
    "misspelt option": (
        ["convert-caffemodel", NET, WEIGHTS, *OUT, "--verfiy"],
        ["--verfiy", "did you mean '--verify'?"],
    ),
    "misspelt file": (["inspect-net", str(NET)[:-1]], ["No such file", "did you mean 'net.prototxt'?"]),
    "files swapped": (
        ["convert-caffemodel", WEIGHTS, NET, *OUT],
        ["a binary file", "expected the prototxt first, then the caffemodel"],
    ),
    "solver state as weights": (["convert-caffemodel", NET, STATE, *OUT], ["a solver state (.solverstate)"]),
    "picture as weights": (["convert-caffemodel", NET, JPEG, *OUT], ["a JPEG image"]),
    "truncated weights": (
        ["convert-caffemodel", NET, file("cut.caffemodel", WEIGHTS.read_bytes()[:-500]), *OUT],
        ["truncated"],
    ),
    "empty weights": (["convert-caffemodel", NET, file("w.caffemodel", b""), *OUT], ["the file is empty"]),
    "weights of another net": (
        ["convert-caffemodel", DEPLOY, WEIGHTS, *OUT],
        ["no weights for layer(s)", "--allow-missing"],
    ),
    "weights as a net": (["inspect-net", WEIGHTS], ["a binary file, not a prototxt", "weights"]),
    "solver as a net": (
        ["inspect-net", file("s.prototxt", "base_lr: 0.1\n")],
        ["this is a caffe.SolverParameter"],
    ),
    "net as a solver": (["train-ilsvrc", "--config", NET], ["this is a caffe.NetParameter"]),
    "output of another format": (
        ["convert-caffemodel", DEPLOY, MODEL, "-o", inside("m.pb")],
        ["m.pb", "expected a name that ends in .onnx"],
    ),
    "output is an input": (
        [
            "convert-caffemodel",
            file("net.prototxt", DEPLOY.read_bytes()),
            MODEL,
            "-o",
            inside("net.prototxt"),
        ],
        ["is read, and would be overwritten", "give the result another name"],
    ),
    "output in a missing folder": (
        ["convert-caffemodel", DEPLOY, MODEL, "-o", inside("nowhere/m.onnx")],
        ["nowhere/m.onnx: No such file or directory"],
    ),
    "output in a read-only folder": (["convert-caffemodel", DEPLOY, MODEL, "-o", read_only], ["denied"]),
    "misspelt blob": (
        ["convert-caffemodel", DEPLOY, MODEL, *OUT, "--outputs", "fc_8"],
        ["no blob 'fc_8'", "did you mean 'fc8'"],
    ),
    "shape of a misspelt input": (
        ["convert-caffemodel", DEPLOY, MODEL, *OUT, "--input-shape", "Data=1,3,64,64"],
        ["no input 'Data'", "did you mean 'data'?"],
    ),
    "mean that is no number": (
        ["convert-caffemodel", DEPLOY, MODEL, *OUT, "--mean", "nan,1,2"],
        ["--mean: expected numbers"],
    ),
    "mean of two numbers": (
        ["eval-ilsvrc", *DIGITS[:-1], "104,117", *TRUTH, *DENSE],
        ["--mean: expected three numbers, blue, green, red"],
    ),
    "no network": (["eval-ilsvrc", *TRUTH, *DENSE], ["expected --weights FILE with --deploy FILE"]),
    "no images": (["eval-ilsvrc", *DIGITS, *DENSE], ["expected --images PATH (or --demo)"]),
    "no scales": (["eval-ilsvrc", *DIGITS, *TRUTH], ["expected --scales Q"]),
    "no deploy net": (["eval-ilsvrc", *DIGITS[:2], *TRUTH, *DENSE], ["expected --deploy FILE"]),
    "images that are not there": (
        ["eval-ilsvrc", *DIGITS, "--images", "nowhere", *DENSE],
        ["nowhere: no such folder or tar of images"],
    ),
    "labels of other images": (
        ["eval-ilsvrc", *DIGITS, *TRUTH[:2], "--labels", file("val.txt", "a.png 1\nb.png 2\n"), *DENSE],
        ["a.png"],
    ),
    "labels that are a picture": (
        ["eval-ilsvrc", *DIGITS, *TRUTH[:2], "--labels", JPEG, *DENSE],
        ["rocket_exif6.jpg"],
    ),
    "web page as weights": (
        ["convert-caffemodel", DEPLOY, file("w.caffemodel", PAGE), *OUT],
        ["this is a web page: download the file itself"],
    ),
    "pointer of Git LFS as weights": (
        ["convert-caffemodel", DEPLOY, file("w.caffemodel", POINTER), *OUT],
        ["a pointer of Git LFS, not the file itself: git lfs pull fetches it"],
    ),
    "zipped weights": (
        ["convert-caffemodel", DEPLOY, file("w.caffemodel", zipped(MODEL.read_bytes())), *OUT],
        ["a zip archive, as of PyTorch or NumPy: unpack what was zipped"],
    ),
    "gzipped weights": (
        ["convert-caffemodel", DEPLOY, file("w.caffemodel.gz", gzip.compress(b"w" * 999)[:-8]), *OUT],
        ["compressed by gzip: unpack it first"],
    ),
    "weights alone": (
        ["convert-caffemodel", MODEL, *OUT],
        ["expected its weights behind it, a .caffemodel or .h5, and in front of these a prototxt"],
    ),
    "net alone": (["convert-caffemodel", DEPLOY, *OUT], ["expected its weights behind it"]),
    "folder as weights": (["convert-caffemodel", DEPLOY, folder_of_files, *OUT], ["models: Is a directory"]),
    "folder as output": (["convert-caffemodel", DEPLOY, MODEL, "-o", folder_of_files], ["Is a directory"]),
    "no output": (["convert-caffemodel", DEPLOY, MODEL], ["are required: -o/--output"]),
    "full disk": (["convert-caffemodel", DEPLOY, MODEL, "-o", "/dev/full"], ["No space left on device"]),
    "address as weights": (
        ["convert-caffemodel", DEPLOY, "https://example.org/VGG.caffemodel", *OUT],
        ["https://example.org/VGG.caffemodel", "this is an address: download the file first"],
    ),
    "address as images": (
        ["eval-ilsvrc", *DIGITS, "--images", "https://example.org/val.tar", *DENSE],
        ["this is an address: download the file first"],
    ),
    "path of Windows": (
        ["convert-caffemodel", "C:\\nets\\deploy.prototxt", MODEL, *OUT],
        ["this is a path of Windows: here / stands between folders"],
    ),
    "output to a path of Windows": (
        ["convert-caffemodel", DEPLOY, MODEL, "-o", "C:\\nets\\m.onnx"],
        ["no file here can have this name", "this is a path of Windows"],
    ),
    "misspelt target": (
        ["convert-caffemodel", DEPLOY, MODEL, *OUT, "--target", "opencv"],
        ["argument --target: invalid choice: 'opencv'", "did you mean 'opencv5' or 'opencv4'?"],
    ),
    "misspelt runtime": (
        ["convert-caffemodel", DEPLOY, MODEL, *OUT, "--verify-with", "openvno"],
        ["expected onnxruntime, opencv, openvino", "did you mean 'openvino'"],
    ),
    "misspelt type of a layer": (
        ["inspect-net", misspelt('"Convolution"', '"Convolutoin"')],
        ["Unknown layer type: Convolutoin; did you mean 'Convolution'"],
    ),
    "misspelt bottom": (
        ["inspect-net", misspelt('bottom: "data"', 'bottom: "dta"')],
        ["Unknown bottom blob 'dta' (layer 'c', bottom index 0); did you mean 'data'?"],
    ),
    "misspelt field": (
        ["inspect-net", misspelt("num_output", "num_ouput")],
        ["no field named \"num_ouput\"; did you mean 'num_output'?"],
    ),
    "misspelt parameters": (
        ["inspect-net", misspelt("convolution_param", "convolutoin_param")],
        ["no field named \"convolutoin_param\"; did you mean 'convolution_param'"],
    ),
    "misspelt setting": (
        ["train-ilsvrc", "--demo", "--set", "max_itr: 3"],
        ["did you mean 'max_iter'?"],
    ),
    "net that ends early": (["inspect-net", file("n.prototxt", CONVOLUTION.rstrip()[:-1])], ['Expected "}"']),
    "misspelt action of caffe": (["caffe", "tran"], ["Unknown action: tran", "did you mean 'train'?"]),
    "misspelt flag of caffe": (
        ["caffe", "train", "-slover", "x"],
        ["unknown command line flag 'slover'", "did you mean 'solver'?"],
    ),
    "misspelt blob of a picture": (
        ["show", "features", DEPLOY, MODEL, JPEG, "-o", inside("x.png"), "--blob", "conv1_11"],
        ["no blob 'conv1_11'", "did you mean 'conv1_1'"],
    ),
    "prototxt for to-caffe": (["to-caffe", DEPLOY, "-o", inside("back")], ["no ONNX model"]),
    "zip as a tar": (
        ["eval-ilsvrc", *DIGITS, "--images", file("val.tar", zipped(b"")), *DENSE],
        ["not an uncompressed tar", "this is a zip archive"],
    ),
    "gzipped tar": (
        ["eval-ilsvrc", *DIGITS, "--images", file("val.tar.gz", gzip.compress(bytes(1024))), *DENSE],
        ["not an uncompressed tar", "compressed by gzip: unpack it first"],
    ),
    "images and labels swapped": (
        ["eval-ilsvrc", *DIGITS, "--images", demo.LABELS, "--labels", demo.IMAGES, *DENSE],
        ["val.txt: not an uncompressed tar"],
    ),
    "weights and deploy net swapped": (
        ["eval-ilsvrc", "--weights", DEPLOY, "--deploy", MODEL, *ZERO],
        ["a binary file, not a prototxt (this is weights (a .caffemodel))"],
    ),
    "folder without images": (
        ["eval-ilsvrc", *DIGITS, "--images", folder_of_files, *DENSE],
        ["no image files in this folder"],
    ),
    "synsets that lack a line": (
        ["eval-ilsvrc", *DIGITS, *TRUTH, *DENSE, "--synsets", file("names.txt", "\n".join(SYNSETS[:-1]))],
        ["9 classes, but the network has 10"],
    ),
    "labels that lack a line, in the devkit's form": (
        [
            *("eval-ilsvrc", *DIGITS, *TRUTH[:2], *DENSE, "--synsets", demo.SYNSETS),
            *("--devkit", file("wnids.txt", "".join(f"{line.split()[0]}\n" for line in SYNSETS))),
            *("--labels", file("truth.txt", "1\n" * (len(LIST) - 1))),
        ],
        ["truth.txt", "499"],
    ),
    "labels that count from 1": (
        [
            *("eval-ilsvrc", *DIGITS, *TRUTH[:2], *DENSE, "--labels"),
            file("l.txt", "".join(f"{a} {int(b) + 1}\n" for a, b in map(str.split, LIST))),
        ],
        ["labels run from 1 to 10, expected 0 to 9", "they seem to count from 1"],
    ),
    "empty labels": (["eval-ilsvrc", *DIGITS, *TRUTH[:2], "--labels", file("l.txt", ""), *DENSE], ["empty"]),
    "mean without commas": (
        ["eval-ilsvrc", *DIGITS[:-1], "104 117 123", *TRUTH, *DENSE],
        ["--mean: expected numbers with commas between them, got '104 117 123'"],
    ),
    "picture to verify with": (
        ["convert-caffemodel", DEPLOY, MODEL, *OUT, "--verify", "--input", JPEG],
        ["not a .npy file: this is a JPEG image"],
    ),
    "text as a mean image": (
        ["eval-ilsvrc", *DIGITS[:-1], file("mean.npy", PAGE), *TRUTH, *DENSE],
        ["not a .npy file: this is a web page"],
    ),
    "web page as an image": (["classify", file("a.jpg", PAGE), "--demo"], ["this is a web page"]),
    "empty image": (["classify", file("a.jpg", b""), "--demo"], ["empty data is no readable image"]),
    "image of Apple": (
        ["classify", file("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"), "--demo"],
        ["AVIF or HEIF, expected JPEG, PNG, BMP"],
    ),
    "PDF as an image": (["classify", file("a.pdf", b"%PDF-1.4\n"), "--demo"], ["this is a PDF document"]),
    "damaged GIF": (["classify", file("a.gif", b"GIF89a" + bytes(50)), "--demo"], ["this is a GIF image"]),
    "damaged WebP": (
        ["classify", file("a.webp", b"RIFF\x32\0\0\0WEBPVP8 " + bytes(38)), "--demo"],
        ["no readable image"],
    ),
    "misspelt image": (["classify", str(JPEG)[:-2], "--demo"], ["did you mean 'rocket_exif6.jpg'?"]),
    "misspelt script": (
        ["run-pycaffe", ROOT.parent / "golden_siute.py"],
        ["No such file", "did you mean 'golden_suite.py'?"],
    ),
    "misspelt log": (
        ["plot-training", ROOT / "indx.json", "-o", inside("x.png")],
        ["No such file", "did you mean 'index.json'?"],
    ),
    "misspelt device": (
        ["convert-caffemodel", DEPLOY, MODEL, *OUT, "--verify", "--device", "cuda0"],
        ["device must be cpu, cuda or cuda:N, got 'cuda0'"],
    ),
    "unknown row": (
        ["eval-ilsvrc", "--table", "4", "--row", "D:256,512"],
        ["no row 'D:256,512'", "did you mean 'D:256;512'"],
    ),
    "table without results": (["eval-ilsvrc", "--table", "2"], ["tables 3 to 7"]),
    "two outputs": (
        ["eval-ilsvrc", "--weights", f"n={MODEL}", "--deploy", file("n.prototxt", TWO_OUTPUTS), *ZERO],
        ["outputs a, b; expected one", "--score-blob"],
    ),
    "unknown preset": (["train-ilsvrc", "--preset", "D:255"], ["no preset", "did you mean 'D:256'"]),
    "names of another number of classes": (
        ["classify", JPEG, "--demo", "--synsets", file("names.txt", "n01440764 one\nn01443537 two\n")],
        ["2 classes, but the network has"],
    ),
    "prototxt as an image": (["classify", NET, "--demo"], ["net.prototxt"]),
    "folder as an image": (["classify", ROOT, "--demo"], [str(ROOT)]),
    "features under another name": (
        ["extract-features", ROOT / "images", "--demo", "-o", inside("x.txt")],
        ["expected a name that ends in .npy, .h5 or .hdf5"],
    ),
    "features of a misspelt blob": (
        ["extract-features", ROOT / "images", "--demo", "-o", inside("x.npy"), "--blob", "fc_7"],
        ["no blob 'fc_7'", "did you mean 'fc7'"],
    ),
    "prototxt as a log": (["plot-training", NET, "-o", inside("x.png")], ["neither our log nor Caffe's"]),
    "no GPU of that name": (
        ["convert-caffemodel", DEPLOY, MODEL, *OUT, "--verify", "--device", "gpu"],
        ["device must be cpu, cuda or cuda:N, got 'gpu'"],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if name == "output in a read-only folder" and os.geteuid() == 0:
        pytest.skip("nothing is read-only for root")
    arguments, told = MISTAKES[name]
    made = [argument(tmp_path) if callable(argument) else str(argument) for argument in arguments]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    try:
        code = main(made)
    except SystemExit as ended:
        code = int(ended.code or 0)
    printed = capsys.readouterr()
    errors = [line for line in printed.err.splitlines() if not line.startswith("warning: ")]
    assert code == 2
    assert len(errors) == 1, printed.err
    assert errors[0].startswith("error: ")
    assert [text for text in told if text not in errors[0]] == []
    assert printed.out == ""
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


OWN = file("n.prototxt", DEPLOY.read_text().replace("VGG", "V"))

WARNED: dict[str, tuple[list[object], str]] = {
    "mean from red to blue": (
        ["convert-caffemodel", DEPLOY, MODEL, *OUT, "--mean", "123.68,116.779,103.939"],
        "give --mean 103.939,116.779,123.68",
    ),
    "training net": (
        ["convert-caffemodel", NET, WEIGHTS, *OUT],
        "a training net: the model keeps accuracy, loss and the input label; --deploy leaves them out",
    ),
    "mean of VGG for another net": (
        ["classify", JPEG, "--weights", f"small={MODEL}", "--scales", "72", "--deploy", OWN],
        "no --mean: the mean pixel of the paper's models, 103.939,116.779,123.68, is subtracted for small",
    ),
}


@pytest.mark.parametrize("name", WARNED)
def test_what_may_be_a_mistake_is_a_warning(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, told = WARNED[name]
    made = [argument(tmp_path) if callable(argument) else str(argument) for argument in arguments]
    assert main(made) == 0
    warned = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(warned) == 1
    assert told in warned[0]


@pytest.mark.parametrize(
    "name", ["camera_grey.jpg", "chelsea_cmyk.jpg", "coffee_wide.png", "hubble_png.JPEG"]
)
def test_what_is_no_mistake(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", str(ROOT / "images" / name), "--demo"]) == 0
    assert capsys.readouterr().err == ""


def test_names_cannot_speak_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    synsets = "".join(f"n014407{label:02} \x1b]0;{label}\x07\u202e\n" for label in range(100))
    names = tmp_path / "names.txt"
    names.write_text(synsets[: synsets.index("n01440710")], encoding="utf-8")
    assert main(["classify", str(JPEG), "--demo", "--synsets", str(names)]) in (0, 2)
    printed = capsys.readouterr()
    assert not {"\x1b", "\x07", "\u202e"} & set(printed.out + printed.err)
