"""The number of the web request that is being answered; for log and trail alike."""

from contextvars import ContextVar

NONE = "-"  # commands and start-up

request_number = ContextVar("request_number", default=NONE)
