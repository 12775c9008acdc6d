"""What a list is narrowed to, from the address. What makes no sense is left out, and said."""

from django import forms

from ledger_site.base.paging import whole
from orgs.forms import ALL, Narrowing, SearchField

from .choices import Grade, State


class Filters(Narrowing):
    """An address that says nonsense is shown as one that says nothing."""

    def __init__(self, data, **choices):
        super().__init__(data, **choices)
        for name in self.errors:
            self.data = self.data.copy()
            self.data.pop(name, None)
        self._errors = None
        self.full_clean()


def _choice(label, choices=()) -> forms.ChoiceField:
    return forms.ChoiceField(label=label, required=False, choices=[ALL, *choices])


class LedgerFilters(Filters):
    unit = _choice("单位")
    category = _choice("领域")
    declared = _choice("申报等次", Grade.choices)
    reviewed = _choice("审核等次", Grade.choices)
    state = _choice("状态", State.choices)
    q = SearchField()
    overdue = forms.BooleanField(label="只看逾期未报", required=False)


EXPECTED, OVERDUE = "expected", "overdue"  # beside the states: everything but 免报, and late


class QueueFilters(Filters):
    state = _choice("状态", [(EXPECTED, "应报"), *State.choices, (OVERDUE, "逾期")])
    q = SearchField()


def unit_choices(visible, directs, asked: str | None) -> list[tuple[str, str]]:
    """The direct subordinates to choose from and, where an address names it, a deeper unit."""
    choices = [
        (str(report.pk), report.short_name)
        for report in directs
        if report.is_rated or report.rated_count
    ]
    pk = whole(asked)
    if pk is not None and str(pk) not in dict(choices):
        deeper = visible.filter(pk=pk).values_list("short_name", flat=True).first()
        choices += [(str(pk), deeper)] if deeper else []
    return choices
