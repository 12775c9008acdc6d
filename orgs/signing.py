"""Signing in and out leaves events, and so does every try that failed."""

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver

from ledger_site.base import trail
from ledger_site.base.choices import Result

from .models import User
from .posts import posts_of

UNKNOWN = "不存在的账号"


@receiver(user_logged_in, dispatch_uid="trail")
def signed_in(sender, user, **kwargs):
    trail.record("sign_in", "登录", [_act(user)], by=_doer(user))


@receiver(user_logged_out, dispatch_uid="trail")
def signed_out(sender, user, **kwargs):
    if user is not None:
        trail.record("sign_out", "退出", [_act(user)], by=_doer(user))


@receiver(user_login_failed, dispatch_uid="trail")
def failed_to_sign_in(sender, credentials, **kwargs):
    """What was typed as a name is kept only where it is one: it may be a password."""
    name = str(credentials.get("username") or "").replace("\0", "")
    user = User.objects.filter(username=name).first()
    act, by = trail.Act("user", None, "", UNKNOWN), trail.WithoutUnit(None, UNKNOWN)
    if user:
        act, by = _act(user), trail.WithoutUnit(user.pk, str(user))
    act.reason = "用户名或密码不对，或者账号已停用"
    trail.record("sign_in", "登录", [act], by=by, result=Result.REFUSED)


def _act(user: User) -> trail.Act:
    return trail.Act("user", user.pk, "", str(user))


def _doer(user: User) -> trail.Doer:
    """The first post, under which the work begins."""
    return next(iter(posts_of(user)), None) or trail.WithoutUnit(user.pk, str(user))
