"""The headers of a tar, walked once, and the places of its members in the file.

Read are the formats of POSIX (ustar, pax) and of GNU tar, uncompressed. Nothing that a header claims is
believed: a size must fit into the file before anything of that size is read.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from vggrepro.errors import DataError

BLOCK = 512

_REGULAR = b"0\0" + b"7"  # "\0": from before POSIX; "7": contiguous, on systems that knew that
_HARD_LINK, _SYMBOLIC_LINK, _FOLDERS, _LABEL = b"1", b"2", b"5D", b"V"
_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL, _SPARSE = b"L", b"K", b"xX", b"g", b"S"
_KINDS = {
    b"3": "a device",
    b"4": "a device",
    b"6": "a pipe (FIFO)",
    b"S": "a sparse file",
    b"M": "part of a file",
}

_LONGEST_EXTENSION = 1 << 20
"""Most bytes of a long name or of a pax header. Linux allows names of 4096 bytes."""
_AFTER_END = 1 << 20
"""How far behind its end a tar is searched for another one; GNU tar pads by 10 kB."""
_MOST_LINKS = 40
"""Links in a chain, as Linux counts them."""


@dataclass(frozen=True)
class Extent:
    """A tar: the bytes ``start`` to ``end`` of an open file; ``where`` names it in messages."""

    where: str
    descriptor: int
    start: int
    end: int

    def read(self, place: int, size: int) -> bytes:
        """The bytes from ``place`` of the file on, as many of ``size`` as the tar has."""
        return os.pread(self.descriptor, max(min(size, self.end - place), 0), place)

    def damaged(self, problem: str) -> DataError:
        """The error for a tar that is none, or that nobody could read."""
        from vggrepro.caffe.recognise import file_kind

        head = self.read(self.start, BLOCK)
        kind = file_kind(head) if head and not is_header(head) else None
        told = f" (this is {kind})" if kind else ""
        return self.refused(f"not an uncompressed tar, or a damaged one: {problem}{told}")

    def refused(self, problem: str) -> DataError:
        """The error for a whole tar with members that are not supported."""
        return DataError(f"{self.where}: {problem}")


@dataclass(frozen=True)
class TarMember:
    """A file of a tar: where its content begins in the outermost file, its bytes, and its name as stored."""

    name: str
    offset: int
    size: int


@dataclass
class Contents:
    """What a tar holds: files, links and the rest, each under its normalised name."""

    tar: Extent
    files: dict[str, TarMember] = field(default_factory=dict)
    hard_links: dict[str, str] = field(default_factory=dict)
    symbolic_links: dict[str, str] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    others: dict[str, str] = field(default_factory=dict)
    """What is neither, with the words for it."""
    stored: dict[str, str] = field(default_factory=dict)
    """Names as stored, of all but folders, in order."""

    def resolve(self, name: str) -> TarMember:
        """The file that a name stands for, through links. Raises DataError if it stands for none."""
        place = name
        for _ in range(_MOST_LINKS):
            if place in self.files:
                return self.files[place]
            if place in self.others:
                raise self.tar.refused(f"the member {name} is {self.others[place]}, which is not supported")
            step = self._step(place)
            if step is None:
                raise self.tar.refused(f"the member {name} is a link to {place}, which is no file in the tar")
            place = step
        raise self.tar.refused(f"the member {name} is a link that leads back to itself")

    def leads_out(self, name: str) -> bool:
        """Whether a symbolic link stands for nothing in the tar."""
        place = name
        for _ in range(_MOST_LINKS):
            if place in self.files or place in self.folders or place in self.others:
                return False
            step = self._step(place)
            if step is None:
                return not any(file.startswith(place + "/") for file in self.stored)
            place = step
        return False

    def _step(self, place: str) -> str | None:
        """The name with its first link replaced by what that stands for."""
        if place in self.hard_links:
            return self.hard_links[place]
        parts = place.split("/")
        for count in range(1, len(parts) + 1):
            target = self.symbolic_links.get("/".join(parts[:count]))
            if target is not None:
                return posixpath.normpath(posixpath.join(*parts[: count - 1], target, *parts[count:]))
        return None


def read_contents(tar: Extent) -> Contents:
    """Walk the headers of a tar. Raises DataError."""
    contents = Contents(tar)
    for header in _headers(tar):
        stored = header.name.removeprefix("./")
        name = posixpath.normpath(stored)
        if header.kind in _FOLDERS or (header.kind == b"\0" and stored.endswith("/")):
            contents.folders.add(name)
            continue
        if header.kind == _LABEL:
            continue
        if name in contents.stored:
            raise tar.refused(f"the member {stored} occurs more than once")
        contents.stored[name] = stored
        if header.kind in _REGULAR and not header.sparse:
            contents.files[name] = TarMember(stored, header.offset, header.size)
        elif header.kind == _HARD_LINK:
            contents.hard_links[name] = posixpath.normpath(header.link)
        elif header.kind == _SYMBOLIC_LINK:
            contents.symbolic_links[name] = header.link
        else:
            kind = _KINDS[_SPARSE] if header.sparse else _KINDS.get(header.kind, f"of kind {header.kind!r}")
            contents.others[name] = kind
    return contents


@dataclass(frozen=True)
class _Header:
    """A member's header with what the extensions before it say."""

    kind: bytes
    name: str
    link: str
    size: int
    offset: int
    sparse: bool


