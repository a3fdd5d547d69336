"""LMDB's files by our own reader: what LMDB's package reads of them, and what is damaged."""

import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import lmdb
import numpy as np
import pytest

from vggrepro.data.sources import LmdbSource, open_images
from vggrepro.data.sources.lmdb_file import LmdbFile
from vggrepro.errors import DataError

DAMAGED = Path(__file__).parents[1] / "damaged"
GOLDEN = Path(__file__).parents[2] / "golden" / "lmdb"
PAGE = 4096


def write(path: Path, *transactions: Callable[[lmdb.Transaction], None], **settings: object) -> Path:
    with lmdb.open(str(path), map_size=1 << 26, **settings) as environment:
        for change in transactions:
            with environment.begin(write=True) as transaction:
                change(transaction)
    return path


def puts(first: int, count: int, size: int) -> Callable[[lmdb.Transaction], None]:
    def change(transaction: lmdb.Transaction) -> None:
        for i in range(first, first + count):
            transaction.put(b"%08d_name" % i, bytes([i % 251]) * (i * 7 % size if size else 0))

    return change


def deletes(step: int) -> Callable[[lmdb.Transaction], None]:
    def change(transaction: lmdb.Transaction) -> None:
        for key in [key for i, (key, _) in enumerate(transaction.cursor()) if i % step == 0]:
            transaction.delete(key)

    return change


def by_lmdb(path: Path) -> dict[bytes, bytes]:
    with lmdb.open(str(path), readonly=True, lock=False) as environment, environment.begin() as transaction:
        return dict(transaction.cursor())


def by_us(path: Path) -> dict[bytes, bytes]:
    records = LmdbFile.open(path)
    return {key: records.value(i) for i, key in enumerate(records.keys)}


@pytest.mark.parametrize(
    "transactions",
    [
        [],
        [puts(0, 1, 0)],
        [puts(0, 3000, 100)],
        [puts(0, 300, 3000), deletes(3), puts(500, 40, 50_000)],
        [puts(0, 20, 9000), deletes(2), puts(0, 20, 5000), deletes(1)],
        [puts(0, 40_000, 9)],
    ],
    ids=["empty", "one", "inline", "mixed", "emptied", "three levels"],
)
def test_equals_lmdb(tmp_path, transactions):
    path = write(tmp_path / "db", *transactions)
    ours, theirs = by_us(path), by_lmdb(path)
    assert list(ours.items()) == list(theirs.items())


@pytest.mark.parametrize("name", sorted(path.parent.name for path in GOLDEN.glob("*/data.mdb")))
def test_equals_lmdb_on_what_caffe_wrote(tmp_path, name):
    shutil.copytree(GOLDEN / name, tmp_path / "db")
    assert list(by_us(tmp_path / "db").items()) == list(by_lmdb(tmp_path / "db").items())


def test_a_copied_and_compacted_database(tmp_path):
    path = write(tmp_path / "db", puts(0, 500, 6000), deletes(2))
    (tmp_path / "copy").mkdir()
    with lmdb.open(str(path), readonly=True, lock=False) as environment:
        environment.copy(str(tmp_path / "copy"), compact=True)
    assert by_us(tmp_path / "copy") == by_us(path)


def test_a_cut_database_that_ends_lmdb_s_process():
    with pytest.raises(
        DataError, match=r"lmdb_truncated: not a readable LMDB: page 4 is in use, but the file of 6000 bytes"
    ):
        open_images(DAMAGED / "lmdb_truncated")


def test_a_database_cut_anywhere_is_an_error_or_whole(tmp_path):
    path = write(tmp_path / "db", puts(0, 60, 3000)) / "data.mdb"
    data, whole = path.read_bytes(), by_us(tmp_path / "db")
    refused = 0
    for length in range(0, len(data), 1111):
        path.write_bytes(data[:length])
        try:
            assert by_us(tmp_path / "db") == whole  # what was cut is in no use
        except DataError as error:
            assert str(error).startswith(f"{tmp_path}/db: not a readable LMDB: ")
            refused += 1
    assert refused > len(data) // 1111 - 5


def test_a_file_cut_after_it_was_opened(tmp_path):
    path = write(tmp_path / "db", puts(0, 60, 9000))
    records = LmdbFile.open(path)
    with (path / "data.mdb").open("r+b") as file:
        file.truncate(5 * PAGE)
    with pytest.raises(DataError, match="the file ends within a value"):
        [records.value(i) for i in range(60)]


def damaged(path: Path, page: int, place: int, form: str, *values: int) -> Path:
    """A copy of a database with fields of a page changed."""
    data = bytearray((path / "data.mdb").read_bytes())
    struct.pack_into(form, data, page * PAGE + place, *values)
    target = path.with_name("damaged")
    target.mkdir()
    (target / "data.mdb").write_bytes(data)
    return target


def newest_root(path: Path) -> tuple[int, int]:
    """The meta page in force, and the root."""
    data = (path / "data.mdb").read_bytes()
    pages = [struct.unpack_from("<QQQ", data, page * PAGE + 16 + 24 + 48 + 40) for page in (0, 1)]
    meta = max((0, 1), key=lambda page: pages[page][2])
    return meta, pages[meta][0]


