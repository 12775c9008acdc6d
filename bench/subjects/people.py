"""Everybody at once: the accounts of two people for every branch, a reminder for every unit."""

import csv
import tempfile
from io import StringIO
from pathlib import Path

from django.core.management import call_command

from orgs.choices import Kind, Role
from orgs.models import Appointment, Organization, User
from ratings.models import Reminder
from ratings.reminding import remind_of_reports

from .ground import copy_floor, select_floor, sql, timed

TABLES = ("orgs_user", "orgs_onetimecode", "orgs_appointment")
HEAD = ("账号", "姓名", "党组织代码", "角色")


def accounts(data: Path) -> list:
    branches = Organization.objects.filter(kind=Kind.BRANCH).order_by("tree_id", "lft")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "people.csv")
        with file.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(HEAD)
            for code in branches.values_list("code", flat=True).iterator():
                writer.writerow((f"{code}-1", f"书记{code}", code, Role.FILL.label))
                writer.writerow((f"{code}-2", f"委员{code}", code, Role.READ.label))
        load = timed(lambda: call_command("import_accounts", str(file), stdout=StringIO()))
        again = timed(
            lambda: call_command(
                "import_accounts", str(file), stdout=StringIO(), codes=Path(folder, "none.csv")
            )
        )
    floor = sum(map(copy_floor, TABLES))
    rows = f"{User.objects.count()} accounts, their codes, {Appointment.objects.count()} posts"
    return [
        ("COPY (floor)", floor, 1.0, f"{rows}, committed"),
        ("import_accounts", load, load / floor, "reading, checks, codes, trail, ANALYZE"),
        ("import_accounts again", again, again / floor, "no change"),
    ]


def _load(file: Path) -> None:
    """With the codes beside the file, which are not looked at."""
    codes = file.with_suffix(".codes")
    call_command("import_accounts", str(file), codes=codes, stdout=StringIO())
    codes.unlink(missing_ok=True)


def reminding(data: Path) -> list:
    """Everybody is late: a reminder for every unit, of which nothing stays."""
    sql("UPDATE ratings_report SET below_due_on = below_due_on - 365")
    seconds, again = timed(remind_of_reports), timed(remind_of_reports)
    floor, count = select_floor("ratings_reminder", "id"), Reminder.objects.count()
    sql("DELETE FROM ratings_reminder")
    sql("UPDATE ratings_report SET below_due_on = below_due_on + 365")
    return [
        ("INSERT … SELECT (floor)", floor, 1.0, f"{count} reminders, keys checked, committed"),
        ("remind_of_reports", seconds, seconds / floor, "who is late, who could read it, texts"),
        ("remind_of_reports again", again, again / floor, "nobody twice"),
    ]
