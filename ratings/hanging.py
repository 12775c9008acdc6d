"""What the tree of organizations shows of the newest open cycle."""

from orgs.hanging import tells

from .models import Cycle, Report


@tells
def reports_of(organizations, post) -> dict[int, dict]:
    """Of the own subtree how many are rated there, and where the report can be seen its state."""
    cycle = Cycle.objects.visible_to(post).open().first()
    own = cycle and Report.objects.own(post).of(cycle).first()
    if own is None:
        return {}
    keys = [one.pk for one in organizations]
    there = Report.objects.within(post).of(cycle).filter(organization__in=keys)
    seen = Report.objects.visible_in(cycle, post).filter(organization__in=keys)
    seen = set(seen.values_list("pk", flat=True))
    return {
        report.organization_id: {
            "text": f"应定级 {report.rated_count} 个" if report.has_subordinates else "",
            "record": report if report.pk in seen else None,
        }
        for report in there.select_related("parent")
        if report.path.startswith(own.path)
    }
