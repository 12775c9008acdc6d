"""Signing in: what is counted, the second step, and the one door that every way in goes through.

统一身份认证 is a backend in AUTHENTICATION_BACKENDS and a view that finds the user by it and calls
`admit`: second step and rules of sessions are the same for all.
"""

import math
import secrets
import time

from axes.backends import AxesStandaloneBackend
from axes.handlers.proxy import AxesProxyHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.core import signing
from django.db import transaction
from django.db.models import Sum
from django.dispatch import receiver
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django_otp.plugins.otp_totp.models import TOTPDevice

from ledger_site.base import trail
from ledger_site.base.choices import Result

from .models import User
from .posts import posts_of

UNKNOWN = "不存在的账号"

HALF = "half"  # of a sign-in: the password was right, the second step is to come
HALF_LASTS = 300  # seconds
MOST_WRONG_CODES = 5

BROWSER = "browser"  # the cookie by which a browser is known
MOST_KNOWN = 10  # persons of one browser
KNOWN_FOR = 365 * 24 * 3600  # seconds


class LockingBackend(AxesStandaloneBackend):
    """Refuses whoever is locked; without a request (a command) there is nobody to lock."""

    def authenticate(self, request, username=None, password=None, **kwargs):
        if request is None:
            return None
        return super().authenticate(request, username=username, password=password, **kwargs)


# ---------------------------------------------------------------- what is counted


def counted_name(request, credentials) -> str | None:
    """The name under which failures are counted: the account, from a browser that this person
    has signed in with before the account there.

    So strangers who guess lock the account for strangers; the person still gets in.
    """
    username = (credentials or {}).get("username")
    if not username:
        return None
    # What is longer is nobody's name, and PostgreSQL would refuse to store it.
    username = username[: User._meta.get_field("username").max_length]
    browser = _browser_of(request)
    return f"{username} {browser['id']}" if _mark_of(username) in browser["known"] else username


def _browser_of(request) -> dict:
    try:
        found = signing.loads(request.COOKIES.get(BROWSER, ""), salt=BROWSER, max_age=KNOWN_FOR)
    except signing.BadSignature:
        found = {"id": secrets.token_hex(8), "known": []}
    return found


def known_browser(request) -> str:
    """The browser's own number where somebody has signed in with it before, else ""."""
    browser = _browser_of(request)
    return browser["id"] if browser["known"] else ""


def _mark_of(username: str) -> str:
    return salted_hmac(BROWSER, username).hexdigest()[:16]


def remember_browser(request, response, user: User) -> None:
    browser, mark = _browser_of(request), _mark_of(user.username)
    known = [mark, *(one for one in browser["known"] if one != mark)]
    browser["known"] = known[:MOST_KNOWN]
    response.set_cookie(
        BROWSER,
        signing.dumps(browser, salt=BROWSER),
        max_age=KNOWN_FOR,
        httponly=True,
        secure=settings.SESSION_COOKIE_SECURE,
        samesite="Lax",
    )


def answer_of_locked(request, response, credentials=None):
    """The page itself, whose form says for how long; as one that was asked for too often."""
    if response is not None:
        response.status_code = 429
    return response


def minutes_left(request, username: str) -> int:
    """How long the account is locked from here; whole minutes, at least one."""
    handler = AxesProxyHandler.get_implementation()
    (attempts,) = handler.get_user_attempts(request, {"username": username})
    last = attempts.order_by("-attempt_time").values_list("attempt_time", flat=True).first()
    until = (last or timezone.now()) + settings.AXES_COOLOFF_TIME
    return max(1, math.ceil((until - timezone.now()).total_seconds() / 60))


def locked_names(attempts=None) -> set[str]:
    """Accounts that are locked, for strangers or at some browser; of these attempts, else all."""
    since = timezone.now() - settings.AXES_COOLOFF_TIME
    attempts = AccessAttempt.objects.all() if attempts is None else attempts
    counted = attempts.filter(attempt_time__gte=since).order_by().values_list("username")
    counted = counted.annotate(count=Sum("failures_since_start"))
    full = counted.filter(count__gte=settings.AXES_FAILURE_LIMIT)
    return {name.partition(" ")[0] for name, _ in full}


def is_locked(user: User) -> bool:
    return bool(locked_names(_attempts(user)))


def _attempts(user: User):
    return AccessAttempt.objects.filter(username=user.username) | AccessAttempt.objects.filter(
        username__startswith=f"{user.username} "
    )


def forget_failures(user: User) -> None:
    _attempts(user).delete()


