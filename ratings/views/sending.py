"""Workbooks that are made for whoever asks for them."""

from django.http import FileResponse

from ledger_site.base import trail
from ledger_site.base.choices import EXPORT

from ..exports import CONTENT_TYPE


def sent(request, stream, name: str, act: trail.Act) -> FileResponse:
    """The workbook in a stream, as a download; that it was made is kept in the trail."""
    trail.record(EXPORT, "导出", [act], by=request.post)
    stream.seek(0)
    return FileResponse(stream, as_attachment=True, filename=name, content_type=CONTENT_TYPE)
