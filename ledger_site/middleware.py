"""A number for each request, by which a person at the telephone and the log find each other."""

import logging
from ipaddress import ip_address

from django.conf import settings
from django.core.signals import request_finished
from django.dispatch import receiver
from django.utils.cache import patch_cache_control

from ledger_site.base.numbers import NONE, new_number, request_address, request_number


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


class NumberFilter(logging.Filter):
    """Gives every record `number`, for the format of the log line."""

    def filter(self, record):
        record.number = request_number.get()
        return True


class NoStoreMiddleware:
    """Pages of whoever has signed in stay in no cache, not even the browser's own."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        if request.user.is_authenticated:
            patch_cache_control(response, private=True, no_store=True)
        return response
