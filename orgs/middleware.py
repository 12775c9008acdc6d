"""Gives each request the post its user acts under, and ends sessions that are over.

Both are read from the database every time: an appointment that ended, or a user moved to another
unit, counts with the next click, not with the next sign-in.
"""

from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.functional import SimpleLazyObject

from . import sessions
from .posts import posts_of

SESSION_KEY = "post"

PASSWORD_PAGE, SECOND_STEP_PAGE = "accounts:password", "accounts:second_step"
# What everybody may open who has something to do first.
ALWAYS_OPEN = frozenset({"login", "logout", PASSWORD_PAGE, SECOND_STEP_PAGE})
SAFE_METHODS = ("GET", "HEAD")


class SessionMiddleware:
    """Below the CSRF middleware, so that only what our own pages sent is kept as a draft."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_view(self, request, view, args, kwargs):
        if not request.user.is_authenticated:
            return None
        if reason := sessions.why_over(request):
            return self._sign_in_again(request, reason)
        sessions.seen(request)
        page = self._first(request)
        here = request.resolver_match.view_name
        if page and here not in ALWAYS_OPEN:
            return redirect(page)
        return None

    def _first(self, request) -> str:
        """The page that comes before all others, "" if there is none."""
        if must_change_password(request.user):
            return PASSWORD_PAGE
        if request.session.get(sessions.NEEDS_SECOND):
            return SECOND_STEP_PAGE
        return ""

    def _sign_in_again(self, request, reason):
        path = request.get_full_path()
        by_script = request.htmx or request.headers.get("X-Requested-With") == "fetch"
        if request.method in SAFE_METHODS or by_script:
            request.session.flush()  # the page keeps what it wanted to save by itself
        else:
            sessions.keep_draft(request, path)
            reason += "刚才提交的内容已保留，登录后可以继续提交。" * bool(
                request.session.get(sessions.DRAFT)
            )
            path = reverse("desk")
        messages.warning(request, reason)
        if request.htmx:
            here = urlsplit(request.htmx.current_url or "")
            target = redirect_to_login(here.path or reverse("desk"), reverse("login"))
            return HttpResponse(status=204, headers={"HX-Redirect": target.url})
        return redirect_to_login(path, reverse("login"))


def must_change_password(user) -> bool:
    """Set by somebody else, or too long ago."""
    if user.must_change_password:
        return True
    return bool(settings.PASSWORD_DAYS) and user.password_age.days >= settings.PASSWORD_DAYS


class PostMiddleware:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.posts = SimpleLazyObject(lambda: posts_of(request.user))
        return self.get_response(request)

    def process_view(self, request, view, args, kwargs):
        """`request.post` is None for whoever holds none; it is plain, so that `is None` holds."""
        request.post = None
        if request.user.is_authenticated:
            chosen = request.session.get(SESSION_KEY)
            request.post = next(
                (post for post in request.posts if post.organization_id == chosen),
                request.posts[0] if request.posts else None,
            )
