"""The zip around .xlsx and .docx: measured before anything is unpacked, XML without any DTD."""

import posixpath
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pyexpat import ParserCreate
from typing import BinaryIO
from xml.etree import ElementTree
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

from .table import DAMAGED, Unreadable

MOST_ENTRIES = 5000
MOST_TREE = 32 << 20  # bytes of a part that is read as a whole
MOST_HEAD = 1 << 20  # bytes before the second element of a part
PIECE = 1 << 18  # bytes parsed at once
# Sheets formatted down to their last row reach 1 : 150; what is made to burst 1 : 1000.
SUSPICIOUS_SIZE, SUSPICIOUS_RATIO = 32 << 20, 250
MB = 1 << 20

HAS_DTD = "文件内部含有 DTD 声明，不是 Excel、WPS 或 Word 保存的文件，为安全起见不读取"
HAS_MACROS = "文件含有宏，不能导入，请在 Excel 或 WPS 中另存为不带宏的 .xlsx（或 .docx）后再导入"
IS_LOCKED = "文件设有打开密码，请取消密码后另存，再导入"


def local(name: str) -> str:
    """A name without its namespace: strict and transitional files differ in nothing else."""
    return name.rpartition("}")[2]


@dataclass(frozen=True)
class Relation:
    id: str
    kind: str  # last word of its type
    target: str  # name of a part


@dataclass(frozen=True)
class Root:
    """The root element of a part, as it is written."""

    opening: bytes  # all of the part before what the root holds
    closing: bytes
    namespace: str  # in braces, empty if there is none


class Package:
    def __init__(self, file: BinaryIO, most_bytes: int):
        """Raises `Unreadable` for what is damaged, locked, or larger unpacked than `most_bytes`."""
        try:
            self.zip = ZipFile(file)
        except (BadZipFile, NotImplementedError, OSError, ValueError):
            raise Unreadable(DAMAGED) from None
        entries = self.zip.infolist()
        if len(entries) > MOST_ENTRIES:
            raise Unreadable(f"文件内部的部件超过{MOST_ENTRIES}个，不像是表格，请检查文件")
        size = sum(entry.file_size for entry in entries)
        if size > most_bytes:
            raise Unreadable(f"文件展开后超过{most_bytes // MB}MB，请拆分后再导入")
        for entry in entries:
            if entry.flag_bits & 1:
                raise Unreadable(IS_LOCKED)
            if entry.compress_type not in {ZIP_STORED, ZIP_DEFLATED}:
                raise Unreadable(DAMAGED)
            ratio = entry.file_size / max(entry.compress_size, 1)
            if entry.file_size > SUSPICIOUS_SIZE and ratio > SUSPICIOUS_RATIO:
                raise Unreadable(
                    f"文件展开后过大（一个部件压缩了{ratio:.0f}倍），为安全起见不读取，"
                    "请把表格复制到新建的 .xlsx 后再导入"
                )
        # Only names that are asked for are opened; none becomes a path.
        self.names = {entry.filename.replace("\\", "/").lower(): entry for entry in entries}
        if len(self.names) < len(entries):
            raise Unreadable(DAMAGED)

    def __contains__(self, name: str) -> bool:
        return name.lower() in self.names

    def chunks(self, name: str) -> Iterator[bytes]:
        """A part unpacked, piece by piece."""
        try:
            with self.zip.open(self.names[name.lower()]) as part:
                while piece := part.read(PIECE):
                    yield piece
        except (KeyError, BadZipFile, EOFError, OSError, zlib.error, NotImplementedError):
            raise Unreadable(DAMAGED) from None

    def whole(self, name: str) -> bytes:
        content = bytearray()
        for piece in self.chunks(name):
            content += piece
            if len(content) > MOST_TREE:
                raise Unreadable(f"文件内部有一个部件超过{MOST_TREE // MB}MB，请检查文件")
        return bytes(content)

    def tree(self, name: str) -> ElementTree.Element:
        """A small part as a tree."""
        return tree_of(self.whole(name))

    def relations(self, name: str) -> list[Relation]:
        """Where a part leads to inside of the package; "" is the package itself. Links that lead
        out of it are left out."""
        folder, base = posixpath.split(name)
        path = posixpath.join(folder, "_rels", f"{base}.rels")
        if path not in self:
            return []
        return [
            Relation(
                link.get("Id", ""),
                link.get("Type", "").rpartition("/")[2],
                posixpath.normpath(posixpath.join("/", folder, link.get("Target", "")))[1:],
            )
            for link in self.tree(path)
            if link.get("TargetMode") != "External"
        ]

    def main_part(self) -> str:
        """The part that is the document. Raises `Unreadable` for macros or if there is none."""
        has_code = any(name.endswith("vbaproject.bin") for name in self.names)
        types = "[Content_Types].xml"
        if has_code or (types in self and b"macroEnabled" in self.whole(types)):
            raise Unreadable(HAS_MACROS)
        for relation in self.relations(""):
            if relation.kind == "officeDocument":
                return relation.target
        raise Unreadable(DAMAGED)

    def root(self, name: str) -> Root:
        start = b""
        for piece in self.chunks(name):
            start += piece
            if found := root_of(start):
                return found
            if len(start) > MOST_HEAD:
                raise Unreadable(DAMAGED)
        raise Unreadable(DAMAGED)

    def items(self, root: Root, chunks: Iterator[bytes], tag: bytes) -> Iterator:
        """Elements `tag`, which come one after another, in pieces that never fill the memory.

        `chunks` begin with the first of them. A piece ends where an element begins, so that
        each is a document if the root is put around it: no event for each tag is needed, which
        takes half of the time.
        """
        prefix = root.closing[2:-1].rpartition(b":")[0]
        mark = b"<" + (prefix + b":" if prefix else b"") + tag
        rest = b""
        for chunk in chunks:
            rest += chunk
            cut = rest.rfind(mark)
            if cut > 0:
                piece, rest = rest[:cut], rest[cut:]
                yield from ElementTree.XML(root.opening + piece + root.closing)
            if len(rest) > MOST_TREE:
                raise Unreadable(DAMAGED)
        yield from ElementTree.XML(root.opening + rest + root.closing)


