"""Sessions: one a person, over after a while without work, after half a day, and with the post.

What is in force is written beside the user: a session that does not hold it is over with its next
click, whoever ended it and on whichever machine.
"""

import secrets
import time
from collections.abc import Iterable

from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.db.models import F
from django.dispatch import receiver
from django.utils import timezone

from .models import Organization, User

MARK, BEGUN, SEEN, UNTIL = "mark", "begun_at", "seen_at", "until"
NEEDS_SECOND, DRAFT = "needs_second_step", "draft"
LONGEST = 12 * 3600  # seconds
SEEN_EVERY = 30  # seconds; not each click writes
LARGEST_DRAFT = 200_000  # characters
POLLING = "X-Polling"  # the header of what pages ask for by themselves

ELSEWHERE = "您的账号已在别处登录，或者管理员结束了这次登录，请重新登录。"
IDLE = "超过 {} 分钟没有操作，请重新登录。"
TOO_LONG = "登录已超过 12 小时，请重新登录。"
POST_OVER = "您的代理或任职已到期，请重新登录。"


@receiver(user_logged_in)
def begin(sender, request, user, **kwargs):
    """Every way in ends here; the session before is over."""
    user.session_mark = new_mark()
    User.objects.filter(pk=user.pk).update(session_mark=user.session_mark)
    request.session.update(begun(user) | {NEEDS_SECOND: needs_second_step(user)})
    draft = request.session.get(DRAFT)
    if draft and draft["user"] != user.pk:
        del request.session[DRAFT]


def new_mark() -> str:
    return secrets.token_urlsafe(16)


def begun(user) -> dict:
    """What a session holds that begins now and is the one in force: with the first day on which
    the user is no longer what they are, as a deputy whose days are numbered."""
    now, ends = int(time.time()), user.appointments.active().exclude(ended_on=None)
    first = ends.order_by("ended_on").values_list("ended_on", flat=True).first()
    until = first and first.isoformat()
    return {MARK: user.session_mark, BEGUN: now, SEEN: now, UNTIL: until}


def end(users: Iterable[int]) -> None:
    """End the sessions of these users."""
    User.objects.filter(pk__in=users).update(session_mark="")


def idle_minutes(user) -> int:
    return settings.ADMIN_IDLE_MINUTES if user.is_administrator else settings.IDLE_MINUTES


def why_over(request) -> str:
    """Why this session is over, "" if it is not."""
    session, user, now = request.session, request.user, time.time()
    if not user.session_mark or session.get(MARK) != user.session_mark:
        return ELSEWHERE
    if now - session[BEGUN] > LONGEST:
        return TOO_LONG
    if (until := session.get(UNTIL)) and timezone.localdate().isoformat() >= until:
        return POST_OVER
    minutes = idle_minutes(user)
    return IDLE.format(minutes) if now - session[SEEN] > minutes * 60 else ""


def seen(request) -> None:
    """Note that somebody is at work; a page that asks by itself is nobody."""
    now = int(time.time())
    if POLLING not in request.headers and now - request.session[SEEN] >= SEEN_EVERY:
        request.session[SEEN] = now


def needs_second_step(user) -> bool:
    """Whether this person may not do without 动态口令, by the setting."""
    groups = settings.TOTP_FOR
    if "administrators" in groups and user.is_administrator:
        return True
    if "departments" not in groups:
        return False
    # A department is above committees: something below it has something below.
    deep = Organization.objects.filter(
        parent__in=user.appointments.active().order_by().values("organization"),
        rght__gt=F("lft") + 1,
    )
    return deep.order_by().exists()


def keep_draft(request, path: str) -> None:
    """Keep what was typed for whoever signs in again as the same person; never a password."""
    fields = [
        (name, value)
        for name, values in request.POST.lists()
        for value in values
        if name != "csrfmiddlewaretoken"
    ]
    is_secret = any("password" in name for name, _ in fields)
    size = sum(len(name) + len(value) for name, value in fields)
    if fields and not is_secret and size <= LARGEST_DRAFT:
        draft = {"user": request.user.pk, "path": path, "fields": fields}
    else:
        draft = None
    request.session.flush()
    if draft:
        request.session[DRAFT] = draft
