"""Commands answer in a plain sentence whatever they find."""

import os
import subprocess
import sys

import pytest
from django.conf import settings


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///{}/empty.sqlite3", "数据库还没有建立，请先运行 manage.py migrate"),
        (
            "postgresql://ledger@/ledger?host={}",
            "数据库连接不上，请检查 DATABASE_URL 和数据库服务后再试",
        ),
    ],
)
def test_what_is_wrong_with_the_database_is_said_without_a_traceback(tmp_path, url, said):
    done = subprocess.run(
        [sys.executable, "manage.py", "verify"],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DATABASE_URL": url.format(tmp_path)},
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip() == said
