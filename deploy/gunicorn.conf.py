"""Gunicorn, the same on every web node; the address comes from the unit (--bind).

Connections to the database: workers × threads, for each node.
"""

import gc
import multiprocessing
import os
import sys
from logging.config import dictConfig

from gunicorn.glogging import Logger
from prometheus_client.multiprocess import mark_process_dead

from ledger_site import env, logs

workers = multiprocessing.cpu_count()
# Most of a request is waiting for the database: threads fill that time. More of them only wait for
# one another in Python.
worker_class = "gthread"
threads = 4

# Nginx keeps its connections open; ours must outlive them, or it would send into a closed one.
keepalive = 90
timeout = 120  # a workbook of a whole province; pages take milliseconds
graceful_timeout = 30
# A worker is replaced now and then, not all at once.
max_requests = 20_000
max_requests_jitter = 4_000

# Its control socket would be one for all nodes of a machine; systemd starts and stops them.
control_socket_disable = True

accesslog = None  # nginx has it
errorlog = "-"  # to the journal
loglevel = env.log_level("LOG_LEVEL").lower()


class _Logger(Logger):
    """Its lines are those of the application, from the first on. `logconfig_dict` would do the
    same, and write a line for every request as well."""

    def setup(self, cfg):
        super().setup(cfg)
        dictConfig(logs.from_environment())


logger_class = _Logger


def post_fork(server, worker):
    """A reload brings a new version: nothing of ours that the master has read may stay."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "ledger_site"]:
        del sys.modules[name]


def child_exit(server, worker):
    """What a worker measured counts on when it is gone (PROMETHEUS_MULTIPROC_DIR)."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        mark_process_dead(worker.pid)


def post_worker_init(worker):
    """Collect garbage less often, and never look through what lives as long as the worker: a page
    makes thousands of objects and leaves none in circles. A fifth less work for each page."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
