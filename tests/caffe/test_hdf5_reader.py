"""HDF5 files that point elsewhere, to themselves, or to sizes that they do not have."""

import os
import zlib

import h5py
import numpy as np
import pytest

from vggrepro.caffe import hdf5, hdf5_reader
from vggrepro.errors import ParseError, UnsupportedError, VggReproError, WeightsError

ONES = np.ones(4, np.float32)


@pytest.fixture
def make(tmp_path):
    """Write a file with a function, and read its layers by name."""

    def write_and_read(fill):
        path = tmp_path / "w.h5"
        with h5py.File(path, "w") as file:
            fill(file)
        return dict(hdf5.read_layers(path))

    return write_and_read


def secret(folder):
    """A file that no weight file may read."""
    path = folder / "secret.h5"
    with h5py.File(path, "w") as file:
        file["data/l/0"] = ONES
    (folder / "secret.bin").write_bytes(ONES.tobytes())
    return path


def external(file):
    file.create_dataset("data/l/0", (4,), "<f4", external=[("secret.bin", 0, 16)])


def virtual(file):
    layout = h5py.VirtualLayout((4,), "<f4")
    layout[:] = h5py.VirtualSource("secret.h5", "data/l/0", (4,))
    file.create_virtual_dataset("data/l/0", layout)


def link(place, target):
    def fill(file):
        file.create_group("data/l")
        if place in file:
            del file[place]
        file[place] = target

    return fill


@pytest.mark.parametrize(
    ("fill", "named"),
    [
        (external, "'0': HDF5 dataset in an external file"),
        (virtual, "'0': HDF5 virtual dataset"),
        (
            link("data/l/0", h5py.ExternalLink("secret.h5", "/data/l/0")),
            "'0': HDF5 external link to '/data/l/0'",
        ),
        (link("data/l", h5py.ExternalLink("secret.h5", "/data/l")), "'l': HDF5 external link"),
        (link("data", h5py.ExternalLink("secret.h5", "/data")), "'data': HDF5 external link"),
        (link("data/l/0", h5py.SoftLink("/data")), "'0': HDF5 soft link to '/data'"),
        (link("data/l/0", h5py.SoftLink("/nowhere")), "'0': HDF5 soft link to '/nowhere'"),
    ],
)
def test_what_is_elsewhere_is_refused_by_name(make, tmp_path, monkeypatch, fill, named):
    monkeypatch.chdir(tmp_path)
    secret(tmp_path)
    with pytest.raises(UnsupportedError, match=rf"w\.h5: {named}"):
        make(fill)


def test_a_cycle_of_hard_links_ends(make):
    def fill(file):
        group = file.create_group("data/l")
        group["back"] = file["data"]

    with pytest.raises(ParseError, match="'back': an HDF5 object that has another name as well"):
        make(fill)
    with pytest.raises(ParseError, match="'up': an HDF5 object that has another name as well"):
        make(lambda file: file.create_group("data").__setitem__("up", file["/"]))


def test_two_to_the_thirty_paths_end_at_once(make, monkeypatch):
    def fill(file):
        group = file.create_group("data")
        for _ in range(30):
            inner = file.create_group(None)
            group["a"], group["b"] = inner, inner
            group = inner

    visits = []
    real = hdf5_reader.Hdf5Reader._member
    monkeypatch.setattr(
        hdf5_reader.Hdf5Reader, "_member", lambda self, *a: (visits.append(1), real(self, *a))[1]
    )
    with pytest.raises(ParseError, match="an HDF5 object that has another name as well"):
        make(fill)
    assert len(visits) < 70


def test_one_array_under_two_names_is_refused(make):
    def fill(file):
        file["data/l/0"] = ONES
        file["data/l/1"] = file["data/l/0"]

    with pytest.raises(ParseError, match="'1': an HDF5 object that has another name"):
        make(fill)


def test_groups_in_groups_have_a_limit(make):
    assert len(make(lambda file: file.create_group("data" + "/g" * 20))) == 20
    with pytest.raises(ParseError, match="groups in groups, more than 32 deep"):
        make(lambda file: file.create_group("data" + "/g" * 400))


def one(**options):
    return lambda file: file.create_dataset("data/l/0", **options)


