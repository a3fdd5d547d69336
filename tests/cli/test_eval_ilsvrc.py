"""The eval_ilsvrc command: sources of images and labels, results, and what it refuses."""

import json
import tarfile
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest

from vggrepro.caffe.messages import Datum
from vggrepro.cli.eval_ilsvrc import main
from vggrepro.evaluation import demo


def net_options(nets):
    return ["--weights", f"one={nets[0].weights}", "--deploy", str(nets[0].deploy), "--threads", "1"]


def run(nets, tmp_path, *options, protocol="dense"):
    """The JSON result of a run."""
    out = tmp_path / "result.json"
    assert (
        main([*net_options(nets), "--protocol", protocol, "--scales", "9,12", "--json", str(out), *options])
        == 0
    )
    return json.loads(out.read_text())


def numbers(result):
    return [result[key] for key in ("top1_wrong", "top5_wrong", "images_counted")], [
        (w["image"], w["truth"], w["guesses"]) for w in result["worst"]
    ]


def folder_options(images):
    return ["--images", str(images / "images"), "--labels", str(images / "val.txt")]


def wnid(label):
    return f"n{10000000 + 7 * label:08}"


def synsets(path, order):
    path.write_text("".join(f"{wnid(label)} class number {label}, of a test\n" for label in order))
    return path


def test_a_tar_gives_what_the_folder_gives(nets, images, tmp_path, capsys):
    with tarfile.open(tmp_path / "val.tar", "w") as archive:
        for path in sorted((images / "images").iterdir(), reverse=True):
            archive.add(path, path.name)
    of_folder = run(nets, tmp_path, *folder_options(images))
    of_tar = run(nets, tmp_path, "--images", str(tmp_path / "val.tar"), "--labels", str(images / "val.txt"))
    assert numbers(of_tar) == numbers(of_folder)
    assert of_folder["images_counted"] == 23


@pytest.mark.parametrize("encoded", [True, False])
def test_an_lmdb_gives_what_the_folder_gives(nets, images, tmp_path, encoded, capsys):
    environment = lmdb.open(str(tmp_path / "db"), map_size=1 << 24)
    with environment.begin(write=True) as transaction:
        for number, line in enumerate((images / "val.txt").read_text().splitlines()):
            name, label = line.split()
            content = (images / "images" / name).read_bytes()
            datum = Datum(label=int(label), encoded=encoded, data=content)
            if not encoded:
                pixels = cv2.imread(str(images / "images" / name))
                datum.height, datum.width, datum.channels = pixels.shape
                datum.data = pixels.transpose(2, 0, 1).tobytes()
            transaction.put(f"{number:08}_{name}".encode(), datum.SerializeToString())
    environment.close()
    of_lmdb = run(nets, tmp_path, "--images", str(tmp_path / "db"))
    of_folder = run(nets, tmp_path, *folder_options(images))
    assert numbers(of_lmdb)[0] == numbers(of_folder)[0]
    assert [w["guesses"] for w in of_lmdb["worst"]] == [w["guesses"] for w in of_folder["worst"]]


def test_the_devkits_ground_truth_is_brought_to_the_networks_order(nets, images, tmp_path, capsys):
    devkit_order = [3, 0, 6, 5, 1, 2, 4]
    labels = [int(line.split()[1]) for line in (images / "val.txt").read_text().splitlines()]
    truth = tmp_path / "ILSVRC2012_validation_ground_truth.txt"
    truth.write_text("".join(f"{devkit_order.index(label) + 1}\n" for label in labels))
    devkit = synsets(tmp_path / "by_id.txt", devkit_order)
    options = ["--images", str(images / "images"), "--labels", str(truth), "--devkit", str(devkit)]
    of_devkit = run(nets, tmp_path, *options)
    of_list = run(nets, tmp_path, *folder_options(images))
    assert numbers(of_devkit) == numbers(of_list)
    assert of_devkit["classes"][0]["name"] == f"{wnid(0)} class number 0, of a test"
    # Sorted into folders by class the files still count in the order of their own names.
    for line in (images / "val.txt").read_text().splitlines():
        name, label = line.split()
        (images / "images" / wnid(int(label))).mkdir(exist_ok=True)
        (images / "images" / name).rename(images / "images" / wnid(int(label)) / name)
    assert numbers(run(nets, tmp_path, *options))[0] == numbers(of_list)[0]


