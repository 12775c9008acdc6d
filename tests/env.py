"""The environment of the tests, set before settings.py reads it (`-p tests.env`).

What a developer has set in the shell must not decide whether a test passes; only the database may
be chosen, by DATABASE_URL.
"""

import atexit
import os
import shutil
import signal
import tempfile

import pytest

os.environ |= {
    "SECRET_KEY": "tests-only-" + "0123456789" * 5,
    "SECRET_KEY_FILE": "",
    "DEBUG": "false",
    "DEMO": "false",
    "HTTPS_ONLY": "false",
    "TRUST_PROXY_HEADER": "false",
    "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
    "CSRF_TRUSTED_ORIGINS": "",
    "LOG_LEVEL": "WARNING",
    "DATABASE_REPLICA_URL": "",
    "AUDIT_KEY": "",
    "AUDIT_KEY_FILE": "",
    "AUDIT_DIGEST": "",
    "AUDIT_KEPT_DAYS": "",
    "PASSWORD_DAYS": "90",
    "IDLE_MINUTES": "30",
    "ADMIN_IDLE_MINUTES": "15",
    "TOTP_FOR": "none",
    "PASSWORD_HASHER": "",
    "ADMIN_ALLOWED_CIDRS": "",
    "LOG_FORMAT": "",
    # Tests of the limits set their own; what the others ask for is counted by nobody.
    "SIGN_IN_LIMIT": "0",
    "UPLOAD_LIMIT": "0",
    "EXPORT_LIMIT": "0",
    "SEARCH_LIMIT": "0",
}

# Parallel workers share the folder of the process that started them, which removes it; two runs in
# one checkout do not meet.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["DATA_DIR"] = tempfile.mkdtemp(prefix="ledger-tests-")
    atexit.register(shutil.rmtree, os.environ["DATA_DIR"], ignore_errors=True)
    # `kill` is to tidy up as Ctrl-C does: browsers, servers, test databases.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_configure():
    from django.conf import settings  # not before the environment is set

    # Hundreds of users are made; a slow hash would be most of the time.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def pytest_collection_modifyitems(config, items):
    """Tests of another database are left out, not skipped: they can't pass here. On PostgreSQL so
    are those that have nothing to do with the database, and were run on SQLite."""
    from django.conf import settings

    is_postgresql = "postgresql" in settings.DATABASES["default"]["ENGINE"]
    mark = "once" if is_postgresql else "postgresql"
    left_out = [item for item in items if item.get_closest_marker(mark)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def chromium():
    """Path of the browser; `script/test` sets it."""
    path = os.environ.get("CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if not path:
        pytest.skip("没有 Chromium")
    return path
