"""What a machine of its own would bring along, for `test_operation.py`: run as a program.

    python stand_ins.py NAME ARGUMENT…

Each does so much of its namesake as docs/operation.md asks of it, within the folder `MACHINE`, and
fails for anything else. What needs root (users, owners, packages) is left out.
"""

import configparser
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

MACHINE = Path(os.environ.get("MACHINE", ""))
PROJECT = Path(__file__).resolve().parent.parent
# Places of a machine that lie within the folder here.
PLACES = (
    "etc/ledger|etc/nginx|etc/systemd|root/kept|run/ledger|srv/ledger|usr/local|var/backups|var/lib"
)


def placed(text: str, said=os.environ) -> str:
    """The text with the places of a machine as those of its folder, and with our ports."""
    text = re.sub(rf"(?<![\w.])/(?=(?:{PLACES})\b)", f"{said['MACHINE']}/", text)
    return text.replace("8001", said["WEB_PORT"]).replace(":5432/", f":{said['PGPORT']}/")


def expect(is_known: bool, *arguments: str) -> None:
    if not is_known:
        sys.exit(f"stand_ins.py knows no {shlex.join([NAME, *arguments])}")


def apt_get(verb, *packages):
    expect(verb == "update" or (verb == "install" and packages[0] == "-y"), verb, *packages)


def useradd(*arguments):
    expect(arguments[-1] == "ledger" and "--system" in arguments, *arguments)


def runuser(_, user, dashes, *command):
    """As whoever we are; `postgres` reaches the server that was started for the test."""
    expect(dashes == "--", user, dashes, *command)
    there = {"postgres": {"PGUSER": "postgres"}, "ledger": {}}[user]
    path = f"{MACHINE}/bin" if command[0] == "ssh-keygen" else os.environ["REAL_PATH"]
    os.execvpe(command[0], command, os.environ | there | {"PATH": path})  # noqa: S606


def install(*arguments):
    """Nobody but root gives files away."""
    kept = list(arguments)
    for option in {"-o", "-g"} & set(kept):
        at = kept.index(option)
        expect(kept[at + 1] == "ledger", *arguments)
        del kept[at : at + 2]
    real("install", *kept)


def real(program, *arguments):
    os.environ["PATH"] = os.environ["REAL_PATH"]
    os.execvp(program, [program, *arguments])  # noqa: S606


def git(verb, *arguments):
    """The working copy with the places of this machine in what deploy/ holds; one version."""
    if verb == "clone":
        target = Path(arguments[-1])
        target.mkdir(parents=True)
        for one in PROJECT.iterdir():
            if one.name not in ("deploy", ".venv", ".git"):
                (target / one.name).symlink_to(one)
        left_out = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / "deploy", target / "deploy", ignore=left_out)
        for one in (target / "deploy").rglob("*"):
            if one.is_file():
                one.write_text(placed(one.read_text()))
    elif verb == "describe":
        print("v1.0")
    else:
        expect(verb in ("fetch", "checkout"), verb, *arguments)


def python3(*arguments):
    """The environment that runs the tests, under the names of one of its own."""
    expect(arguments == ("-m", "venv", ".venv"), *arguments)
    folder = Path(".venv/bin")
    folder.mkdir(parents=True)
    program(folder / "python", f'exec {sys.executable} "$@"')
    program(folder / "gunicorn", f'exec {sys.executable} -m gunicorn "$@"')
    program(folder / "pip", f'exec {sys.executable} {__file__} pip "$@"')


def program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def pip(*arguments):
    expect(arguments[:3] == ("install", "--require-hashes", "-r"), *arguments)
    Path(arguments[3]).read_text()


def openssl(verb, *arguments):
    if verb == "rand":
        print(os.urandom(int(arguments[1])).hex())
    else:
        expect(verb == "req", verb, *arguments)
        for option in ("-keyout", "-out"):
            Path(arguments[arguments.index(option) + 1]).write_text("-")


def nginx(*arguments):
    expect(arguments == ("-t",), *arguments)
    site = (MACHINE / "etc/nginx/sites-enabled/ledger.conf").read_text()
    found = {line.split()[-1] for line in site.splitlines() if "include" in line}
    found |= set(re.findall(r"ssl_certificate\w*\s+(\S+)", site))
    expect(len(found) == 3 and all(Path(one.strip(";")).exists() for one in found), site)
    expect(re.findall(r"^ +server (\S+)", site, re.M) == [f"127.0.0.1:{os.environ['WEB_PORT']}"])