def note_lock(request, username: str) -> None:
    """Once a lock; without the name where there is no such account: it may be a password."""
    if getattr(request, "axes_failures_since_start", 0) != settings.AXES_FAILURE_LIMIT:
        return
    user = User.objects.filter(username=username).first()
    act = trail.Act("user", user and user.pk, "", str(user) if user else UNKNOWN)
    trail.record("lock", "登录失败次数过多，锁定", [act], by=trail.WithoutUnit())


# ---------------------------------------------------------------- the second step


def device_of(user: User, *, for_update=False) -> TOTPDevice | None:
    devices = TOTPDevice.objects.filter(user=user, confirmed=True)
    return (devices.select_for_update() if for_update else devices).first()


def bind(user: User, key: str, token: str) -> bool:
    """Bind 动态口令 if the token proves that the other side has the key."""
    with transaction.atomic():
        TOTPDevice.objects.filter(user=user).delete()
        device = TOTPDevice.objects.create(user=user, name="动态口令", key=key)
        if device.verify_token(token):
            note("bind_totp", "绑定动态口令", user)
            return True
        transaction.set_rollback(True)
    return False


def check_token(user: User, token: str) -> bool:
    """Whether the token is right now; each is good once, and wrong ones slow down the next."""
    with transaction.atomic():
        device = device_of(user, for_update=True)
        return device is not None and token.isascii() and device.verify_token(token)


# ---------------------------------------------------------------- the door


def admit(request, user: User, backend: str, *, next_page: str) -> bool:
    """Sign in, or, where a second step is to come, note that it is; True once inside.

    `backend` is the path of the backend that has found the user.
    """
    if device_of(user):
        request.session.cycle_key()
        request.session[HALF] = {
            "user": user.pk,
            "backend": backend,
            "next": next_page,
            "at": int(time.time()),
            "wrong": 0,
            "of": user.get_session_auth_hash(),
        }
        return False
    _let_in(request, user, backend)
    return True


def half_in(request) -> tuple[User, dict] | tuple[None, None]:
    """Who has to take the second step, within five minutes and with the same password."""
    half = request.session.get(HALF)
    if half and time.time() - half["at"] <= HALF_LASTS and half["wrong"] < MOST_WRONG_CODES:
        user = User.objects.filter(pk=half["user"], is_active=True).first()
        if user and user.get_session_auth_hash() == half["of"]:
            return user, half
    request.session.pop(HALF, None)
    return None, None


def take_second_step(request, user: User, half: dict, is_right: bool) -> bool:
    if not is_right:
        half["wrong"] += 1
        note_refused("sign_in", "登录", user.username, "动态口令或恢复码不对")
        request.session[HALF] = half
        return False
    del request.session[HALF]
    _let_in(request, user, half["backend"])
    return True


def _let_in(request, user: User, backend: str) -> None:
    login(request, user, backend=backend)


def note(action: str, label: str, user: User, *, by: trail.Doer | None = None, **data) -> None:
    """An event about an account, by the person unless said otherwise."""
    act = trail.Act("user", user.pk, "", str(user), data=data)
    trail.record(action, label, [act], by=by or trail.WithoutUnit(user.pk, str(user)))


# ---------------------------------------------------------------- what the trail is told


@receiver(user_logged_in, dispatch_uid="trail")
def signed_in(sender, user, **kwargs):
    trail.record("sign_in", "登录", [_act(user)], by=_doer(user))


@receiver(user_logged_out, dispatch_uid="trail")
def signed_out(sender, user, **kwargs):
    if user is not None:
        trail.record("sign_out", "退出", [_act(user)], by=_doer(user))


@receiver(user_login_failed, dispatch_uid="trail")
def failed_to_sign_in(sender, credentials, **kwargs):
    name = str(credentials.get("username") or "")
    note_refused("sign_in", "登录", name, "用户名或密码不对，或者账号已停用")


def note_refused(action: str, label: str, name: str, reason: str) -> None:
    """That somebody could not prove to be the person of an account. What was typed as its name is
    kept only where it is one: it may be a password."""
    name = name.replace("\0", "")
    user = User.objects.filter(username=name).first()
    act, by = trail.Act("user", None, "", UNKNOWN), trail.WithoutUnit(None, UNKNOWN)
    if user:
        act, by = _act(user), trail.WithoutUnit(user.pk, str(user))
    act.reason = reason
    trail.record(action, label, [act], by=by, result=Result.REFUSED)


def _act(user: User) -> trail.Act:
    return trail.Act("user", user.pk, "", str(user))


def _doer(user: User) -> trail.Doer:
    """The first post, under which the work begins."""
    return next(iter(posts_of(user)), None) or trail.WithoutUnit(user.pk, str(user))
