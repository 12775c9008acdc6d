"""What deploy/ says is true of the system, and of its own other files. That it works together is
rehearsed by script/rehearse, which brings up these very files."""

import configparser
import json
import logging
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from datetime import time

import pytest
from django.conf import settings
from django.core.management import call_command, get_commands
from django.db.backends.postgresql.base import DatabaseWrapper
from gunicorn.config import Config

from ledger_site import env, upkeep
from ledger_site.base.numbers import NONE, request_number

DEPLOY = settings.BASE_DIR / "deploy"
SMALL = settings.BASE_DIR / "tests/data/lanshan_small"


def text(name):
    return (DEPLOY / name).read_text(encoding="utf-8")


def postgresql(name):
    """Settings of a configuration file of PostgreSQL."""
    return dict(re.findall(r"^(\w+) = '?(.*?)'?(?:\s+#.*)?$", text(name), re.MULTILINE))


def unit(name):
    """A unit file of systemd; the directives used are named once each."""
    found = configparser.ConfigParser(interpolation=None, delimiters="=")
    found.optionxform = str
    found.read(DEPLOY / "systemd" / name, encoding="utf-8")
    return found


UNITS = sorted(file.name for file in (DEPLOY / "systemd").glob("*.service"))


def test_every_variable_of_the_environment_file_is_one_that_is_read():
    named = set(re.findall(r"^#? ?([A-Z_]+)=", text("ledger.env"), re.MULTILINE))

    assert len(named) > 5
    assert named <= env.NAMES


@pytest.mark.parametrize("name", UNITS)
def test_unit_starts_something_that_there_is(name):
    service = unit(name)["Service"]
    program, *arguments = shlex.split(service["ExecStart"])

    folder = service.get("WorkingDirectory")
    if folder is None:  # of Debian
        assert program == "/usr/bin/rsync"
    elif "manage.py" in arguments:
        assert program == f"{folder}/.venv/bin/python"
        assert arguments[arguments.index("manage.py") + 1] in get_commands()
    else:
        assert program == f"{folder}/.venv/bin/gunicorn"
        assert (settings.BASE_DIR / arguments[arguments.index("--config") + 1]).exists()
    assert all(folder in text("ledger.env") for folder in service["ReadWritePaths"].split())


def test_the_timer_starts_its_service_after_the_backup_and_sends_what_there_is():
    """The other machine is given whole backups and their digests, nothing half written."""
    timer, service = (
        unit("ledger-offsite.timer")["Timer"],
        unit("ledger-offsite.service")["Service"],
    )
    at = time.fromisoformat(timer["OnCalendar"].split()[-1])
    said = dict(re.findall(r"^(\w+)=(.*)$", text("ledger.env"), re.MULTILINE))
    *rules, source, _ = shlex.split(service["ExecStart"])

    assert at > upkeep.routines.KINDS["backup"].at
    assert source == f"{said['BACKUP_DIR']}/"
    assert [rule for rule in rules if rule.startswith(("--include", "--exclude", "--delete"))] == [
        "--include=*.tar",
        "--include=*.tar.sha256",
        "--exclude=*",
    ]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path):
    """The programs are named that are here: it also looks whether they are there."""
    for file in (DEPLOY / "systemd").iterdir():
        told = file.read_text(encoding="utf-8")
        told = re.sub(r"^(Exec\w+=)\S+", rf"\1{sys.executable}", told, flags=re.MULTILINE)
        (tmp_path / file.name.replace("@.", "@1.")).write_text(told, encoding="utf-8")

    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, tmp_path.iterdir())],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (said.returncode, said.stderr) == (0, "")


def test_gunicorn_speaks_in_the_lines_of_the_application(capfd):
    config = runpy.run_path(str(DEPLOY / "gunicorn.conf.py"))
    before = logging.root.handlers[:]
    try:
        logger = config["logger_class"](Config())
        request_number.set("2B3C4D5E")
        logger.error("Worker (pid:%s) was sent %s!", 12, "SIGKILL")
    finally:
        logging.root.handlers[:] = before
        request_number.set(NONE)

    (line,) = capfd.readouterr().err.splitlines()
    said = json.loads(line)
    assert (said["request"], said["level"]) == ("2B3C4D5E", "ERROR")
    assert said["message"] == "Worker (pid:12) was sent SIGKILL!"
    assert not logger.access_log_enabled


