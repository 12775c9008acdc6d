"""What hangs on the organizations of a page: each app above says what it knows of them."""

from collections.abc import Callable, Iterable, Mapping

from .models import Organization

# Of (organizations, post): by key of the organization what a line of the tree shows beside it,
# {text, record (with a state, for its badge, or None)}. A fixed number of queries.
Teller = Callable[[list[Organization], object], Mapping[int, dict]]
_tellers: list[Teller] = []


def tells(teller: Teller) -> Teller:
    _tellers.append(teller)
    return teller


def hung(organizations: Iterable[Organization], post) -> list[Organization]:
    """The organizations, each with `hanging`: what was said of it."""
    organizations = list(organizations)
    said = [teller(organizations, post) for teller in _tellers] if organizations else []
    for one in organizations:
        one.hanging = [told[one.pk] for told in said if one.pk in told]
    return organizations