def test_the_devkits_ground_truth_says_nothing_about_a_database(nets, tmp_path, capsys):
    environment = lmdb.open(str(tmp_path / "db"))
    with environment.begin(write=True) as transaction:
        transaction.put(b"0_a.png", Datum(label=1, encoded=True, data=b"").SerializeToString())
    environment.close()
    (tmp_path / "truth.txt").write_text("2\n")
    options = ["--labels", str(tmp_path / "truth.txt"), "--devkit", str(synsets(tmp_path / "s", range(7)))]
    assert main([*net_options(nets), "--scales", "9", "--images", str(tmp_path / "db"), *options]) == 2
    assert "is a database in an order of its own" in error_line(capsys)


def test_the_blacklist_leaves_images_out(nets, images, tmp_path, capsys):
    blacklist = tmp_path / "blacklist.txt"
    blacklist.write_text("1\n5\n23\n")
    result = run(nets, tmp_path, *folder_options(images), "--blacklist", str(blacklist))
    assert (result["images_counted"], result["images"]["blacklisted"]) == (20, 3)
    assert "3 blacklisted images are left out" in capsys.readouterr().out


def test_the_blacklist_counts_by_the_numbers_in_ilsvrcs_names(nets, images, tmp_path, capsys):
    """A list that holds a part of the images: the third file is image 41 of the real set, not 3."""
    lines = []
    for number, line in zip((7, 30, 41, 50_000), (images / "val.txt").read_text().splitlines(), strict=False):
        name, label = line.split()
        renamed = f"ILSVRC2012_val_{number:08}.png"
        (images / "images" / name).rename(images / "images" / renamed)
        lines.append(f"{renamed} {label}\n")
    (images / "val.txt").write_text("".join(lines))
    (tmp_path / "blacklist.txt").write_text("3\n41\n49999\n")
    result = run(nets, tmp_path, *folder_options(images), "--blacklist", str(tmp_path / "blacklist.txt"))
    assert (result["images_counted"], result["images"]["blacklisted"]) == (3, 1)
    assert "ILSVRC2012_val_00000041.png" not in {w["image"] for w in result["worst"]}


def test_several_rows_of_a_table(nets, images, tmp_path, capsys):
    """Row after row with a stand-in for the nets: the report has each beside the paper's number."""
    net = nets[0]
    rows = ["--row", "D:256", "--row", "D:384"]
    files = [o for key in ("D:256", "D:384") for o in ("--weights", f"{key}={net.weights}")]
    files += [o for key in ("D:256", "D:384") for o in ("--deploy", f"{key}={net.deploy}")]
    out = [["--json", str(tmp_path / "r.json")], ["--html", str(tmp_path / "r.html")]]
    command = ["--table", "3", *rows, *files, *folder_options(images), "--limit", "3", *out[0], *out[1]]
    assert main(command) == 0
    found = json.loads((tmp_path / "r.json").read_text())
    assert list(found["results"]) == ["table 3, D:256", "table 3, D:384"]
    assert found["results"]["table 3, D:384"]["members"][0]["scales"] == [384]
    assert found["results"]["table 3, D:384"]["members"][0]["flip"] is True
    assert found["results"]["table 3, D:384"]["expected"]["top1_error_percent"] == 26.8
    assert (tmp_path / "r.html").read_text().count('class="ours"') == 2
    assert main([*command, "--expect", "seven"]) == 2
    assert main([*command, "--expect", "paper"]) == 1
    assert "missed: table 3, D:256: paper has 27.0 / 8.8" in capsys.readouterr().err


