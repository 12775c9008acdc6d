"""What holds for every request: its number, by which a person at the telephone and the log find
each other, what is refused before any page is asked, and what no cache keeps."""

from ipaddress import ip_address

from django.conf import settings
from django.core.exceptions import BadRequest
from django.core.signals import request_finished
from django.dispatch import receiver
from django.http import Http404
from django.middleware import common
from django.utils.cache import patch_cache_control

from ledger_site.base import limits, trail
from ledger_site.base.numbers import NONE, new_number, request_address, request_number
from orgs import signing_in
from orgs.posts import doer_of

from . import errors


class RequestNumberMiddleware:
    """Sets `request.number` and the header X-Request-ID.

    Comes first, so that what the others log carries the number. A number that the client sends
    is ignored: it could make the lines of two requests look like one.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.number = new_number()
        request_number.set(request.number)
        request_address.set(_address_of(request))
        response = self.get_response(request)
        response["X-Request-ID"] = request.number
        return response


def _address_of(request) -> str:
    """From where the request came: the proxy's last word where it is trusted, else the connection.

    What stands before the last word was sent by the client.
    """
    address = request.META.get("REMOTE_ADDR", "")
    if settings.TRUST_PROXY_HEADER:
        address = request.headers.get("X-Forwarded-For", address).rpartition(",")[2].strip()
    try:
        return str(ip_address(address))
    except ValueError:  # a socket of this machine has none
        return ""


@receiver(request_finished)
def forget_number(**kwargs):
    """Not in the middleware: Django logs refusals and errors after the last of them is done."""
    request_number.set(NONE)
    request_address.set("")


class GuardMiddleware:
    """Refuses what no page of ours sends: a body larger than any form, NUL in an address; and shows
    administration to no other network than its own."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdigit() and int(length) > settings.MOST_SENT:
            return errors.too_large(request)
        if "\0" in request.path_info:
            raise BadRequest
        return self.get_response(request)

    def process_view(self, request, view, args, kwargs):
        match = request.resolver_match
        if match.namespace == "admin" or match.view_name in ADMINISTRATION:
            address = request_address.get()
            networks = settings.ADMIN_ALLOWED_CIDRS
            if not (address and any(ip_address(address) in network for network in networks)):
                raise Http404
            # Django's own lists pass it on to the database; our forms name it and leave it out.
            if any("\0" in text for values in request.GET.lists() for text in values[1]):
                raise BadRequest


class CommonMiddleware(common.CommonMiddleware):
    """Django's, but monitoring asks a node by its own address, which is none of `ALLOWED_HOSTS`."""

    def process_request(self, request):
        if request.path_info not in MONITORING:
            return super().process_request(request)
        return None


MONITORING = frozenset({"/healthz", "/readyz", "/metrics"})
ADMINISTRATION = frozenset({"accounts:security"})  # and everything of /admin

SIGN_IN, UPLOAD, EXPORT, SEARCH = "sign_in", "upload", "export", "search"
SIGNING_IN = frozenset({"login", "accounts:second_step", "accounts:activate"})
SHEETS = frozenset(
    {
        "ratings:download",
        "ratings:template",
        "ratings:publicity_sheet",
        "ratings:scores",
        "audits:frame",
        "jobs:file",
    }
)
ASKED_FOR = frozenset({"ratings:pack", "audits:export_trail"})  # by a press, and made by a job
SEARCHES = frozenset({"audits:trail", "ratings:find_version"})


def kind_of(request) -> str:
    """Which of `RATE_LIMITS` counts this request, "" if none does."""
    name, is_post = request.resolver_match.view_name, request.method == "POST"
    if is_post and name in SIGNING_IN:
        return SIGN_IN
    if is_post and (request.FILES or getattr(request, "is_too_large", False)):
        return UPLOAD
    if (
        name in SHEETS
        or (is_post and name in ASKED_FOR)
        or (not is_post and request.GET.get("sheet") == "1")
        or (name.startswith("admin:") and name.endswith("_export"))
    ):
        return EXPORT
    if not is_post and (request.GET.get("q", "").strip() or (name in SEARCHES and request.GET)):
        return SEARCH
    return ""


class RateMiddleware:
    """Whoever signs in, uploads, exports or searches too often waits: error 429.

    Counted by person. Of sign-ins by address, since the person is not known; but by browser where
    somebody has signed in before, so that one who guesses at passwords behind the address of a
    county locks out none of its people.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_view(self, request, view, args, kwargs):
        kind = kind_of(request)
        most = settings.RATE_LIMITS.get(kind, 0)
        if not most:
            return None
        if kind == SIGN_IN:
            who = signing_in.known_browser(request) or request_address.get()
        else:
            who = request.user.pk or request_address.get()
        count = limits.count_up(f"{kind} {who}")
        if count <= most:
            return None
        if count == most + 1:  # the others of the same ten minutes say nothing new
            act = trail.Act("page", None, "", request.path)
            trail.refuse("limit", "限制频繁访问", act, errors.TooOften(), by=doer_of(request))
        return errors.too_often(request)


class NoStoreMiddleware:
    """Pages of whoever has signed in stay in no cache, not even the browser's own."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        # Where the database is away nobody is asked for a second time who it is.
        if response.status_code != 503 and request.user.is_authenticated:
            patch_cache_control(response, private=True, no_store=True)
        return response