class _Found(Exception):
    pass


def root_of(start: bytes, *, is_whole: bool = False) -> Root | None:
    """The root element, None if the start of the part is too short. Refuses any DTD.

    A DTD can stand before the root element only, so that whatever is parsed later, after this,
    has neither entities nor links outside.
    """
    places: list[int] = []
    names: list[str] = []
    parser = ParserCreate(namespace_separator="}")
    raw = ParserCreate()

    def refuse(*_):
        raise Unreadable(HAS_DTD)

    def opened(name, _):
        names.append(name)
        raise _Found

    def happened(*_):
        places.append(raw.CurrentByteIndex)
        if len(places) == 2:
            raise _Found

    def raw_opened(name, _):
        names.append(name)
        happened()

    def raw_other(*_):
        if places:
            happened()

    parser.StartDoctypeDeclHandler = raw.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = opened
    raw.StartElementHandler = raw_opened
    raw.EndElementHandler = raw.CharacterDataHandler = raw_other
    raw.CommentHandler = raw.ProcessingInstructionHandler = raw_other
    for reader in (raw, parser):
        try:
            reader.Parse(start, is_whole)
        except _Found:
            continue
        if reader is raw and len(places) < 2:
            return None
    namespace, has_one, _ = names[-1].rpartition("}")
    opening = start[: places[1]]
    if opening.endswith(b"/>"):
        opening = opening[:-2] + b">"
    closing = b"</" + names[0].encode() + b">"
    return Root(opening, closing, f"{{{namespace}}}" if has_one else "")


def tree_of(content: bytes) -> ElementTree.Element:
    if root_of(content, is_whole=True) is None:
        raise Unreadable(DAMAGED)
    return ElementTree.XML(content)
