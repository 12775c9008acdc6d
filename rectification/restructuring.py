"""What a change of organizations means to the measures that are followed."""

from orgs import changes
from orgs.models import OrgChange

from .choices import MeasureState
from .models import Measure


@changes.describes
def open_measures(change: OrgChange) -> list[tuple[str, list[str]]]:
    """Measures not closed of what a change closes: they stay with their rows, and whoever confirms
    the change is to know of them."""
    units = {change.organization_id, *change.parts.values_list("organization", flat=True)}
    found = Measure.objects.exclude(state=MeasureState.CLOSED).filter(
        report__organization__in=units, report__organization__closed_on__isnull=False
    )
    lines = found.order_by("report__path", "pk").values_list("report__short_name", "text")
    if not lines:
        return []
    return [("没有销号的措施", changes.named(f"{name}：{text}" for name, text in lines))]
