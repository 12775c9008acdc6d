"""What all commands share: one line or JSON on stdout, reasons on stderr, exit status 0, 1 or 2."""

import json
import sys
from abc import abstractmethod
from dataclasses import dataclass, field

from django.core.management.base import BaseCommand
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.recorder import MigrationRecorder

from . import trail
from .importing import Rejected
from .numbers import new_number, request_number
from .workflow import Refusal


class Refused(Refusal):
    """What the command was asked for is not done; one Chinese sentence or several."""

    def __init__(self, *reasons: str):
        super().__init__("\n".join(reasons))


@dataclass
class Result:
    line: str
    data: dict = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)  # told on stderr; the status is 1 then


class LedgerCommand(BaseCommand):
    """A command that answers with `Result` and never with a traceback for bad input."""

    refusals: tuple[type[Exception], ...] = (Refusal,)

    @abstractmethod
    def answer(self, **options) -> Result: ...

    def add_arguments(self, parser):
        parser.add_argument("--json", action="store_true", help="只在标准输出打印 JSON")

    def handle(self, *args, **options):
        told = request_number.set(new_number())  # what one command does belongs together
        try:
            self._answer(options)
        finally:
            request_number.reset(told)

    def _answer(self, options) -> None:
        try:
            result = self.answer(**options)
        except Rejected as rejected:  # whose service has left its trace
            data = {"outcome": "rejected", "errors": rejected.errors}
            result = Result("", data, rejected.errors)
        except self.refusals as refusal:
            self._leave_trace(refusal)
            result = Result("", refusals=str(refusal).splitlines())
        except (DatabaseError, InterfaceError):
            refusal = _why_no_database()
            if not refusal:
                raise
            result = Result("", refusals=[refusal])
        if options["json"] and result.data:
            # Piece by piece: an answer may have a row for each of a province.
            for piece in json.JSONEncoder(ensure_ascii=False).iterencode(result.data):
                self.stdout.write(piece, ending="")
            self.stdout.write("")
        elif result.line:
            self.stdout.write(result.line)
        if result.refusals:
            self.stderr.write("\n".join(result.refusals))
            sys.exit(1)

    def _leave_trace(self, refusal: Exception) -> None:
        """A refused command leaves an event, unless the service that refused it has left one."""
        name = type(self).__module__.rpartition(".")[2]
        act = trail.Act("command", None, name, name)
        trail.refuse(name, "执行命令", act, refusal, by=trail.WithoutUnit())

    def progress(self, text: str) -> None:
        """A passing line on stderr, where somebody is watching."""
        if self.stderr.isatty():
            self.stderr.write(f"\r{text}", ending="")


def _why_no_database() -> str:
    """What is wrong with the database as a whole; "" where it is there."""
    try:
        if MigrationRecorder(connection).has_table():
            return ""
    except (DatabaseError, InterfaceError):
        return "数据库连接不上，请检查 DATABASE_URL 和数据库服务后再试"
    return "数据库还没有建立，请先运行 manage.py migrate"