@pytest.mark.parametrize(
    ("place", "form", "value", "message"),
    [
        (16, "<I", 0xDEADBEEF, "no meta page at byte .*: magic number 0xdeadbeef, expected 0xbeefc0de"),
        (10, "<H", 1, "no meta page"),
        (20, "<I", 999, "data version 999, expected 1"),
        (40, "<I", 4095, "pages of 4095 bytes, expected a power of 2"),
        (16 + 24 + 48 + 4, "<H", 4, r"duplicate keys \(MDB_DUPSORT\) are not supported"),
        (16 + 24 + 48 + 6, "<H", 7, "is no branch of the tree"),
        (16 + 24 + 48 + 6, "<H", 40_000, "at a level that the tree has not"),
        (16 + 24 + 48 + 32, "<Q", 3001, "3000 records, expected 3001"),
        (16 + 24 + 48 + 40, "<Q", 1 << 40, "page 1099511627776 is in use, but the file of .* cut short"),
        (16 + 24 + 48 + 40, "<Q", 0, "page 0 is in use"),
    ],
)
def test_damaged_meta_pages(tmp_path, place, form, value, message):
    path = write(tmp_path / "db", puts(0, 3000, 100))
    with pytest.raises(DataError, match=f"damaged: not a readable LMDB: .*{message}"):
        LmdbFile.open(damaged(path, newest_root(path)[0], place, form, value))


@pytest.mark.parametrize(
    ("place", "form", "values", "message"),
    [
        (0, "<Q", (77,), "is no branch of the tree"),
        (10, "<H", (2,), "is no branch of the tree"),
        (12, "<H", (60_000,), "is no branch of the tree"),
        (16, "<H", (4095,), "has a record at byte 4095 of 4096"),
        (16, "<H", (3,), "has a record at byte 3 of 4096"),
    ],
)
def test_damaged_branches(tmp_path, place, form, values, message):
    path = write(tmp_path / "db", puts(0, 3000, 100))
    with pytest.raises(DataError, match=message):
        LmdbFile.open(damaged(path, newest_root(path)[1], place, form, *values))


def test_a_tree_that_leads_back_to_itself(tmp_path):
    path = write(tmp_path / "db", puts(0, 3000, 100))
    _, root = newest_root(path)
    data = (path / "data.mdb").read_bytes()
    first, second = struct.unpack_from("<HH", data, root * PAGE + 16)
    page = struct.unpack_from("<I", data, root * PAGE + second)[0]
    with pytest.raises(DataError, match=f"page {page} occurs twice in the tree"):
        LmdbFile.open(damaged(path, root, first, "<I", page))


def test_an_overflow_page_that_belongs_to_another_value(tmp_path):
    path = write(tmp_path / "db", puts(5000, 3, 40_000))
    records = LmdbFile.open(path)
    page = int(records.pages[1])
    assert page > 0
    for place, form, value in ((0, "<Q", 9), (10, "<H", 1), (12, "<I", 1)):
        target = damaged(path, page, place, form, value)
        with pytest.raises(DataError, match=f"page {page} does not begin a value of"):
            LmdbFile.open(target).value(1)
        shutil.rmtree(target)


def test_databases_of_other_kinds_are_refused_by_name(tmp_path):
    with lmdb.open(str(tmp_path / "db"), max_dbs=2) as environment:
        environment.open_db(b"named")
    with pytest.raises(DataError, match="a named database under key b'named'; only plain values are read"):
        open_images(tmp_path / "db")


def test_keys_that_are_not_utf8(tmp_path):
    path = write(tmp_path / "db", lambda transaction: transaction.put(b"caf\xe9", b"x") and None)
    assert LmdbSource.open(path).key(0) == "caf\udce9"


def test_changed_bytes_never_do_worse_than_an_error(tmp_path):
    write(tmp_path / "db", puts(0, 200, 300), deletes(5), puts(300, 3, 9000))
    data, rng = (tmp_path / "db" / "data.mdb").read_bytes(), random.Random(5)
    refused = 0
    for _ in range(300):
        changed = bytearray(data)
        for _ in range(rng.choice((1, 2, 8))):
            page = rng.randrange(len(data) // PAGE)
            changed[page * PAGE + rng.randrange(rng.choice((24, 160, PAGE)))] = rng.choice(
                (0, 1, 2, 4, 8, 255)
            )
        (tmp_path / "db" / "data.mdb").write_bytes(changed)
        try:
            by_us(tmp_path / "db")
        except DataError as error:
            assert "\n" not in str(error)
            refused += 1
    assert 30 < refused < 300


def test_threads_share_a_file(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    records = LmdbFile.open(write(tmp_path / "db", puts(0, 300, 9000)))
    order = np.random.default_rng(0).permutation(300).tolist()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(records.value, order))
    assert found == [bytes([i % 251]) * (i * 7 % 9000) for i in order]
