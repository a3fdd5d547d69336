"""The eval_ilsvrc command on as many files as the ILSVRC validation set has, in one tar as the original's."""

import io
import json
import re
import subprocess
import tarfile

import cv2
import numpy as np
import pytest
from evaluation_process import EVALUATE, ONE_THREAD, run_until_half_done

from vggrepro.caffe.snapshot import write_caffemodel
from vggrepro.data.augment import ILSVRC_MEAN_BGR
from vggrepro.data.sources import open_images
from vggrepro.evaluation.image_posteriors import image_posteriors
from vggrepro.evaluation.measuring.evaluated_net import load_classifier
from vggrepro.evaluation.measuring.pipeline import Execution, ImageSet
from vggrepro.evaluation.metrics import truth_ranks
from vggrepro.evaluation.net_files import NetFiles
from vggrepro.evaluation.protocols import Member
from vggrepro.net import load_net

FILES, CLASSES, DISTINCT = 50_000, 1000, 125
SCALES = (9, 12)

PROTOTXT = """name: "thousand"
input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 6 kernel_size: 4 stride: 4 weight_filler { type: "gaussian" std: 0.02 } } }
layer { name: "fc8" type: "InnerProduct" bottom: "conv1" top: "fc8"
  inner_product_param { num_output: 1000 weight_filler { type: "gaussian" std: 0.5 } } }
layer { name: "prob" type: "Softmax" bottom: "fc8" top: "prob" }
"""


def name(number):
    return f"ILSVRC2012_val_{number + 1:08}.JPEG"


@pytest.fixture(scope="module")
def ilsvrc(tmp_path_factory):
    """The tar, its val.txt, a network, and the errors that an evaluation must find."""
    folder = tmp_path_factory.mktemp("ilsvrc")
    rng = np.random.default_rng(5)
    pictures = write_tar(folder, rng)
    net = write_thousand(folder)
    posteriors, _ = image_posteriors(
        ImageSet.whole(open_images(folder / "distinct")),
        [Member(net.name, "dense", SCALES, flip=True)],
        [load_classifier(net, ILSVRC_MEAN_BGR)],
        Execution(threads=1),
    )
    # Labels near the top of each picture's ranking, so that both errors are neither 0 nor 100%.
    order = np.argsort(-posteriors, axis=1)
    labels = order[pictures, rng.integers(0, 9, FILES)]
    (folder / "val.txt").write_text("".join(f"{name(n)} {label}\n" for n, label in enumerate(labels)))
    ranks = truth_ranks(posteriors[pictures], labels)
    return folder, net, int((ranks >= 1).sum()), int((ranks >= 5).sum())


def write_tar(folder, rng):
    """Write the tar; returns which of the distinct pictures each file is."""
    (folder / "distinct").mkdir()
    encoded = []
    for number in range(DISTINCT):
        height, width = [(10, 14), (14, 10), (12, 12), (9, 17)][rng.integers(4)]
        coarse = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
        data = cv2.imencode(".jpg", cv2.resize(coarse, (width, height)))[1].tobytes()
        (folder / "distinct" / f"{number:03}.JPEG").write_bytes(data)
        encoded.append(data)
    pictures = rng.integers(0, DISTINCT, FILES)
    with tarfile.open(folder / "ILSVRC2012_img_val.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        for number in rng.permutation(FILES):  # the original is in no order either
            member = tarfile.TarInfo(name(number))
            member.size = len(encoded[pictures[number]])
            archive.addfile(member, io.BytesIO(encoded[pictures[number]]))
    return pictures


def write_thousand(folder):
    files = NetFiles("thousand", folder / "thousand.prototxt", folder / "thousand.caffemodel")
    files.deploy.write_text(PROTOTXT)
    net = load_net(files.deploy, seed=3)
    blobs = {p.name: [net.params[use.key] for use in p.params] for p in net.layers if p.params}
    write_caffemodel(files.weights, net.message, blobs)
    return files


@pytest.mark.slow
def test_fifty_thousand_files_with_a_kill_in_between(ilsvrc, tmp_path):
    folder, net, wrong1, wrong5 = ilsvrc
    images = ["--images", str(folder / "ILSVRC2012_img_val.tar"), "--labels", str(folder / "val.txt")]
    network = ["--weights", f"thousand={net.weights}", "--deploy", str(net.deploy)]
    protocol = ["--protocol", "dense", "--scales", ",".join(map(str, SCALES)), "--batch", "64"]
    command = [*EVALUATE, *images, *network, *protocol, *ONE_THREAD]
    cache = tmp_path / "cache"
    finished = run_until_half_done(command, cache)
    resume = [*command, "--cache", str(cache), "--json", str(tmp_path / "r.json")]
    done = subprocess.run(resume, check=True, capture_output=True, text=True)
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["images_counted"] == FILES
    assert (found["top1_wrong"], found["top5_wrong"]) == (wrong1, wrong5)
    assert len(found["classes"]) <= CLASSES
    assert sum(c["images_counted"] for c in found["classes"]) == FILES
    first = int(re.search(r"goes on at ([0-9,]+) of 50,000 images", done.stderr)[1].replace(",", ""))
    assert first >= finished.sum() * 0.2  # where the killed run was (one stream of four is counted)
    assert "50,000 of 50,000 images" in done.stderr
