"""What commands name: a cycle as 2012-1, an organization by its code."""

import re

from ledger_site.base.commands import Refused

from .models import Cycle, Report


def cycle_of(label: str) -> Cycle:
    """The cycle of a label 2012-1; raises `Refused`."""
    found = re.fullmatch(r"(\d{4})-(\d{1,2})", label)
    cycle = found and Cycle.objects.filter(year=found[1], round=found[2]).first()
    if not cycle:
        labels = "、".join(cycle.label for cycle in Cycle.objects.all()) or "还没有批次"
        raise Refused(f"没有批次“{label}”（现有：{labels}）")
    return cycle


def report_of(cycle: Cycle, code: str) -> Report:
    """The report of an organization in a cycle; raises `Refused`."""
    report = (
        Report.objects.filter(cycle=cycle, organization__code=code)
        .select_related("cycle", "organization", "parent", "category")
        .first()
    )
    if not report:
        raise Refused(f"批次 {cycle.label} 中没有代码为“{code}”的党组织")
    return report
