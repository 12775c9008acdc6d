"""Commands answer in a plain sentence whatever they find."""

import os
import subprocess
import sys

from django.conf import settings


def test_a_database_that_was_never_migrated_is_said_without_a_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "manage.py", "verify"],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path}/empty.sqlite3"},
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip() == "数据库还没有建立，请先运行 manage.py migrate"
