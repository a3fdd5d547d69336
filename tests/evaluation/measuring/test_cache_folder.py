"""Where caches lie: the named folder stays, a temporary one goes, also that of a killed run."""

import tempfile

import cv2
import numpy as np
import pytest

from vggrepro.data.sources import open_images
from vggrepro.evaluation.measuring.cache_folder import opened_cache
from vggrepro.system.ranks import Alone


@pytest.fixture
def source(tmp_path):
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((4, 5, 3), np.uint8))
    return open_images(tmp_path / "images")


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_named_folder_stays(source, tmp_path, temporary):
    with opened_cache(source, Alone(), tmp_path / "cache") as cache:
        assert cache.root == tmp_path / "cache"
    assert (tmp_path / "cache").is_dir()
    assert list(temporary.iterdir()) == []


def test_a_temporary_folder_goes_whatever_happens(source, temporary):
    with pytest.raises(KeyError), opened_cache(source, Alone(), None) as cache:
        assert cache.root.parent == temporary
        raise KeyError
    assert list(temporary.iterdir()) == []


def test_the_folder_of_a_killed_run_goes_and_that_of_a_running_one_stays(source, temporary):
    killed = temporary / ".vggrepro-cache-killed"
    killed.mkdir()
    (killed / "lock").write_bytes(b"")
    with opened_cache(source, Alone(), None) as running:
        assert not killed.exists()
        with opened_cache(source, Alone(), None):
            assert running.root.is_dir()
