"""The kind of a file by what it holds; of its name only .csv and .et count."""

ZIP, OLE, TEXT = "zip", "ole", "text"
OLE_HEAD = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
HEAD_SIZE = 4096  # bytes that are enough to know the kind

SAVE_AS = "请在 {} 中打开并另存为 .xlsx 后再导入"
_OFFICE = SAVE_AS.format("Excel 或 WPS")
ET = f"这是 WPS 表格（.et）文件，{SAVE_AS.format('WPS')}"
WORD = "这是旧版 Word 或 WPS 文字（.doc、.wps）文件，请在 Word 或 WPS 中另存为 .docx 后再导入"
ODS = f"这是 OpenDocument 表格（.ods）文件，{_OFFICE}"
ODT = "这是 OpenDocument 文字（.odt）文件，请在 Word 或 WPS 中另存为 .docx 后再导入"
BINARY = f"这是二进制工作簿（.xlsb）文件，{_OFFICE}"
ARCHIVE = "这是压缩包，不是表格，请解压后逐个导入其中的文件"
OTHER = "不是表格文件，请另存为 .xlsx、.xls、.docx 或 .csv 后再导入"
TEXT_AS_BOOK = f"文件的内容是文本，不是 Excel 工作簿，{_OFFICE}；确是 CSV 的请把扩展名改为 .csv"

_SIGNATURES = (
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (OLE_HEAD, OLE),
    (b"Rar!", ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", ARCHIVE),
    (b"\x1f\x8b", ARCHIVE),
    (b"%PDF", "这是 PDF 文件，不能导入，请导入原来的 .xlsx 或 .docx"),
    (b"{\\rtf", "这是 RTF 文件，请在 Word 或 WPS 中另存为 .docx 后再导入"),
    (b"\x89PNG", "这是图片，不能导入，请导入原来的表格"),
    (b"\xff\xd8\xff", "这是图片，不能导入，请导入原来的表格"),
)
_PAGE = f"这是网页文件，不是 Excel 工作簿，{_OFFICE}"
_OPENINGS = (
    (b"<html", _PAGE),
    (b"<!doctype html", _PAGE),
    (b"<table", _PAGE),
    (b"<meta", _PAGE),
    (b"<head", _PAGE),
    (b"mime-version:", _PAGE),
    (b"<?xml", f"这是 XML 文件，不是 Excel 工作簿，{_OFFICE}"),
)


def kind_of(head: bytes) -> str:
    """`ZIP`, `OLE` or `TEXT` by the first bytes of a file; else what to tell whoever sent it."""
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for opening, advice in _OPENINGS:
        if start.startswith(opening):
            return advice
    return TEXT
