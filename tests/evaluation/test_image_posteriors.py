"""Posteriors of a few images, and their most probable classes."""

import numpy as np
import pytest

from vggrepro.data.sources import open_images
from vggrepro.errors import DataError, ProtocolError
from vggrepro.evaluation.image_posteriors import Guess, best_guesses, image_files, image_posteriors
from vggrepro.evaluation.measuring.evaluated_net import load_classifier, load_network
from vggrepro.evaluation.measuring.pipeline import Execution, ImageSet
from vggrepro.evaluation.protocols import Member

MEAN = (104.5, 116.0, 123.25)
RUN = Execution(threads=1)


def members(*names):
    return [Member(name, "centre", (9,), flip=False) for name in names]


def test_images_that_are_not_selected_have_no_posterior(images, nets):
    source = open_images(images / "images")
    network = load_classifier(nets[0], MEAN)
    whole, _ = image_posteriors(ImageSet.whole(source), members("one"), [network], RUN)
    some, problems = image_posteriors(ImageSet(source, np.array([4, 20])), members("one"), [network], RUN)
    assert problems == {}
    assert np.flatnonzero(~np.isnan(some).any(axis=1)).tolist() == [4, 20]
    assert some[[4, 20]] == pytest.approx(whole[[4, 20]], abs=1e-6)
    assert whole.sum(axis=1) == pytest.approx(np.ones(23))


def test_bad_images_are_named_or_end_the_run(images, nets):
    (images / "images" / "val_003.png").write_bytes(b"not a picture")
    source = open_images(images / "images")
    network = load_classifier(nets[0], MEAN)
    with pytest.raises(DataError, match=r"val_003\.png"):
        image_posteriors(ImageSet.whole(source), members("one"), [network], RUN)
    found, problems = image_posteriors(ImageSet.whole(source, on_bad="skip"), members("one"), [network], RUN)
    assert {index: problem.kind for index, problem in problems.items()} == {3: "bad"}
    assert np.flatnonzero(np.isnan(found).any(axis=1)).tolist() == [3]


def test_networks_of_different_classes_are_not_fused(images, nets):
    networks = [load_classifier(nets[0], MEAN), load_network(nets[1], MEAN, "fc6")]
    with pytest.raises(ProtocolError, match=r"networks with \[7, 9\] classes cannot be fused"):
        image_posteriors(ImageSet.whole(open_images(images / "images")), members("one", "two"), networks, RUN)


def test_single_files_are_a_source_in_their_order(images):
    paths = [images / "images" / "val_002.png", images / "images" / "val_001.png"]
    source = image_files(paths)
    assert [source.key(index) for index in range(len(source))] == [str(path) for path in paths]
    assert source.read(0) == paths[0].read_bytes()


def test_the_most_probable_classes():
    posteriors = np.array([[0.2, 0.5, 0.3], [np.nan, np.nan, np.nan]])
    assert best_guesses(posteriors, 2) == [[Guess(1, 0.5), Guess(2, 0.3)], []]
