"""The number of the web request, command or job in hand, for log and trail alike, and from where
it came."""

import secrets
from contextvars import ContextVar

NONE = "-"  # start-up

# Without letters and digits that look or sound alike.
_ALPHABET = "2345679ACDEFGHJKMNPQRTUVWXY"

request_number = ContextVar("request_number", default=NONE)
request_address = ContextVar("request_address", default="")


def new_number() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(8))
