"""What of spot checks waits for a unit: the desk says it."""

from dataclasses import dataclass

from orgs.choices import Role
from ratings.models import Report

from .models import Practice, Remedy, SpotCheck

MOST = 5  # of a kind


@dataclass(frozen=True)
class Waiting:
    title: str
    url: str
    link: str
    is_urgent: bool = False
    is_news: bool = False  # nothing to be done about it


def waiting_for(post, reports: list[Report]) -> list[Waiting]:
    """`reports` are the unit's own in the open cycles; notices live on in closed ones."""
    found = []
    if post.has(Role.FILL) or post.has(Role.REVIEW):
        for one in Remedy.objects.to_reply(post.organization)[:MOST]:
            late = "，已逾期" if one.is_overdue else ""
            day = f"{one.due_on.month}月{one.due_on.day}日"
            title = f"整改通知（{one}）请于{day}前答复{late}"
            found.append(Waiting(title, one.get_absolute_url(), "去答复", is_urgent=True))
    if post.has(Role.REVIEW):
        for one in Remedy.objects.to_verify(post.organization)[:MOST]:
            title = f"整改通知（{one}）已答复，等您核实"
            found.append(Waiting(title, one.get_absolute_url(), "去核实"))
        for one in Practice.objects.recommended_to(post.organization)[:MOST]:
            found.append(Waiting(f"下级推荐典型做法“{one}”", one.get_absolute_url(), "查看"))
    running = SpotCheck.objects.running_over(reports).select_related("report").defer("frame")
    for one in running[:MOST]:
        title = f"{one.report.short_name}正在抽查调阅（{one}）"
        found.append(Waiting(title, one.get_absolute_url(), "查看", is_news=True))
    return found