def curl(*arguments):
    expect(arguments[0] == "-fsS", *arguments)
    with urllib.request.urlopen(arguments[1], timeout=60) as answer:  # noqa: S310 - our own node
        print(answer.read().decode())


def ssh_keygen(*arguments):
    key = Path(arguments[arguments.index("-f") + 1])
    key.with_suffix(".pub").write_text("ssh-ed25519 -\n")


def rsync(*arguments):
    """To the other machine."""
    *_, source, target = arguments
    expect(target == "backup@10.1.0.31:ledger/" and "--ignore-existing" in arguments, *arguments)
    (MACHINE / "offsite").mkdir()
    for one in Path(source).glob("*.tar*"):
        shutil.copy(one, MACHINE / "offsite")


# ---------------------------------------------------------------- systemd


class Unit:
    def __init__(self, name: str):
        self.name = name
        template, at, self.instance = name.partition("@")
        folder = MACHINE / "etc/systemd/system"
        found = configparser.ConfigParser(interpolation=None, delimiters="=", strict=False)
        found.optionxform = str
        text = (folder / f"{template}{at}.service").read_text().replace("%i", self.instance)
        found.read_string(text)
        self.service = found["Service"]
        self.pid_file = MACHINE / "run" / f"{name}.pid"

    @property
    def pid(self) -> int:
        return int(self.pid_file.read_text())

    def start(self) -> None:
        variables = dict(os.environ, PATH=os.environ["REAL_PATH"])
        if file := self.service.get("EnvironmentFile"):
            lines = re.findall(r"^(\w+)=(.*)$", Path(file).read_text(), re.M)
            variables |= dict(lines)
        if said := self.service.get("Environment"):
            variables |= dict([said.split("=", 1)])
        if folder := self.service.get("RuntimeDirectory"):
            shutil.rmtree(MACHINE / "run" / folder, ignore_errors=True)
            (MACHINE / "run" / folder).mkdir()
        command = shlex.split(self.service["ExecStart"])
        if self.service.get("Type") == "oneshot":
            command[0] = str(MACHINE / "bin" / Path(command[0]).name)
            subprocess.run(command, env=os.environ, check=True)
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.bind(f"\0ledger-{os.getpid()}")
            told.settimeout(60)
            with (MACHINE / "log" / self.name).open("ab") as log:
                process = subprocess.Popen(
                    command,
                    cwd=self.service["WorkingDirectory"],
                    env=variables | {"NOTIFY_SOCKET": f"@ledger-{os.getpid()}"},
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self.pid_file.write_text(str(process.pid))
            while self.service.get("Type") == "notify" and b"READY=1" not in told.recv(4096):
                pass

    def reload(self) -> None:
        os.kill(self.pid, signal.SIGHUP)

    def stop(self) -> None:
        os.kill(self.pid, signal.SIGTERM)
        while is_running(self.pid):
            time.sleep(0.1)
        self.pid_file.unlink()

    def restart(self) -> None:
        self.stop()
        self.start()


def is_running(pid: int) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())  # empty: ended, not yet waited for
    except OSError:
        return False


def systemctl(verb, *names):
    if verb == "daemon-reload" or names == ("nginx",):
        return
    if verb == "enable":
        expect(names[0] == "--now", verb, *names)
        verb, names = "start", names[1:]
    for pattern in names:
        if pattern.endswith(".timer"):
            expect((MACHINE / "etc/systemd/system" / pattern).exists(), verb, pattern)
            continue
        running = [file.stem for file in (MACHINE / "run").glob(f"{pattern}.pid")]
        expect(bool(running) or verb == "start", verb, pattern)
        for name in [pattern] if verb == "start" else running:
            getattr(Unit(name), verb)()


KNOWN = {
    "apt-get": apt_get,
    "curl": curl,
    "git": git,
    "install": install,
    "nginx": nginx,
    "openssl": openssl,
    "pip": pip,
    "python3": python3,
    "rsync": rsync,
    "runuser": runuser,
    "ssh-keygen": ssh_keygen,
    "systemctl": systemctl,
    "useradd": useradd,
}
REAL = ("basename", "cat", "cp", "date", "sed", "tr")  # and what the shell itself knows

if __name__ == "__main__":
    NAME = sys.argv[1]
    KNOWN[NAME](*sys.argv[2:])
