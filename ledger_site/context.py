"""What every page may say about the system itself, and the way around it."""

import re

from django.conf import settings
from django.urls import NoReverseMatch, reverse
from django.utils.functional import SimpleLazyObject

from orgs.choices import Duty, Role
from ratings.models import Report

from . import help_pages, keys

SITE_NAME = "基层党组织分类定级、晋位升级目标管理工作台账"
UNCLASSIFIED_NOTICE = "本系统为非涉密系统，严禁存储、处理、传输国家秘密"
DEMO_NOTICE = "演示环境，数据均为虚构"
TRIDENT_NOTICE = (
    "您的浏览器正以IE兼容模式打开本页，版式和自动保存不起作用。"
    "请切换到“极速模式”，或者换用新版Edge、Chrome、360、火狐浏览器。"
)
TEXT_SIZE = "text_size"  # the cookie of 大字版

ACCOUNTS = ("accounts:list", "accounts:new", "accounts:sheet", "accounts:account")
CHANGES = ("orgs:change", "orgs:changes", "orgs:past_change", "orgs:undo", "orgs:terms")
# The main navigation: label, page, and the other pages that belong to it.
NAVIGATION = (
    ("工作台", "desk", ()),
    ("本级填报", "ratings:mine", ("ratings:fill", "ratings:hand_in", "ratings:preview")),
    ("下级审核", "ratings:queue", ("ratings:review", "ratings:batch", "ratings:remind")),
    (
        "汇总",
        "ratings:own_summary",
        (
            "ratings:summary",
            "ratings:recount",
            "ratings:own_movement",
            "ratings:movement",
            "ratings:movement_rows",
        ),
    ),
    ("台账", "ratings:ledger", ()),
    (
        "整改",
        "rectification:list",
        tuple(
            f"rectification:{page}"
            for page in ("board", "figures", "remind", "measures", "weak", "mark")
        ),
    ),
    (
        "抽查",
        "audits:checks",
        tuple(
            f"audits:{page}"
            for page in (
                "new_check",
                "check",
                "redraw",
                "result",
                "row",
                "request_correction",
                "correct_row",
                "remedies",
                "remedy",
                "corrections",
                "correction",
                "practices",
                "practice",
                "find_practice",
            )
        ),
    ),
    (
        "批次",
        "ratings:cycles",
        ("ratings:cycle", "ratings:new_cycle", "ratings:edit_cycle", "ratings:cycle_act"),
    ),
    ("组织", "orgs:tree", ("orgs:branch", "orgs:organization", *CHANGES, *ACCOUNTS)),
    ("我的下载", "jobs:list", ("jobs:job",)),
    ("留痕", "audits:trail", ("audits:event", "audits:chain")),
)
OF_A_CYCLE = frozenset(
    {
        "ratings:mine",
        "ratings:queue",
        "ratings:own_summary",
        "ratings:ledger",
        "rectification:list",
        "rectification:board",
        "rectification:figures",
        "rectification:weak",
        "audits:checks",
        "audits:remedies",
        "audits:corrections",
        "audits:practices",
    }
)
FOR_SUPERIORS = "ratings:queue"
FOR_AUDITORS = "audits:trail"
OF_DUTY = {  # of administrators, who hold no post
    Duty.SYSTEM: ("desk", "ratings:cycles", "jobs:list"),
    Duty.SECURITY: ("desk",),
    Duty.AUDIT: ("desk", "jobs:list", FOR_AUDITORS),
}


def site(request=None) -> dict:
    """Without a request too, for pages that are made when little else works."""
    found = {
        "demo": settings.DEMO,
        "demo_notice": DEMO_NOTICE,
        "site_name": SITE_NAME,
        "unclassified_notice": UNCLASSIFIED_NOTICE,
        "review_keys": keys.REVIEW,
    }
    if request is not None:
        found["large_text"] = request.COOKIES.get(TEXT_SIZE) == "large"
        found["is_trident"] = bool(
            re.search(r"Trident/|MSIE ", request.headers.get("User-Agent", ""))
        )
        found["trident_notice"] = TRIDENT_NOTICE
    if match := getattr(request, "resolver_match", None):
        found["help_url"] = help_pages.about(match.view_name)
    if getattr(request, "post", None) is not None:
        # Only the frame asks for them: a fragment costs nothing.
        found["nav"] = SimpleLazyObject(lambda: navigation(request))
        found["nav_cycles"] = SimpleLazyObject(lambda: cycle_choices(request))
    elif getattr(request, "user", None) is not None and request.user.is_authenticated:
        found["nav"] = SimpleLazyObject(lambda: _navigation_without_post(request))
    return found


def own_reports(request) -> list[Report]:
    """The reports of the post's own unit, newest cycle first: one query a request."""
    if not hasattr(request, "own_reports"):
        request.own_reports = list(
            Report.objects.own(request.post)
            .select_related("cycle", "parent", "parent__parent", "order")
            .order_by("-cycle__year", "-cycle__round")
        )
    return request.own_reports


def current_report(request) -> Report | None:
    """The own report in the cycle of the address, else in the newest open one, else the newest."""
    reports = own_reports(request)
    named = getattr(request, "cycle", None)
    for report in reports:
        if named is not None and report.cycle_id == named.pk:
            return report
    return next((r for r in reports if r.cycle.is_open), reports[0] if reports else None)


def navigation(request) -> list[dict]:
    report = current_report(request)
    match = request.resolver_match
    here = match.view_name if match else ""
    items = []
    for label, page, others in NAVIGATION:
        address = _address(page, report)
        if page == FOR_AUDITORS and not request.post.has(Role.AUDIT):
            continue
        if address and not (page == FOR_SUPERIORS and not report.has_subordinates):
            item = {"label": label, "url": address, "current": here == page or here in others}
            if page == FOR_SUPERIORS and request.post.has(Role.REVIEW):
                item["count"] = Report.objects.awaiting(request.post).of(report.cycle_id).count()
            items.append(item)
    if request.user.is_staff:
        items.append({"label": "系统维护", "url": reverse("admin:index"), "current": False})
    return items


def _navigation_without_post(request) -> list[dict]:
    pages = OF_DUTY.get(request.user.duty, ("desk",))
    match = request.resolver_match
    here = match.view_name if match else ""
    return [
        {"label": label, "url": reverse(page), "current": here == page or here in others}
        for label, page, others in NAVIGATION
        if page in pages
    ]


def cycle_choices(request) -> list[dict]:
    """The cycles this page can be seen in; none where the page belongs to no cycle."""
    match = request.resolver_match
    if not match or match.view_name not in OF_A_CYCLE:
        return []
    current = current_report(request)
    return [
        {
            "title": report.cycle.title,
            "state": report.cycle.get_state_display(),
            "url": reverse(match.view_name, args=[report.cycle]),
            "current": report is current,
        }
        for report in own_reports(request)
    ]


def _address(page: str, report: Report | None) -> str:
    """The address of a page; empty where it needs a cycle and there is none."""
    if page in OF_A_CYCLE:
        return reverse(page, args=[report.cycle]) if report else ""
    try:
        return reverse(page)
    except NoReverseMatch:
        return ""
