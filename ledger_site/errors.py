"""The error pages. Each shows the request number and, where there is one, a reason in Chinese.

400, 500 and 503 are made without the request: then neither host, session nor database can be relied
on.
"""

import logging
import re
import sys

from django.core.exceptions import (
    DisallowedHost,
    PermissionDenied,
    RequestDataTooBig,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.http import HttpResponse
from django.middleware.csrf import REASON_NO_CSRF_COOKIE
from django.shortcuts import render
from django.template import loader

from ledger_site.base import limits, trail
from ledger_site.base.workflow import TransitionRefused
from orgs.posts import doer_of

from .context import site

logger = logging.getLogger(__name__)

_TOO_MUCH = "一次提交的内容太多，请分几次提交。"
_BAD_REQUESTS = {
    DisallowedHost: "本系统不以这个网址提供服务，请使用管理员公布的网址。",
    RequestDataTooBig: _TOO_MUCH,
    TooManyFieldsSent: _TOO_MUCH,
    TooManyFilesSent: _TOO_MUCH,
}

# The database is away, restarting, or ended this request for the sake of another: all of it passes.
_PASSING = (OperationalError, InterfaceError)
_RETRY_AFTER = "5"  # seconds

_COOKIE_MISSING = "浏览器没有带上本系统的 Cookie。请允许 Cookie，重新打开页面后再提交。"
_FOREIGN_ORIGIN = "提交不是从本系统的页面发出的。请从本系统的网址进入后再提交。"
_STALE_PAGE = "页面已过期，可能在别的窗口重新登录过。请重新打开页面后再提交。"


def bad_request(request, exception):
    reason = next((text for kind, text in _BAD_REQUESTS.items() if isinstance(exception, kind)), "")
    return _plain(request, "400.html", status=400, reason=reason)


def permission_denied(request, exception):
    """What somebody who has signed in may not do leaves an event."""
    reason = _for_readers(exception)
    if request.user.is_authenticated:
        refusal = PermissionDenied(reason or "没有权限")
        act = trail.Act("page", None, "", request.path)
        trail.refuse("open", "打开页面", act, refusal, by=doer_of(request))
    return _page(request, "403.html", status=403, reason=reason)


def page_not_found(request, exception):
    return _page(request, "404.html", status=404, reason=_for_readers(exception))


def server_error(request):
    """500, or 503 where trying again is all that is needed; called while the error is handled."""
    if _is_passing(sys.exception()):
        response = _plain(request, "503.html", status=503)
        response["Retry-After"] = _RETRY_AFTER
        return response
    return _plain(request, "500.html", status=500)


def _is_passing(error) -> bool:
    """Where a connection ends within an answer, psycopg2 knows nothing better than
    `DatabaseError`, which may mean anything; then the connection says which it was."""
    return isinstance(error, _PASSING) or (
        type(error) is DatabaseError
        and not (connection.connection is not None and connection.is_usable())
    )


class TooOften(TransitionRefused):
    """Of the requests that are counted, more than `RATE_LIMITS` allows."""

    def __init__(self):
        super().__init__("操作过于频繁")


def too_often(request):
    left = limits.seconds_left()
    context = {"number": _number_of(request), "minutes": -(-left // 60)}
    response = render(request, "429.html", context, status=429)
    response["Retry-After"] = str(left)
    return response


def too_large(request):
    """The body is not read: what is left of it ends with the connection."""
    response = _plain(request, "400.html", status=413, reason=_TOO_MUCH)
    response["Connection"] = "close"
    return response


def csrf_failure(request, reason=""):
    if reason == REASON_NO_CSRF_COOKIE:
        text = _COOKIE_MISSING
    elif reason.startswith(("Origin", "Referer")):
        text = _FOREIGN_ORIGIN
    else:
        text = _STALE_PAGE
    return _page(request, "403_csrf.html", status=403, reason=text)


def _for_readers(exception) -> str:
    """What the exception says, if it was written for the screen.

    Our own sentences are Chinese; Django's are English and name models and addresses.
    """
    text = str(exception.args[0]) if exception.args else ""
    return text if re.search(r"[\u4e00-\u9fff]", text) and "{" not in text else ""


def _page(request, template, *, status, reason):
    context = {"number": _number_of(request), "reason": reason}
    return render(request, template, context, status=status)


def _plain(request, template, *, status, reason=""):
    context = site() | {"number": _number_of(request), "reason": reason}
    try:
        return HttpResponse(loader.get_template(template).render(context), status=status)
    except Exception:  # the last page there is must come, whatever is broken
        logger.exception("The error page %s failed", template)
        return HttpResponse(
            f"系统暂时不能处理这次请求，请稍后再试。请求编号：{context['number']}",
            status=status,
            content_type="text/plain; charset=utf-8",
        )


def _number_of(request) -> str:
    return getattr(request, "number", "")
