"""What a change of organizations means to the measures that are followed."""

from orgs import changes
from orgs.models import OrgChange
from ratings.models import Report

from .choices import MeasureState
from .models import Measure


@changes.describes
def open_measures(change: OrgChange, by) -> list[tuple[str, list[str]]]:
    """Measures not closed of what a change closes: they stay with their rows, and whoever confirms
    the change is to know of them: the texts where the row can be seen, else how many."""
    units = {change.organization_id, *change.parts.values_list("organization", flat=True)}
    found = Measure.objects.exclude(state=MeasureState.CLOSED).filter(
        report__organization__in=units, report__organization__closed_on__isnull=False
    )
    seen = found
    if by.unit_id is not None:
        reports = Report.objects.visible_to(by).filter(organization__in=units)
        seen = found.filter(report__in=reports.order_by().values("pk"))
    texts = seen.order_by("report__path", "pk").values_list("report__short_name", "text")
    lines = changes.named(f"{name}：{text}" for name, text in texts)
    if rest := found.count() - len(texts):
        lines.append(f"尚未上报到本级的{rest}条")
    return [("没有销号的措施", lines)] if lines else []