def test_a_wrong_class_order_is_diagnosed(tmp_path, capsys):
    """Labels that are ILSVRC2012_ID less 1, taken for places among the sorted WNIDs."""
    names = demo.SYNSETS.read_text().splitlines()
    devkit_order = [3, 0, 6, 9, 5, 1, 8, 2, 7, 4]
    (tmp_path / "by_id.txt").write_text("".join(f"{names[label]}\n" for label in devkit_order))
    entries = [line.split() for line in demo.LABELS.read_text().splitlines()]
    lines = [f"{name} {devkit_order.index(int(label))}\n" for name, label in entries]
    (tmp_path / "mixed.txt").write_text("".join(lines))
    out = tmp_path / "result.json"
    network = ["--weights", str(demo.FILES.weights), "--deploy", str(demo.FILES.deploy)]
    images = ["--images", str(demo.IMAGES), "--labels", str(tmp_path / "mixed.txt"), "--limit", "100"]
    order = ["--synsets", str(demo.SYNSETS), "--devkit", str(tmp_path / "by_id.txt")]
    mean = ["--mean", ",".join(map(str, demo.mean_bgr()))]
    protocol = ["--protocol", "dense", "--scales", "72", "--no-flip", "--json", str(out)]
    assert main([*network, *images, *order, *mean, *protocol]) == 0
    (notice,) = json.loads(out.read_text())["notices"]
    assert "with the labels read as ILSVRC2012_ID of" in notice
    assert "use that order" in notice
    assert "warning: top-1 accuracy" in capsys.readouterr().err


def test_bad_images_are_named_and_counted_in_no_error(nets, images, tmp_path, capsys):
    (images / "images" / "val_003.png").write_bytes(b"not a picture")
    (images / "images" / "val_007.png").write_bytes(b"")
    cut_jpeg(images / "images" / "val_009.png")
    result = run(nets, tmp_path, *folder_options(images), "--on-bad-image", "skip")
    assert result["images_counted"] == 21
    assert sorted(result["images"]["bad"]) == ["val_003.png", "val_007.png"]
    assert list(result["images"]["truncated"]) == ["val_009.png"]
    printed = capsys.readouterr().out
    assert "images that cannot be decoded, and count in no error (2): val_003.png, val_007.png" in printed


def cut_jpeg(path):
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    data = cv2.imencode(".jpg", picture)[1].tobytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def test_a_bad_image_is_an_error_by_default(nets, images, tmp_path, capsys):
    (images / "images" / "val_003.png").write_bytes(b"not a picture")
    assert main([*net_options(nets), "--protocol", "dense", "--scales", "9", *folder_options(images)]) == 2
    assert "val_003.png" in error_line(capsys)


def test_an_image_that_an_earlier_run_skipped_is_an_error_too(nets, images, tmp_path, capsys):
    (images / "images" / "val_003.png").write_bytes(b"not a picture")
    cache = ["--cache", str(tmp_path / "cache")]
    run(nets, tmp_path, *folder_options(images), *cache, "--on-bad-image", "skip")
    capsys.readouterr()
    assert main([*net_options(nets), "--scales", "9,12", *folder_options(images), *cache]) == 2
    assert "val_003.png" in error_line(capsys)


def test_cached_views_are_averaged_again_without_a_network(nets, images, tmp_path, capsys, monkeypatch):
    cache = ["--cache", str(tmp_path / "cache")]
    run(nets, tmp_path, *folder_options(images), *cache, protocol="both")
    monkeypatch.setattr("vggrepro.evaluation.measuring.row_kind.posterior_score", None)
    out = tmp_path / "again.json"
    options = [*net_options(nets), *folder_options(images), *cache, "--json", str(out)]
    for protocol in ("multicrop", "dense"):
        for scales in ("9", "12"):
            assert main([*options, "--protocol", protocol, "--scales", scales, "--no-flip"]) == 0
    # What is not there would need the network.
    assert main([*options, "--protocol", "dense", "--scales", "11"]) == 2
    assert "error: internal: TypeError: 'NoneType' object is not callable" in capsys.readouterr().err


