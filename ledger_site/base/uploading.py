"""Files that are sent: refused while they arrive where they are too large."""

from django.conf import settings
from django.core.files.uploadhandler import FileUploadHandler, StopUpload


class Limited(FileUploadHandler):
    """Takes no more than `MOST_UPLOADED` bytes of a request; what is beyond is not stored.

    The page then finds no file, and `is_too_large` on the request to say why.
    """

    def __init__(self, request=None):
        super().__init__(request)
        self.size = 0

    def receive_data_chunk(self, raw_data, start):
        self.size += len(raw_data)
        if self.size > settings.MOST_UPLOADED:
            self.request.is_too_large = True
            raise StopUpload(connection_reset=False)
        return raw_data

    def file_complete(self, file_size):
        return None
