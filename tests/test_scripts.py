"""The commands that start and serve the system, run as a person runs them."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from django.conf import settings

from tests.serving import free_port, waited_for

pytestmark = pytest.mark.once


ROOT = settings.BASE_DIR


def pins(file):
    return set(re.findall(r"^([a-z0-9-]+==[^\s\\]+)", (ROOT / file).read_text(), re.MULTILINE))


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def quickstart(tmp_path):
    """Start it on data of its own; whatever the test does, nothing of it goes on."""
    started = []

    def run(port):
        process = subprocess.Popen(
            [sys.executable, "manage.py", "quickstart", "--port", str(port)],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def members(group):
    """Processes of the group that still run."""
    return [
        stat.parent.name
        for stat in Path("/proc").glob("[0-9]*/stat")
        if (text := readable(stat)) and text.rpartition(")")[2].split()[2] == str(group)
    ]


def readable(file):
    try:
        return file.read_text()
    except OSError:  # it ended meanwhile
        return ""


def fetch(url):
    try:
        with urllib.request.urlopen(url, timeout=120) as response:  # noqa: S310 - our own server
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("kind", ["requirements", "requirements-dev"])
def test_lock_has_every_pin_and_no_address(kind):
    lock = (ROOT / f"{kind}.lock").read_text()

    assert pins(f"{kind}.txt") <= pins(f"{kind}.lock")
    assert pins("requirements.lock") <= pins("requirements-dev.lock")
    assert not re.search(r"://|^--|@ ", lock, re.MULTILINE)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are read from /proc")
def test_quickstart_serves_until_it_is_told_to_stop_and_leaves_no_process(quickstart, port):
    for number in (signal.SIGINT, signal.SIGTERM):
        process = quickstart(port)
        while f"http://127.0.0.1:{port}/" not in (line := process.stdout.readline()):
            assert line, process.stderr.read()

        assert fetch(f"http://127.0.0.1:{port}/login/") == 200
        process.send_signal(number)

        assert process.wait(timeout=20) == 0
        assert waited_for(lambda group=process.pid: not members(group), seconds=5)


def workers_of(group):
    return [
        int(pid)
        for pid in members(group)
        if "worker\0--with-parent" in readable(Path("/proc", pid, "cmdline"))
    ]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are read from /proc")
def test_quickstart_replaces_a_killed_worker_and_when_killed_leaves_no_process(quickstart, port):
    process = quickstart(port)
    first = waited_for(lambda: workers_of(process.pid), 60)
    assert len(first) == 1

    os.kill(first[0], signal.SIGKILL)
    second = waited_for(lambda: [pid for pid in workers_of(process.pid) if pid not in first])
    assert len(second) == 1
    assert fetch(f"http://127.0.0.1:{port}/login/") == 200

    process.kill()
    process.wait()
    assert waited_for(lambda: not members(process.pid))


@pytest.mark.parametrize(
    "script",
    [file.name for file in (ROOT / "bench").glob("*.py") if "argparse" in file.read_text()],
)
def test_a_bench_script_starts(script):
    said = subprocess.run(
        [sys.executable, f"bench/{script}", "--help"], cwd=ROOT, capture_output=True, text=True
    )

    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith(f"usage: {script}")


def test_quickstart_on_a_taken_port_says_so_and_touches_no_data(quickstart, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        process = quickstart(port)
        said, complaint = process.communicate(timeout=60)

    assert process.returncode == 1
    assert said == ""
    assert re.fullmatch(rf"端口 {port} 已被占用.*。\n", complaint)
    assert not (tmp_path / "ledger.sqlite3").exists()


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("number", "status"), [(None, 3), (signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_private_server_ends_with_its_command(number, status):
    script = 'echo "$DATABASE_URL"; psql "$DATABASE_URL" -qtc "select 1" >&2; '
    process = subprocess.Popen(
        ["script/with-postgresql", "sh", "-c", script + ("exec sleep 60" if number else "exit 3")],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    url = process.stdout.readline().strip()
    if number:
        process.send_signal(number)
    process.communicate(timeout=30)

    folder = Path(url.partition("host=")[2])
    assert folder.name.startswith("ledger-pg-")
    assert not folder.exists()
    assert process.returncode == status
