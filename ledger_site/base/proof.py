"""What proves an event or a seal: a keyed digest over a text of all its columns.

The text is a JSON list whose first item is the number of its format; a later format never changes
what an earlier one says. The keys are those of the settings (AUDIT_KEYS): the first proves what is
written now, the others were in use before.
"""

import functools
import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC

from django.conf import settings

NOT_KEYED = 0  # events from before there were keys; only a seal proves them
DIGESTS = {1: "sha256", 2: "sm3"}  # by format: HMAC-SHA-256, HMAC-SM3
EVENT_COLUMNS = (
    "at",
    "action",
    "label",
    "person_id",
    "person_name",
    "post",
    "unit_id",
    "unit_code",
    "unit_name",
    "object_kind",
    "object_id",
    "object_code",
    "object_name",
    "reason",
    "data",
    "request_number",
    "address",
    "result",
)
SEAL_COLUMNS = ("number", "at", "first_id", "last_id", "ids", "count", "digest", "previous")

_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


def format_now() -> int:
    return next(number for number, name in DIGESTS.items() if name == settings.AUDIT_DIGEST)


def plain(data):
    """Data as both databases give it back."""
    return json.loads(json.dumps(data))


def text_of(form: int, values: Sequence) -> str:
    """The canonical text of a record: its values in the order of the columns, moments in UTC."""
    told = [
        value.astimezone(UTC).isoformat(timespec="microseconds")
        if hasattr(value, "astimezone")
        else value
        for value in values
    ]
    return _dumps([form, *told])


@functools.lru_cache(maxsize=16)
def _keyed(key: bytes, digest: str) -> hmac.HMAC:
    return hmac.new(key, digestmod=digest)


def mac_of(form: int, values: Sequence, key: bytes | None = None) -> str:
    """The keyed digest of a record, by the key in use unless another one is given."""
    if form not in DIGESTS:
        return ""
    begun = _keyed(key or settings.AUDIT_KEYS[0], DIGESTS[form]).copy()
    begun.update(text_of(form, values).encode("utf-8", "surrogatepass"))
    return begun.hexdigest()


def is_proved(form: int, values: Sequence, mac: str) -> bool:
    """Whether one of the keys gives this digest."""
    if form not in DIGESTS:
        return False
    return any(hmac.compare_digest(mac_of(form, values, key), mac) for key in settings.AUDIT_KEYS)


def line_of(pk: int, form: int, values: Sequence, mac: str) -> bytes:
    """What an event adds to the digest of its batch; one without a key its whole text."""
    if form == NOT_KEYED:
        mac = hashlib.sha256(text_of(form, values).encode("utf-8", "surrogatepass")).hexdigest()
    return f"{pk}:{form}:{mac}\n".encode()


def batch_digest(form: int, lines: Iterable[bytes]) -> str:
    found = hashlib.new(DIGESTS[form])
    for line in lines:
        found.update(line)
    return found.hexdigest()


def ranges_of(ids: Iterable[int]) -> str:
    """Ascending numbers as ranges: 1-5,7."""
    parts, first, last = [], None, None
    for number in ids:
        if last is not None and number == last + 1:
            last = number
            continue
        if first is not None:
            parts.append((first, last))
        first = last = number
    if first is not None:
        parts.append((first, last))
    return ",".join(f"{a}-{b}" if a != b else f"{a}" for a, b in parts)


def ids_of(ranges: str) -> Iterator[int]:
    for part in filter(None, ranges.split(",")):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)
