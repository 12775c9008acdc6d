"""What a form sends, taken with care: nothing that is missing, forged or huge becomes an error."""

from datetime import date

from django.http import QueryDict

from .. import parsers

STALE = -1  # a token no report ever has
LONGEST_REASON = 2000
LONGEST_KEY = 18  # digits that fit every database column


def token_of(request) -> int:
    """The token of the page the request was sent from; never None, which would mean a command."""
    return token_from(request.POST.get("token", ""))


def token_from(text: str) -> int:
    """A token as a form sends it; whatever is none counts as out of date."""
    return int(text) if is_number(text) else STALE


def is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= LONGEST_KEY


def text_of(request, name: str = "reason") -> str:
    """A text of the form without control characters, cut where it is longer than anyone types."""
    return parsers.clean(request.POST.get(name, ""))[:LONGEST_REASON]


def query_of(request) -> str:
    """The filters and place of the list a form was sent from, "?" before them; "" without."""
    query = QueryDict(request.POST.get("query", "")[:LONGEST_REASON].removeprefix("?")).urlencode()
    return f"?{query}" if query else ""


def day_of(request, name: str) -> date | None:
    """A day of the form; None where it is missing or none."""
    try:
        return date.fromisoformat(request.POST.get(name, "").strip())
    except ValueError:
        return None