def _headers(tar: Extent) -> Iterator[_Header]:
    place, extensions = tar.start, _Extensions(tar)
    everywhere: dict[str, str] = {}
    while True:
        block = tar.read(place, BLOCK)
        if len(block) < BLOCK:
            raise tar.damaged(
                f"it ends at byte {place - tar.start} without the empty blocks that close a tar"
            )
        if block.count(0) == BLOCK:
            _check_end(tar, place)
            return
        if not is_header(block):
            raise tar.damaged(f"no header at byte {place - tar.start}, where one is expected")
        kind, size, content = block[156:157], _number(tar, block[124:136]), place + BLOCK
        pax = {**everywhere, **extensions.pax}
        if kind in _PAX + _PAX_GLOBAL + _LONG_NAME + _LONG_LINK:
            place = _after(tar, content, size, "an extended header")
            body = _extension(tar, content, size)
            if kind == _PAX_GLOBAL:
                everywhere.update(_pax(tar, body))
            else:
                extensions.add(kind, body)
            continue
        size = _pax_size(tar, pax["size"]) if "size" in pax else size
        sparse = kind == _SPARSE or any(key.startswith("GNU.sparse.") for key in pax)
        name = pax.get("GNU.sparse.name") or pax.get("path") or extensions.name or _name(block)
        link = pax.get("linkpath") or extensions.link or _text(block[157:257])
        if not name or "\0" in name + link:
            raise tar.damaged(f"the header at byte {place - tar.start} has no name")
        if kind == _SPARSE:
            content = _behind_sparse_headers(tar, block, content)
        holds = size if kind in _REGULAR + _SPARSE or kind not in b"123456" else 0
        place = _after(tar, content, holds, f"the member {name}")
        yield _Header(kind, name, link, size, content, sparse)
        extensions = _Extensions(tar)


@dataclass
class _Extensions:
    """What the headers before a member say of it: GNU's long names, and pax records."""

    tar: Extent
    name: str = ""
    link: str = ""
    pax: dict[str, str] = field(default_factory=dict)

    def add(self, kind: bytes, body: bytes) -> None:
        if kind == _LONG_NAME:
            self.name = _text(body)
        elif kind == _LONG_LINK:
            self.link = _text(body)
        else:
            self.pax.update(_pax(self.tar, body))


def is_header(block: bytes) -> bool:
    """Whether the check sum of a block is right: of its bytes, unsigned or (on some old systems) signed."""
    stored = _octal(block[148:156])
    field = block[:148] + b" " * 8 + block[156:]
    return stored in (sum(field), sum(field) - 256 * sum(byte > 127 for byte in field))


def _octal(digits: bytes) -> int | None:
    text = digits.partition(b"\0")[0].strip()
    return int(text or b"0", 8) if re.fullmatch(rb"[0-7]*", text) else None


def _number(tar: Extent, digits: bytes) -> int:
    """A size: octal, or binary behind a byte of 128 (255: negative)."""
    value = _octal(digits)
    if digits[0] in (0x80, 0xFF):
        value = int.from_bytes(digits[1:], "big") - (256 ** (len(digits) - 1) if digits[0] == 0xFF else 0)
    if value is None or value < 0:
        raise tar.damaged(f"the size {digits!r} of a member, expected an octal number of at least 0")
    return value


def _pax_size(tar: Extent, text: str) -> int:
    if re.fullmatch(r"[0-9]{1,30}", text) is None:
        raise tar.damaged(f"the size {text!r} of a pax header is no number")
    return int(text)


def _after(tar: Extent, content: int, size: int, what: str) -> int:
    """Where the header behind a content is, which must be in the tar."""
    if content + size > tar.end:
        raise tar.damaged(
            f"{what} of {size:,} bytes begins at byte {content - tar.start:,} of {tar.end - tar.start:,},"
            " and leaves the tar"
        )
    return content + -(-size // BLOCK) * BLOCK


def _extension(tar: Extent, place: int, size: int) -> bytes:
    if size > _LONGEST_EXTENSION:
        raise tar.damaged(f"an extended header of {size:,} bytes, expected at most {_LONGEST_EXTENSION:,}")
    return tar.read(place, size)


def _pax(tar: Extent, body: bytes) -> dict[str, str]:
    """The records "LENGTH KEY=VALUE\\n" of a pax header."""
    records, place = {}, 0
    while place < len(body) and body[place]:
        found = re.compile(rb"(\d{1,7}) ([^=\0]+)=").match(body, place)
        end = place + int(found.group(1)) if found is not None else 0
        if found is None or not found.end() < end <= len(body) or body[end - 1 : end] != b"\n":
            raise tar.damaged("a pax header with a damaged record")
        records[_decoded(found.group(2))] = _decoded(body[found.end() : end - 1])
        place = end
    return records


def _name(block: bytes) -> str:
    name, prefix = _text(block[:100]), _text(block[345:500])
    return f"{prefix}/{name}" if prefix and block[257:263] == b"ustar\0" else name


def _text(data: bytes) -> str:
    return _decoded(data.partition(b"\0")[0])


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _behind_sparse_headers(tar: Extent, block: bytes, place: int) -> int:
    """Where the content of a sparse member of GNU's old format begins: behind the blocks of its map."""
    more = block[482]
    while more and place + BLOCK <= tar.end:
        more = tar.read(place, BLOCK)[504:505] not in (b"", b"\0")
        place += BLOCK
    return place


def _check_end(tar: Extent, place: int) -> None:
    """Refuse a tar with another one behind it, whose files would be lost."""
    tail = tar.read(place, _AFTER_END)
    if tail.count(0) == len(tail):
        return
    for begin in range(0, len(tail) - BLOCK + 1, BLOCK):
        block = tail[begin : begin + BLOCK]
        if block.count(0) < BLOCK and is_header(block):
            raise tar.damaged(
                f"a second tar begins at byte {place + begin - tar.start}, behind the end of the first"
            )
