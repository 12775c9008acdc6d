"""What must not be there where the system is at work; `check --deploy` says it."""

from django.conf import settings
from django.core import checks
from django.db import DatabaseError

from orgs.models import User

SUPERUSER = "有超级用户：{}。请用 create_administrator 设立三员，然后取消或停用超级用户。"
DEMO_ACCOUNT = "有演示账号：{}。请停用，或者修改密码。"


@checks.register(checks.Tags.security, deploy=True)
def no_account_that_may_everything(**kwargs):
    """Neither a superuser nor an account with the password of the demo, which everybody knows.

    An installation that has no database yet has no accounts either.
    """
    if settings.DEBUG or settings.DEMO:
        return []
    try:
        superusers, known = _superusers(), _demo_accounts()
    except DatabaseError:
        return []
    return [
        checks.Error(text.format("、".join(names)), id=f"ledger_site.{number}")
        for text, names, number in (
            (SUPERUSER, superusers, "E001"),
            (DEMO_ACCOUNT, known, "E002"),
        )
        if names
    ]


def _superusers() -> list[str]:
    found = User.objects.filter(is_superuser=True, is_active=True).order_by("username")
    return list(found.values_list("username", flat=True)[:20])


def _demo_accounts() -> list[str]:
    from . import demo  # with its files, when they are asked for

    found = User.objects.filter(username__in=demo.PARTS, is_active=True).order_by("username")
    return [user.username for user in found if user.check_password(demo.PASSWORD)]