def test_a_cache_serves_a_sample_and_then_the_rest(nets, images, tmp_path, capsys):
    cache = ["--cache", str(tmp_path / "cache")]
    fresh = run(nets, tmp_path, *folder_options(images), protocol="both")
    sample = run(nets, tmp_path, *folder_options(images), *cache, "--limit", "9", protocol="both")
    assert sample["images_counted"] == 9
    assert "a sample: 9 of 23 images" in capsys.readouterr().out
    whole = run(nets, tmp_path, *folder_options(images), *cache, protocol="both")
    assert numbers(whole)[0] == numbers(fresh)[0]


def test_a_cache_of_other_weights_or_images_is_refused(nets, images, tmp_path, capsys):
    options = ["--protocol", "dense", "--scales", "9", "--cache", str(tmp_path / "cache")]
    run(nets, tmp_path, *folder_options(images), *options)
    other = ["--weights", f"one={nets[1].weights}", "--deploy", str(nets[1].deploy)]
    assert main([*other, *folder_options(images), *options]) == 2
    assert "the cache was made with weights_sha256" in error_line(capsys)
    assert main([*net_options(nets), *folder_options(images), *options, "--mean", "1,2,3"]) == 2
    assert "the cache was made with mean_bgr" in error_line(capsys)
    picture = cv2.imread(str(images / "images" / "val_000.png"))
    cv2.imwrite(str(images / "images" / "val_000.png"), picture // 2)
    assert main([*net_options(nets), *folder_options(images), *options]) == 2
    assert "the cache was made with samples_sha256" in error_line(capsys)


def test_several_nets_are_fused(nets, images, tmp_path, capsys):
    out = tmp_path / "fused.json"
    both = [option for files in nets for option in ("--weights", f"{files.name}={files.weights}")]
    deploys = [option for files in nets for option in ("--deploy", f"{files.name}={files.deploy}")]
    options = ["--protocol", "dense", "--scales", "9,12", "--json", str(out)]
    assert main([*both, *deploys, *options, *folder_options(images)]) == 0
    result = json.loads(out.read_text())
    assert [m["net"] for m in result["members"]] == ["one", "two"]
    assert result["what"].startswith("one dense Q=9,12 with flips + two dense")
    assert len(result["parts"]) == 6  # each net, and each of its scales


def error_line(capsys):
    """The one line on stderr that is neither progress nor a warning (tiny nets guess)."""
    printed = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    lines = [line for line in printed if "img/s" not in line and not line.startswith(("warning: ", "next: "))]
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]


