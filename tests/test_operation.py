"""docs/operation.md is followed: its very commands, in their order, from packages to going back.

They are read from the page and run by bash with nothing in PATH but what `stand_ins.py` knows, so
that a command that is new there fails here. PostgreSQL, gunicorn, worker, backup, restore and
migrations are the real ones.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress

import pytest
from django.conf import settings

from tests import stand_ins
from tests.serving import free_port, private_servers

pytestmark = pytest.mark.postgresql

PAGE = settings.BASE_DIR / "docs/operation.md"
INSTALLED = ("1. 软件包", "2. 数据库", "3. 程序和设置")
FIRST = (*INSTALLED, "4. 建表、检查、三员", "5. 启动", "6. nginx", "备份")
AGAIN = (*INSTALLED, "恢复到一台新的机器", "5. 启动", "升级")


def sections() -> dict[str, str]:
    """The commands under each heading that has any."""
    found = {}
    for part in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        blocks = re.findall(r"^```\n(.*?)^```", part, re.MULTILINE | re.DOTALL)
        if blocks:
            found[part.partition("\n")[0]] = "".join(blocks)
    return found


class Machine:
    """A folder with the places of a machine."""

    def __init__(self, folder):
        self.folder = folder
        self.environment = {
            "MACHINE": str(folder),
            "PATH": f"{folder}/bin:{folder}/usr/local/sbin",
            "REAL_PATH": os.environ["PATH"],
            "WEB_PORT": str(free_port()),
            "PGHOST": "127.0.0.1",
            "PGPORT": os.environ["PGPORT"],
            "LANG": "C.UTF-8",
            "GUNICORN_CMD_ARGS": "--workers=1",  # one tells as much as one for each processor
        }
        for name in ("bin", "log", "run", "root/kept", "usr/local/sbin", "var/backups", "var/lib"):
            (folder / name).mkdir(parents=True)
        for name in ("etc/systemd/system", "etc/nginx/sites-enabled"):
            (folder / name).mkdir(parents=True)
        for name in stand_ins.KNOWN:
            line = f'exec {sys.executable} {stand_ins.__file__} {name} "$@"'
            stand_ins.program(folder / "bin" / name, line)
        for name in stand_ins.REAL:
            (folder / "bin" / name).symlink_to(shutil.which(name))

    def follow(self, *headings) -> str:
        """Do what the page says under these headings; what it printed."""
        commands = "".join(sections()[heading] for heading in headings)
        done = subprocess.run(
            [shutil.which("bash"), "-euo", "pipefail", "-c", self.placed(commands)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
        return done.stdout

    def placed(self, text: str) -> str:
        return stand_ins.placed(text, self.environment)

    def place(self, name: str):
        return self.folder / name

    def end(self) -> None:
        """As when the power fails."""
        for file in self.place("run").glob("*.pid"):
            with suppress(ProcessLookupError):
                os.killpg(int(file.read_text()), signal.SIGKILL)


@pytest.fixture
def server(monkeypatch):
    """PostgreSQL as Debian sets it up: by password on a port, nothing in it."""
    port = str(free_port())
    monkeypatch.setenv("PGPORT", port)
    module = private_servers()
    options = module.OPTIONS | {"listen_addresses": "127.0.0.1", "port": port}
    server = module.Server(module.programs(), options)
    try:
        server.start()
        rules = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        (server.folder / "data/pg_hba.conf").write_text(f"local all all trust\n{rules}")
        server.run("pg_ctl", "--pgdata=data", "reload")
        server.run("dropdb", *at(server), "ledger")
        yield server
    finally:
        server.stop()


def at(server) -> tuple[str, str]:
    return f"--host={server.folder}", "--username=postgres"


def is_ready(said: str) -> list[bool]:
    """What /readyz was printed to say."""
    return [json.loads(line)["ready"] for line in said.splitlines() if line.startswith("{")]


def test_every_section_with_commands_is_followed():
    assert set(sections()) == {*FIRST, *AGAIN}


def test_the_page_leads_from_packages_to_a_restored_and_upgraded_system(server, tmp_path):
    one, two = Machine(tmp_path / "one"), Machine(tmp_path / "two")
    try:
        said = one.follow(*FIRST)
        assert is_ready(said) == [True]
        assert len(re.findall("激活码：", said)) == 3
        sent = [file.name for file in one.place("offsite").iterdir()]
        assert sorted(sent) == [sorted(sent)[0], f"{sorted(sent)[0]}.sha256"]

        one.end()
        server.run("dropdb", "--force", *at(server), "ledger")
        server.run("dropuser", *at(server), "ledger")
        for kept in (*one.place("offsite").iterdir(), *one.place("etc/ledger").glob("*_key")):
            shutil.copy(kept, two.place("root/kept"))
        said = two.follow(*AGAIN)
        assert is_ready(said) == [True] * 3
        assert re.findall("^(?:已恢复|核验通过).*", said, re.M)
    finally:
        one.end()
        two.end()
    for machine in (one, two):  # each line is an object, none an error
        for log in machine.place("log").iterdir():
            lines = [json.loads(line) for line in log.read_text().splitlines()]
            assert {line["level"] for line in lines} <= {"INFO", "WARNING"}, log
