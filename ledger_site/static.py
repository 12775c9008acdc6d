"""Addresses of static files that change with what the files hold."""

import hashlib
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage


def _version(name: str) -> str:
    """The first digits of the file's digest, "" if there is no such file."""
    path = finders.find(name)
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:10] if path else ""


_remembered_version = lru_cache(maxsize=None)(_version)


class VersionedStaticFilesStorage(StaticFilesStorage):
    """Adds ?v=… to the address: after an upgrade no page meets an old style sheet in the cache.

    Django's manifest storage does this by file name, but needs collectstatic.
    """

    def url(self, name):
        # While someone works on the files, a version read once would be out of date.
        version = (_version if settings.DEBUG else _remembered_version)(name) if name else ""
        return f"{super().url(name)}?v={version}" if version else super().url(name)