@pytest.mark.parametrize("filters", [{"compression": "gzip"}, {"compression": "gzip", "shuffle": True}])
@pytest.mark.parametrize("checksum", [False, True])
def test_gzip_is_read(make, filters, checksum):
    values = np.arange(5000, dtype=np.float32).reshape(50, 100)
    read = make(one(data=values, chunks=(7, 100), fletcher32=checksum, **filters))
    np.testing.assert_array_equal(read["l"][0], values)


def test_other_filters_and_chunks_without_any_are_read(make):
    values = np.arange(5000, dtype=np.float32)
    for options in ({"compression": "lzf"}, {"chunks": (64,)}, {"chunks": (64,), "fletcher32": True}):
        np.testing.assert_array_equal(make(one(data=values, **options))["l"][0], values)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "gzip"},
        {"compression": "gzip", "chunks": (1 << 20,)},
        {"compression": "lzf"},
        {"fletcher32": True},
        {"chunks": (1024,)},
        {},
    ],
)
def test_a_size_that_the_file_does_not_have_takes_no_memory(make, monkeypatch, options):
    """Half a gigabyte of values that were never written: HDF5 would make them up."""
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda *_: pytest.fail("read"))
    with pytest.raises(WeightsError, match=r"layer 'l', blob 0: shape \(536870912,\)"):
        make(one(shape=(1 << 29,), dtype="<f4", **options))


def test_a_chunk_that_is_larger_than_the_array_counts(make, monkeypatch):
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda *_: pytest.fail("read"))
    with pytest.raises(WeightsError, match=r"shape \(1,\) is too large for a file of \d+ bytes"):
        make(one(shape=(1,), maxshape=(None,), dtype="<f4", compression="gzip", chunks=(1 << 29,)))


def test_a_chunk_that_inflates_beyond_its_size_is_refused(make, monkeypatch):
    def fill(file):
        dataset = file.create_dataset("data/l/0", (100,), "<f4", chunks=(100,), compression="gzip")
        dataset.id.write_direct_chunk((0,), zlib.compress(bytes(10_000_000)))

    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda *_: pytest.fail("read"))
    with pytest.raises(WeightsError, match="a chunk inflates to more than 404 bytes"):
        make(fill)


def test_a_chunk_that_is_not_compressed_although_it_should_be(make):
    def fill(file):
        dataset = file.create_dataset("data/l/0", (100,), "<f4", chunks=(100,), compression="gzip")
        dataset.id.write_direct_chunk((0,), b"nonsense")

    with pytest.raises(ParseError, match="layer 'l', blob 0: Error -3"):
        make(fill)


def test_gzip_twice_is_refused(make):
    def fill(file):
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((4,))
        plan.set_deflate(1)
        plan.set_deflate(1)
        space = h5py.h5s.create_simple((4,))
        group = file.create_group("data/l")
        h5py.h5d.create(group.id, b"0", h5py.h5t.IEEE_F32LE, space, plan)

    with pytest.raises(UnsupportedError, match="compressed by gzip more than once"):
        make(fill)


def test_a_value_of_a_solver_state_must_be_one_and_no_larger_than_the_file(tmp_path):
    def state(**values):
        path = tmp_path / "s.h5"
        with h5py.File(path, "w") as file:
            file.create_group("history")
            for name, value in {"iter": [1], "current_step": [0], **values}.items():
                if value is not None:
                    file.create_dataset(name, **(value if isinstance(value, dict) else {"data": value}))
        return hdf5.read_state(path)

    assert state() == (1, None, 0, ())
    with pytest.raises(ParseError, match="has no iter, which"):
        state(iter=None)
    with pytest.raises(ParseError, match="iter: expected a single value"):
        state(iter=[1, 2])
    with pytest.raises(ParseError, match="current_step: expected a single value"):
        state(current_step={"shape": (1 << 40,), "dtype": "<i4"})
    with pytest.raises(ParseError, match="learned_net: larger than the file"):
        state(learned_net={"shape": (), "dtype": f"S{1 << 30}"})


def test_what_is_neither_group_nor_array(make):
    def fill(file):
        file.create_group("data")["t"] = np.dtype("<f4")

    with pytest.raises(ParseError, match="'t': neither a group nor an array"):
        make(fill)


def test_the_error_comes_before_any_other_file_is_opened(make, tmp_path):
    def fill(file):
        file.create_group("data")["l"] = h5py.ExternalLink(os.fspath(tmp_path / "absent.h5"), "/")

    with pytest.raises(VggReproError, match="external link"):
        make(fill)
