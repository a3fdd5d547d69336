"""What tars may hold besides plain files, and what their headers may claim."""

import io
import tarfile
from pathlib import Path

import pytest

from vggrepro.data.sources import open_images
from vggrepro.errors import DataError

DAMAGED = Path(__file__).parents[1] / "damaged"
FORMATS = {"gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT, "ustar": tarfile.USTAR_FORMAT}


TarMember = tuple[tarfile.TarInfo, bytes]


def member(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> TarMember:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(data), kind, link
    return info, data


def write(path: Path, *members: TarMember, form: int = tarfile.GNU_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return path


def contents(path: Path) -> dict[str, bytes]:
    source = open_images(path)
    return {source.key(i): source.read(i) for i in range(len(source))}


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_a_tar_of_a_folder_holds_what_the_folder_holds(tmp_path, form):
    """Hard links, symbolic links, links to links, links through linked folders, links to folders."""
    root = tmp_path / "root"
    (root / "n1" / "deep").mkdir(parents=True)
    (root / "n1" / "a.jpg").write_bytes(b"a" * 700)
    (root / "n1" / "deep" / "b.jpg").write_bytes(b"b")
    (root / "n1" / "hard.jpg").hardlink_to(root / "n1" / "a.jpg")
    (root / "soft.jpg").symlink_to("n1/deep/../a.jpg")
    (root / "n1" / "deep" / "up.jpg").symlink_to("../../soft.jpg")
    (root / "n2").symlink_to("n1/deep")
    (root / "through.jpg").symlink_to("n2/b.jpg")
    (root / "loop").symlink_to(".")
    with tarfile.open(tmp_path / "x.tar", "w", format=form) as archive:
        archive.add(root, ".")
    assert contents(tmp_path / "x.tar") == contents(root)
    assert len(contents(root)) == 6


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize(
    "name", ["x" * 250 + ".jpg", "d/" * 400 + "é.jpg", "caf\udce9.jpg", "d/" * 60 + "caf\udce9.jpg"]
)
def test_long_names_and_names_that_are_not_utf8(tmp_path, form, name):
    name += ".jpg"
    path = write(tmp_path / "x.tar", member(name, b"data"), member("l.jpg", kind=b"1", link=name), form=form)
    assert contents(path) == {name: b"data", "l.jpg": b"data"}


def test_prefixes_of_ustar(tmp_path):
    name = "d" * 120 + "/" + "e" * 90 + ".jpg"
    assert contents(write(tmp_path / "x.tar", member(name, b"x"), form=tarfile.USTAR_FORMAT)) == {name: b"x"}


def test_a_global_pax_header_and_a_label_are_no_members(tmp_path):
    with tarfile.open(
        tmp_path / "x.tar", "w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "a commit"}
    ) as archive:
        archive.addfile(member("backup.jpg", kind=b"V")[0])
        archive.addfile(
            *[part if i == 0 else io.BytesIO(part) for i, part in enumerate(member("a.jpg", b"a"))]
        )
    assert contents(tmp_path / "x.tar") == {"a.jpg": b"a"}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([member("a.jpg", kind=b"1", link="b.jpg")], r" a\.jpg is a link to b\.jpg"),
        (
            [member("a.jpg", kind=b"2", link="/x.jpg")],
            r" a\.jpg is a link to /x\.jpg",
        ),
        (
            [member("a.jpg", kind=b"2", link="../x.jpg")],
            r" a\.jpg is a link to \.\./x\.jpg",
        ),
        ([member("a.jpg", kind=b"2", link="a.jpg")], r" a\.jpg is a link that leads back to itself"),
        (
            [member("a.jpg", kind=b"2", link="b.jpg"), member("b.jpg", kind=b"2", link="a.jpg")],
            r" a\.jpg is a link that leads back to itself",
        ),
        ([member("a.jpg", kind=b"6")], r" a\.jpg is a pipe \(FIFO\), which is not supported"),
        ([member("a.jpg", kind=b"3")], r" a\.jpg is a device, which is not supported"),
        ([member("a.jpg", b"x", kind=b"M")], r" a\.jpg is part of a file, which is not supported"),
        ([member("a.jpg", b"x", kind=b"Q")], r" a\.jpg is of kind b'Q', which is not supported"),
        ([member("a.jpg", b"x"), member("n.tar", kind=b"1", link="a.jpg")], r" n\.tar is no regular file"),
        ([member("a.jpg", b"x"), member("./a.jpg", b"y")], r" a\.jpg occurs more than once"),
        ([member("n.tar", b"no tar" * 200)], r"\(n\.tar inside\): not an uncompressed tar"),
    ],
)
def test_what_is_no_image_is_refused_by_name(tmp_path, members, message):
    path = write(tmp_path / "x.tar", *members, member("good.jpg", b"good"))
    with pytest.raises(DataError, match=rf"^\S*x\.tar(: the member| ){message}"):
        open_images(path)


def test_what_bears_no_image_s_name_may_be_of_any_kind(tmp_path):
    others = [
        member("pipe", kind=b"6"),
        member("README", kind=b"2", link="docs/R"),
        member("x.jpg/", kind=b"5"),
    ]
    path = write(tmp_path / "x.tar", *others, member("docs/R", b"x"), member("good.jpg", b"good"))
    assert contents(path) == {"good.jpg": b"good"}


def test_a_link_out_of_the_tar_behind_which_images_may_be_is_named(tmp_path):
    path = write(tmp_path / "x.tar", member("more", kind=b"2", link="/data/more"), member("a.jpg", b"a"))
    with pytest.warns(UserWarning, match=r"x\.tar: the link more leads out of the tar, and is not followed"):
        assert contents(path) == {"a.jpg": b"a"}


def with_fields(data: bytes, at: int, **fields: bytes) -> bytes:
    """A tar with fields of the header at byte ``at`` changed, and its check sum right."""
    places = {"kind": 156, "size": 124, "sparse_map": 386, "more": 482}
    header = bytearray(data[at : at + 512])
    for name, value in fields.items():
        header[places[name] : places[name] + len(value)] = value
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return data[:at] + bytes(header) + data[at + 512 :]


def test_a_sparse_member_is_refused_by_name_and_walked_over(tmp_path):
    plain = write(tmp_path / "x.tar", member("a.jpg", b"a" * 600), member("b.jpg", b"b")).read_bytes()
    (tmp_path / "x.tar").write_bytes(with_fields(plain, 0, kind=b"S"))
    with pytest.raises(DataError, match=r"member a\.jpg is a sparse file, which is not supported"):
        open_images(tmp_path / "x.tar")
    plain = write(tmp_path / "x.tar", member("a.bin", b"a" * 600), member("b.jpg", b"b")).read_bytes()
    longer = plain[:512] + bytes(512) + plain[512:]  # a block of the map goes on behind the header
    (tmp_path / "x.tar").write_bytes(with_fields(longer, 0, kind=b"S", more=b"\1"))
    assert contents(tmp_path / "x.tar") == {"b.jpg": b"b"}


def test_a_sparse_member_of_pax(tmp_path):
    info, data = member("GNUSparseFile.0/a", b"1\n0\n1\n" + bytes(506) + b"x")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a.jpg"}
    with pytest.raises(DataError, match=r"member a\.jpg is a sparse file"):
        open_images(write(tmp_path / "x.tar", (info, data), form=tarfile.PAX_FORMAT))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "tar_size_2e70.tar",
            r"the member a\.JPEG of 1,180,591,620,717,411,303,424 bytes",
        ),
        ("tar_longname_2e70.tar", "an extended header of 1,180,591,620,717,411,303,424 bytes"),
    ],
)
def test_sizes_beyond_the_file(name, message):
    with pytest.raises(DataError, match=rf"{name}: not an uncompressed tar, or a damaged one: .*{message}"):
        open_images(DAMAGED / name)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (b"\xff" * 12, "expected an octal number of at least 0"),
        (b"-0000000010\0", "expected an octal number of at least 0"),
        (b"999999999999", "expected an octal number of at least 0"),
        (b"77777777777\0", "and leaves the tar"),
        (b"00000003001\0", "and leaves the tar"),
    ],
)
def test_damaged_sizes(tmp_path, size, message):
    plain = write(tmp_path / "x.tar", member("a.jpg", b"a")).read_bytes()[:2048]
    (tmp_path / "x.tar").write_bytes(with_fields(plain, 0, size=size))
    with pytest.raises(DataError, match=message):
        open_images(tmp_path / "x.tar")