REFUSED = [
    (["--table", "9"], "tables 3 to 7"),
    (["--table", "3", "--row", "D:512"], "table 3 has no row 'D:512'"),
    (["--row", "D:512"], "expected --table N"),
    (["--table", "3", "--row", "D:384", "--scales", "256"], "--scales: the rows of a table fix it"),
    (["--table", "3", "--row", "D:384"], "no weights for D:384"),
    (["--table", "7", "--row", "msra-1"], "cannot be run"),
    (["--scales", "256"], "no network"),
    (["--demo", "--weights", "x"], "--demo brings its own"),
    (["--demo", "--table", "3"], "--demo brings its own"),
    (["--demo", "--protocol", "tencrop", "--no-flip"], "cannot go without flips"),
    (["--demo", "--protocol", "centre", "--scales", "40"], "smaller than VGG_A_digits's crops of 64"),
    (["--demo", "--protocol", "dense", "--expect", "seven"], "--expect 'seven'"),
    (["--demo", "--protocol", "dense", "--expect", "paper"], "--table N"),
    (["--demo", "--protocol", "dense", "--device", "gpu"], "device must be cpu, cuda"),
    (["--demo", "--protocol", "dense", "--score-blob", "fc9"], "no blob 'fc9'"),
    (["--demo", "--protocol", "dense", "--score-blob", "prob"], "holds posteriors, expected class scores"),
    (["--demo", "--expect", "4,1"], "--expect 4,1: is for one combination, but 17 are evaluated"),
    (["--demo", "--expect", "paper"], "--expect paper: expected --table N with it"),
    (["--demo", "--mean", "1,2,3"], "--mean: --demo brings its own"),
    (["--demo", "--json", str(Path(__file__).parent)], "Is a directory"),
    (
        ["--demo", "--html", str(Path(__file__).parent / "nothing" / "r.html")],
        "nothing: No such file or directory",
    ),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(options, message, capsys):
    assert main(options) == 2
    assert message in error_line(capsys)


MISSPELT = [
    (["--limit", "0"], "argument --limit: expected a whole number from 1, got '0'"),
    (["--scales", "72,big"], "argument --scales: expected a whole number from 1, got 'big'"),
    (["--threads", "-1"], "argument --threads: expected a whole number from 0, got '-1'"),
    (["--mean", "1,2"], "argument --mean: expected three numbers, blue, green, red, got '1,2'"),
    (["--mean", "1,2,nan"], "argument --mean: expected numbers with commas between them, got '1,2,nan'"),
    (["--protocol", "sparse"], "argument --protocol: invalid choice: 'sparse'"),
    (["--imags", "x"], "unrecognized arguments: --imags x"),
]


@pytest.mark.parametrize(("options", "message"), MISSPELT)
def test_a_misspelt_command_line_is_one_line_and_exit_code_2(options, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(options)
    assert message in error_line(capsys)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: ["--images", str(p / "nothing")], "nothing"),
        (lambda p: ["--images", str(p / "images")], "no class can be told"),
        (lambda p: [*folder_options(p), "--synsets", str(synsets(p / "s.txt", range(5)))], "5 classes"),
        (lambda p: ["--images", str(p / "images"), "--labels", str(p / "none.txt")], "none.txt"),
        (lambda p: [*folder_options(p), "--blacklist", str(p / "val.txt")], "val.txt:1"),
        (lambda _: [], "no images"),
    ],
)
def test_images_and_labels_that_do_not_fit(nets, images, make, message, capsys):
    assert main([*net_options(nets), "--scales", "9", *make(images)]) == 2
    assert message in error_line(capsys)


def test_labels_beyond_the_networks_classes(nets, images, capsys):
    (images / "val.txt").write_text("val_000.png 7\n")
    assert main([*net_options(nets), "--scales", "9", *folder_options(images)]) == 2
    assert "labels run from 7 to 7, expected 0 to 6" in error_line(capsys)


def test_weights_that_lack_a_layer_are_refused(nets, images, tmp_path, capsys):
    text = nets[0].deploy.read_text().replace('name: "fc6"', 'name: "fc6b"')
    (tmp_path / "other.prototxt").write_text(text)
    weights = ["--weights", f"one={nets[0].weights}", "--deploy", str(tmp_path / "other.prototxt")]
    assert main([*weights, "--scales", "9", *folder_options(images)]) == 2
    assert "no weights for layer fc6b" in error_line(capsys)


def test_results_are_not_written_where_they_cannot_be(nets, images, tmp_path, capsys):
    options = ["--scales", "9", *folder_options(images), "--json", str(tmp_path / "no" / "r.json")]
    assert main([*net_options(nets), *options]) == 2
    assert f"{tmp_path / 'no'}: No such file or directory" in error_line(capsys)


def test_the_rows_are_listed(capsys):
    assert main(["--list-rows"]) == 0
    printed = capsys.readouterr().out
    assert '--table 4 --row "E:256;512"' in printed
    assert printed.startswith("Table 3. ")
