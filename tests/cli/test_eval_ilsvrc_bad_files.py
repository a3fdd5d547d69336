"""The eval_ilsvrc command: damaged and wrong files are one line and exit code 2, and old results stay."""

import pytest

from vggrepro.cli.eval_ilsvrc import main

WNIDS = [f"n{10000000 + label:08}" for label in range(7)]


@pytest.fixture
def folder(nets, images, tmp_path, monkeypatch):
    """The tiny net and its images, lists in several forms, and the results of an earlier run."""
    monkeypatch.chdir(tmp_path)
    entries = [line.split() for line in (tmp_path / "val.txt").read_text().splitlines()]
    (tmp_path / "ids.txt").write_text("".join(f"{int(label) + 1}\n" for _, label in entries))
    (tmp_path / "synsets.txt").write_text("".join(f"{wnid}\n" for wnid in WNIDS))
    for name in ("r.json", "p.csv", "r.html"):
        (tmp_path / name).write_text("of an earlier run")
    return tmp_path


def sorted_into_classes(folder):
    """The images in folders by class, one of which is empty."""
    for line in (folder / "val.txt").read_text().splitlines():
        name, label = line.split()
        into = folder / "images" / WNIDS[int(label)]
        into.mkdir(exist_ok=True)
        if label != "3":
            (folder / "images" / name).rename(into / name)
        else:
            (folder / "images" / name).unlink()
    return []


def devkit(folder, content):
    (folder / "devkit.txt").write_bytes(content)
    return ["--labels", "ids.txt", "--synsets", "synsets.txt", "--devkit", "devkit.txt"]


def written(folder, option, name, content):
    (folder / name).write_bytes(content)
    return [option, name, *([] if option == "--labels" else ["--labels", "val.txt"])]


def kaggle(folder, line):
    solution = f"ImageId,PredictionString\n{line}\n".encode()
    return [*written(folder, "--labels", "k.csv", solution), "--synsets", "synsets.txt"]


CASES = {
    "an empty class": (sorted_into_classes, "images: 6 classes, but the network has 7"),
    "an empty line among the classes": (
        lambda f: written(f, "--synsets", "s.txt", "\n".join([*WNIDS[:3], "", *WNIDS[4:]]).encode()),
        "s.txt: 6 classes, but the network has 7",
    ),
    "a class without a name": (lambda f: written(f, "--synsets", "s.txt", b""), "s.txt: File is empty"),
    "a label that is missing": (
        lambda f: written(f, "--labels", "v.txt", b"val_000.png\n"),
        "v.txt:1: expected",
    ),
    "a devkit of other classes": (
        lambda f: devkit(f, b"".join(b"n2000000%d\n" % i for i in range(7))),
        "ids.txt: class n2000000",
    ),
    "a devkit of fewer classes": (lambda f: devkit(f, f"{WNIDS[0]}\n".encode()), "but devkit.txt has 1 to 1"),
    "a picture as devkit": (lambda f: devkit(f, b"\x89PNG\r\n"), "devkit.txt: not a text file"),
    "no devkit": (lambda f: devkit(f, b"")[:-2], "the devkit's meta.mat"),
    "Kaggle's file without a class": (lambda f: kaggle(f, "val_000,"), "k.csv:2: expected"),
    "Kaggle's file torn": (lambda f: kaggle(f, f'val_000,"{WNIDS[0]} 1 2'), "k.csv:2: expected"),
    "torn predictions": (
        lambda f: written(f, "--compare", "q.csv", b"image,truth,rank,class1\nval_000.png,3,1,3\nval_0"),
        "q.csv:3: expected an image, its truth, and a rank from 1, got ['val_0']",
    ),
    "a quote without an end": (
        lambda f: written(
            f, "--compare", "q.csv", b'image,truth,rank\n"val_000.png,3,1\n' + 99 * b"val_001.png,3,1\n"
        ),
        "q.csv:2: expected an image",
    ),
    "predictions of nothing": (
        lambda f: written(f, "--compare", "q.csv", b"image,truth,rank\n"),
        "has no images",
    ),
    "predictions of other images": (
        lambda f: written(f, "--compare", "q.csv", b"image,truth,rank\nx.png,3,1\n"),
        "q.csv: not the same images: q.csv lacks 23, val_000.png first",
    ),
    "a report without predictions": (
        lambda f: written(f, "--compare", "q.json", b'{"format": 2, "name": "a", "settings": %s}' % SETTINGS),
        "q.json: names no predictions of its run",
    ),
}
SETTINGS = b'{"command": [], "directory": "/"}'


@pytest.mark.parametrize("case", CASES)
def test_one_line_and_nothing_lost(folder, capsys, monkeypatch, case):
    make, message = CASES[case]
    if "predictions" in case:  # known before the work
        monkeypatch.setattr("vggrepro.evaluation.evaluate.evaluate", None)
    options = ["--json", "r.json", "--predictions", "p.csv", "--html", "r.html", *make(folder)]
    network = ["--weights", "one=one.caffemodel", "--deploy", "one=one.prototxt", "--threads", "1"]
    assert main([*network, "--images", "images", "--scales", "9", "--mean", "1", *options]) == 2
    lines = capsys.readouterr().err.splitlines()
    (line,) = [line for line in lines if line.strip() and "img/s" not in line]
    assert line.startswith("error: ")
    assert message in line
    assert len(line) < 300
    assert {(folder / name).read_text() for name in ("r.json", "p.csv", "r.html")} == {"of an earlier run"}