@pytest.mark.parametrize("value", ["1" * 31, "-1", "0x10", "1e3", str(2**70)])
def test_damaged_sizes_of_pax(tmp_path, value):
    info, data = member("a.jpg", b"a")
    info.pax_headers = {"size": value}
    with pytest.raises(DataError, match=r"of a pax header is no number|leaves the tar"):
        open_images(write(tmp_path / "x.tar", (info, data), form=tarfile.PAX_FORMAT))


def test_a_tar_cut_anywhere_is_an_error(tmp_path):
    path = write(tmp_path / "x.tar", *[member(f"{i}.jpg", b"x" * 600) for i in range(3)])
    data = path.read_bytes()
    end = data.rindex(b"x") // 512 * 512 + 512
    for length in range(0, end + 512, 64):
        path.write_bytes(data[:length])
        with pytest.raises(DataError, match="not an uncompressed tar, or a damaged one"):
            open_images(path)
    path.write_bytes(data[: end + 512])
    assert len(open_images(path)) == 3


def test_a_second_tar_behind_the_first_is_not_lost_silently(tmp_path):
    first = write(tmp_path / "a.tar", member("a.jpg", b"a")).read_bytes()
    second = write(tmp_path / "b.tar", member("b.jpg", b"b")).read_bytes()
    (tmp_path / "x.tar").write_bytes(first + second)
    with pytest.raises(DataError, match="a second tar begins at byte 10240"):
        open_images(tmp_path / "x.tar")
    (tmp_path / "x.tar").write_bytes(first + b"junk" * 300)
    assert contents(tmp_path / "x.tar") == {"a.jpg": b"a"}


def test_tars_in_tars_have_a_limit(tmp_path):
    path = write(tmp_path / "x.tar", member("a.jpg", b"a"))
    for level in range(4):
        path = write(tmp_path / f"{level}.tar", member("n.tar", path.read_bytes()))
        if level < 3:
            assert contents(path) == {"n/" * (level + 1) + "a.jpg": b"a"}
    with pytest.raises(DataError, match="tars in tars, expected at most 4 levels"):
        open_images(path)


def test_a_nested_tar_must_not_leave_its_member(tmp_path):
    inner = write(tmp_path / "in.tar", member("a.jpg", b"a" * 3000)).read_bytes()
    path = write(tmp_path / "x.tar", member("n.tar", inner[:2048]), member("b.jpg", b"b" * 4000))
    with pytest.raises(DataError, match=r"\(n\.tar inside\): .*the member a\.jpg of 3,000 .* leaves the tar"):
        open_images(path)
