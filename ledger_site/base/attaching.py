"""Files that are attached to records: their kind by content, kept under random names."""

import hashlib
import secrets
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from django.conf import settings
from django.http import FileResponse

from .sheets import file_name
from .workflow import TransitionRefused

KINDS = "图片（.png、.jpg）、.pdf、.docx、.xlsx"
_HEADS = {".png": b"\x89PNG\r\n\x1a\n", ".jpg": b"\xff\xd8\xff", ".pdf": b"%PDF-"}
_HEADS[".jpeg"] = _HEADS[".jpg"]
_PARTS = {".docx": "word/document.xml", ".xlsx": "xl/workbook.xml"}
OTHER = "“{}”的内容与扩展名不符，或者不是可以上传的文件；可以上传" + KINDS
MACROS = "“{}”含有宏，请另存为不带宏的文件后再上传"


def keep(sent, *, by) -> dict:
    """Store a file that was sent; returns the fields of an `Attachment`.

    Raises `TransitionRefused` for what is none of `KINDS` by content and by name. A file whose
    record is not written after all lies there and is found by nobody.
    """
    ending = Path(sent.name).suffix.lower()
    if not _is(sent, ending):
        raise TransitionRefused(OTHER.format(sent.name))
    name, digest = secrets.token_hex(16) + ending, hashlib.sha256()
    settings.ATTACHMENTS_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    sent.seek(0)
    with (settings.ATTACHMENTS_DIR / name).open("xb") as file:
        for chunk in sent.chunks():
            digest.update(chunk)
            file.write(chunk)
    return {
        "file": name,
        "file_name": file_name("", sent.name),
        "size": sent.size,
        "digest": digest.hexdigest(),
        "person_name": by.person_name,
    }


def _is(sent, ending: str) -> bool:
    sent.seek(0)
    if head := _HEADS.get(ending):
        return sent.read(len(head)) == head
    if ending not in _PARTS:
        return False
    try:
        with ZipFile(sent) as package:
            names = {name.lower() for name in package.namelist()}
    except (BadZipFile, NotImplementedError, OSError, ValueError):
        return False
    if any(name.endswith("vbaproject.bin") for name in names):
        raise TransitionRefused(MACROS.format(sent.name))
    return _PARTS[ending] in names


def served(attachment) -> FileResponse:
    """The file as a download, never shown in the page."""
    return FileResponse(
        attachment.path.open("rb"),
        as_attachment=True,
        filename=attachment.file_name,
        content_type="application/octet-stream",
    )
