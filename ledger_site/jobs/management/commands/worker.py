"""Does background jobs until it is told to stop; any number of workers may run."""

import logging
import os
import signal
import threading
import time

from django.core.management.base import BaseCommand
from django.db import DatabaseError, InterfaceError, connection
from django.utils.crypto import get_random_string
from django_tasks_db.management.commands.db_worker import Worker

from ledger_site.base import sealing
from ledger_site.jobs import routines, services

logger = logging.getLogger(__name__)
ROUND = 5.0  # seconds between looks for what dead workers left and for old files


class _Worker(Worker):
    def shutdown(self, signum, frame):
        """The first signal lets the job in hand end, and so does SIGTERM after it: where Ctrl-C
        is pressed both come, one from the terminal and one from whoever started us."""
        if self.running or signum != signal.SIGTERM:
            super().shutdown(signum, frame)


class Command(BaseCommand):
    help = "执行后台作业（大的导出、开始批次等），直到收到停止信号；可以同时运行多个"

    def add_arguments(self, parser):
        parser.add_argument(
            "--with-parent", action="store_true", help="启动它的程序没有了就结束（quickstart 使用）"
        )
        parser.add_argument(
            "--once", action="store_true", help="做完已有的作业就结束，供测试和定时任务使用"
        )

    def handle(self, *, once, with_parent, **options):
        parent = os.getppid() if with_parent else None
        self._keep_house()
        worker = _Worker(
            queue_names=["default"],
            interval=1,
            batch=once,
            backend_name="default",
            startup_delay=False,
            max_tasks=None,
            worker_id=get_random_string(32),
            excluded_queue_names=[],
        )
        if not once:
            worker.configure_signals()
            threading.Thread(target=self._keep_on, args=(parent,), daemon=True).start()
        self._work(worker, is_patient=not once)

    def _work(self, worker: _Worker, *, is_patient: bool) -> None:
        """Until it is told to stop; a database that is away or starts anew is waited for."""
        while True:
            try:
                return worker.run()
            except (DatabaseError, InterfaceError):
                if not is_patient:
                    raise
                logger.warning("the database is away", exc_info=True)
                connection.close()
                time.sleep(worker.interval)

    def _keep_on(self, parent: int | None) -> None:
        while True:
            time.sleep(ROUND)
            if parent and os.getppid() != parent:  # whoever started us is gone
                os.kill(os.getpid(), signal.SIGTERM)  # since nobody would stop us
            self._keep_house()

    def _keep_house(self) -> None:
        try:
            routines.show_life()
            services.recover()
            services.expire()
            sealing.seal_if_due()
            routines.begin_due()
        except (DatabaseError, InterfaceError, OSError):  # for a moment: the next round will do
            logger.warning("housekeeping left out", exc_info=True)
            connection.close()