def test_gunicorn_waits_no_shorter_than_nginx():
    gunicorn = runpy.run_path(str(DEPLOY / "gunicorn.conf.py"))
    nginx = dict(re.findall(r"^(\w+) +(\d+)[sm];", text("nginx/ledger-app.inc"), re.MULTILINE))

    assert gunicorn["timeout"] >= int(nginx["proxy_read_timeout"])
    assert gunicorn["keepalive"] > int(nginx["keepalive_timeout"])
    assert int(nginx["client_max_body_size"]) << 20 > settings.DATA_UPLOAD_MAX_MEMORY_SIZE


def test_proxy_header_is_trusted_because_nginx_overwrites_it():
    assert "TRUST_PROXY_HEADER=true" in text("ledger.env")
    assert "proxy_set_header   X-Forwarded-Proto $scheme;" in text("nginx/ledger-app.inc")
    # A location with headers of its own would inherit none of them.
    locations = re.findall(
        r"^location.*?^}", text("nginx/ledger-app.inc"), re.MULTILINE | re.DOTALL
    )
    assert len(locations) == 4
    assert not any("proxy_set_header" in location for location in locations)


def test_primary_waits_for_the_replica_by_the_name_under_which_it_comes():
    primary, replica = postgresql("postgresql/primary.conf"), postgresql("postgresql/replica.conf")

    (name,) = re.findall(r"FIRST 1 \((\w+)\)", primary["synchronous_standby_names"])
    assert f"application_name={name}" in replica["primary_conninfo"]
    assert replica["primary_slot_name"] == name
    assert primary["synchronous_commit"] == primary["fsync"] == "on"
    assert "synchronous_standby_names" not in replica
    for limit in ("max_connections", "max_wal_senders"):
        assert int(replica[limit]) >= int(primary[limit])


def test_there_are_connections_enough():
    pool = configparser.ConfigParser(interpolation=None)
    pool.read(DEPLOY / "pgbouncer/pgbouncer.ini", encoding="utf-8")
    pool = pool["pgbouncer"]
    nodes = len(re.findall(r"^\s+server \d", text("nginx/ledger.conf"), re.MULTILINE))

    assert pool["pool_mode"] == "transaction"
    most = nodes * (int(pool["default_pool_size"]) + int(pool["reserve_pool_size"]))
    assert most < int(postgresql("postgresql/primary.conf")["max_connections"])


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_cursors_of_the_server_are_opened_within_a_transaction_only(monkeypatch, tmp_path):
    """Between transactions a pool may give the connection to somebody else."""
    opened = []
    chunked_cursor = DatabaseWrapper.chunked_cursor

    def watched(connection):
        opened.append(connection.in_atomic_block)
        return chunked_cursor(connection)

    monkeypatch.setattr(DatabaseWrapper, "chunked_cursor", watched)

    call_command("import_orgs", SMALL / "orgs.csv")
    call_command("open_cycle", "2012")
    scope = {"cycle": "2012-1", "under": "431127"}
    call_command("import_ledger", SMALL / "ledger.csv", **scope)
    call_command("play_cycle", **scope)
    call_command("export_ledger", **scope, form="annex3", out=tmp_path / "annex3.xlsx")
    call_command("verify")

    assert len(opened) > 5
    assert all(opened)


def test_log_of_the_rehearsal_ends_well_and_names_no_place():
    log = (settings.BASE_DIR / "docs/rehearsal.log").read_text(encoding="utf-8")

    assert log.rstrip().endswith("没有丢失，没有重复")
    assert "丢失 0 项，重复 0 项，经过不符 0 项，演练本身出错 0 次" in log
    assert not re.search(r"(^|\s)/\w", log, re.MULTILINE)
