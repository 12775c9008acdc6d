"""Starts the ledger on this machine alone, with demo data. `env.local()` has set the stage."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time

from django.conf import settings
from django.core.management import BaseCommand, call_command
from django.db import connections

from ledger_site import demo
from orgs.models import Organization

HOST = "127.0.0.1"
PR_SET_PDEATHSIG = 1  # of Linux: the signal for a process whose parent is gone


def _start(command, **options) -> subprocess.Popen:
    """Start a child that ends with us, however we end; at `kill -9` only Linux sees to it."""
    parent = os.getpid()
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def follow():
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # gone before that
            os._exit(1)

    return subprocess.Popen(command, preexec_fn=libc and follow, **options)  # noqa: S603 - no shell, nothing from outside


class Command(BaseCommand):
    help = "在本机启动演示环境：建立密钥和数据库，首次启动时装入虚构数据，然后提供网页服务。"

    def add_arguments(self, parser):
        parser.add_argument("--port", type=int, default=8000, help="端口，默认 8000")
        parser.add_argument("--no-serve", action="store_true", help="只准备数据，不提供网页服务")

    def handle(self, *, port, no_serve, verbosity, **options):
        if not settings.DEMO:
            self._refuse("quickstart 只用于本机演示，要从命令行用 manage.py quickstart 启动。")
        listener = None if no_serve else self._listen(port)

        call_command("migrate", interactive=False, verbosity=max(verbosity - 1, 0))
        if not Organization.objects.exists():
            self.stdout.write("正在装入演示数据……")
            demo.load()
        self._introduce(port, no_serve)

        connections.close_all()
        if listener:
            self._serve(listener)

    def _listen(self, port):
        """Take the port before the data is loaded: a taken one is said at once, and stays ours."""
        if not 0 < port < 65536:
            self._refuse(f"端口要在 1 到 65535 之间，现在是 {port}。")
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen()
        except OSError:
            self._refuse(f"端口 {port} 已被占用或不能使用，请换一个，例如 --port {port + 1}。")
        return listener

    def _introduce(self, port, no_serve):
        self.stdout.write("演示账号（环境和数据均为虚构）：")
        for label, username, password in demo.ACCOUNTS:
            self.stdout.write(f"  {label}：账号 {username}，密码 {password}")
        if not no_serve:
            self.stdout.write(f"已启动：http://{HOST}:{port}/ （按 Ctrl-C 停止）")
        self.stdout.flush()

    def _serve(self, listener):
        """Run gunicorn and a worker for background jobs, until a signal or gunicorn's end."""
        gunicorn = (
            sys.executable, "-m", "gunicorn", "ledger_site.wsgi",
            "--config", "deploy/gunicorn.conf.py",
            "--bind", f"fd://{listener.fileno()}",
            "--workers", "2",
            "--graceful-timeout", "5",
            "--log-level", "warning",
        )  # fmt: skip
        worker = (sys.executable, "manage.py", "worker", "--with-parent")
        os.chdir(settings.BASE_DIR)
        told = []
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: told.append(True))
        web = _start(gunicorn, pass_fds=[listener.fileno()])
        jobs = _start(worker)
        while not told and web.poll() is None:
            if jobs.poll() is not None:  # what it had in hand is taken up by the next
                jobs = _start(worker)
            time.sleep(0.5)
        for child in (web, jobs):
            child.terminate()
        for child in (web, jobs):
            try:
                child.wait(timeout=8)
            except subprocess.TimeoutExpired:
                child.kill()  # a job in hand is taken up at the next start

    def _refuse(self, reason):
        self.stderr.write(reason)
        sys.exit(1)
