"""工作台: what waits for whoever has signed in, until when, and the way to it."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.db.models import Count, Q
from django.http import HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.http import require_POST, require_safe

from audits.waiting import waiting_for as checks_waiting_for
from orgs import session_views
from orgs.choices import Role
from orgs.middleware import SESSION_KEY
from orgs.models import Organization
from ratings import pictures, progress
from ratings.choices import Occasion, Severity, State
from ratings.models import Cycle, Notice, Reminder, Report, ReportMove, Takeover
from ratings.querysets import ancestors
from ratings.taking_over import may_press
from ratings.views.showing import GIVEN_BACK, named_in, some_of
from ratings.workflow import UNDER_EXCUSED, findings_of, namesakes_of
from rectification.choices import Progression, Reach
from rectification.waiting import Waiting, waiting_for

from .context import TEXT_SIZE, own_reports

UNDECIDED = {State.DRAFT: "未报", State.RETURNED: "已退回", State.SUBMITTED: "待审核"}
NAMED = 8  # names in a sentence or list before “等”
LISTED = 500  # direct subordinates of which the names are read
SOON = "请尽快办理"  # where no rule sets a day
REMINDERS = 3


class Login(session_views.Login):
    def get_context_data(self, **kwargs):
        if settings.DEMO:
            from . import demo  # with its files, where there is a demo at all

            kwargs["demo_accounts"] = demo.login_accounts()
        return super().get_context_data(**kwargs)


@require_POST
def choose_post(request):
    """Act for another unit of one's own; every later page reads the choice again."""
    asked = request.POST.get("organization", "")
    post = next((p for p in request.posts if str(p.organization_id) == asked), None)
    if post is None:
        messages.error(request, "您在所选的单位没有任职，身份没有改变。")
    else:
        request.session[SESSION_KEY] = post.organization_id
        messages.success(request, f"现在以“{post.title}”的身份办理。")
    return redirect("desk")


@login_not_required
@require_POST
def text_size(request):
    """大字版, or back to the usual size: kept by the browser, so for the sign-in page too."""
    here = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(here, allowed_hosts=None):
        here = reverse("desk")
    response = HttpResponseRedirect(here)
    if request.POST.get("size") == "large":
        response.set_cookie(
            TEXT_SIZE,
            "large",
            max_age=timedelta(days=365),
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )
    else:
        response.delete_cookie(TEXT_SIZE, samesite="Lax")
    return response


@dataclass
class Task:
    """Something that waits: `title` is a sentence without its full stop."""

    title: str
    url: str
    link: str
    text: str = ""
    due_on: date | None = None
    days_left: int | None = None
    until: str = ""  # in the sentence, where no day is due
    reason: ReportMove | None = None  # why a report was given back
    named: list[dict] = field(default_factory=list)  # the fields a return names, with reasons
    is_urgent: bool = False
    is_waiting: bool = False  # for others


@dataclass
class Work:
    """One open cycle as the post's unit has it."""

    report: Report
    days_left: int | None  # None where nothing can be late any more
    next_step: str = ""
    counts: list[dict] = field(default_factory=list)
    progress: dict | None = None  # of the direct subordinates, as a drawing
    below_text: str = ""  # how far the direct subordinates are, and by state who is not done
    undone: list[dict] = field(default_factory=list)

    @property
    def is_overdue(self) -> bool:
        return self.days_left is not None and self.days_left < 0


@require_safe
def desk(request):
    post = request.post
    if post is None:
        return render(request, "desk_without_post.html")
    reports = _open_reports(post)
    found = _Found(post, reports)
    tasks, works = [], []
    for report in reports:
        tasks += found.tasks(report)
        works.append(found.work(report))
    measures = waiting_for(post, own_reports(request), timezone.localdate())
    for waiting in measures:
        tasks += _measure_tasks(waiting)
    tasks += [
        Task(one.title, one.url, one.link, is_urgent=one.is_urgent, is_waiting=one.is_news)
        for one in checks_waiting_for(post, reports)
    ]
    tasks.sort(key=lambda task: not task.is_urgent)  # stable: otherwise newest cycle first
    upkeep = _upkeep(post, works) if post.has(Role.MANAGE) else None
    first = _first(post, tasks, works, upkeep)
    context = {
        "post": post,
        "first": first,
        "sentence": _sentence(first, len(tasks) - 1),
        "tasks": tasks,
        "works": works,
        "reminders": found.reminders(measures),
        "upkeep": upkeep,
    }
    return render(request, "desk.html", context)


def _open_reports(post) -> list[Report]:
    return list(
        Report.objects.own(post)
        .filter(cycle__in=Cycle.objects.open())
        .select_related("cycle", "category", "parent__parent", "order", "entry", "previous__entry")
        .order_by("-cycle__year", "-cycle__round")
    )


class _Found:
    """What the desk says, asked for all open cycles at once."""

    def __init__(self, post, reports: list[Report]):
        self.post = post
        directs = Report.objects.direct(post).filter(cycle__in=[r.cycle_id for r in reports])
        self.counts = defaultdict(Counter)
        states = directs.order_by().values_list("cycle", "state").annotate(n=Count("pk"))
        for cycle, state, count in states:
            self.counts[cycle][state] = count
        self.undecided = defaultdict(list)
        undecided = directs.filter(state__in=UNDECIDED).order_by("path")
        for cycle, state, name in undecided.values_list("cycle", "state", "short_name")[:LISTED]:
            self.undecided[cycle, state].append(name)
        self.late = defaultdict(list)
        late = directs.overdue().order_by("path").values_list("cycle", "short_name")
        for cycle, name in late:
            self.late[cycle].append(name)
        self.given_back = {}
        moves = ReportMove.objects.filter(
            report__in=[r.pk for r in reports if r.state == State.RETURNED], action__in=GIVEN_BACK
        )
        for move in moves.order_by("pk"):
            self.given_back[move.report_id] = move  # the newest stays
        self.open_ones = [report for report in reports if report.is_open]
        self.unread = {notice.cycle_id: notice for notice in Notice.objects.unread(reports)}
        waiting = Takeover.objects.waiting().within(post).values_list("cycle", flat=True)
        self.waiting_changes = Counter(waiting if may_press(post) else ())
        self.namesakes = namesakes_of([report for report in reports if report.counts_row])
        above = Q(pk=None)
        for report in reports:
            above |= Q(cycle=report.cycle_id, path__in=ancestors(report.path))
        excused = Report.objects.within(post).filter(above, state=State.EXCUSED)
        self.excused_above = dict(excused.values_list("cycle", "name"))
        self.progress = progress.of(reports)

    def reminders(self, measures: list[Waiting]) -> list[Reminder]:
        """Those that hold still: of what is not handed in, and of measures that are overdue."""
        late = [one.report.pk for one in measures if one.overdue or one.overdue_below]
        holds = Q(report__in=self.open_ones, occasion=Occasion.LATE)
        ahead = [one for one in self.open_ones if not one.is_overdue]
        holds |= Q(report__in=ahead, occasion=Occasion.NEAR)
        holds |= Q(report__in=late, occasion=Occasion.MEASURES)
        return list(Reminder.objects.filter(holds).order_by("-pk")[:REMINDERS])

    def tasks(self, report: Report) -> list[Task]:
        """What can be done now stands before what has to wait for others."""
        if report.cycle_id in self.excused_above:
            return []
        own = [self._own_task(report)] if report.is_open and self.post.has(Role.FILL) else []
        review = self._review_tasks(report) if self.post.has(Role.REVIEW) else []
        work = own + review if own and not own[0].is_waiting else review + own
        if count := self.waiting_changes[report.cycle_id]:
            title = f"{report.cycle}有 {count} 项组织变动等待纳入，有关上级不能上报"
            address = reverse("ratings:cycle", args=[report.cycle])
            work.append(Task(title, address, "查看并纳入", until=SOON))
        if notice := self.unread.get(report.cycle_id):
            title = f"请阅知通知“{notice}”"
            work.append(Task(title, notice.get_absolute_url(), "查看", is_waiting=True))
        return work

    def _own_task(self, report: Report) -> Task:
        cycle = report.cycle
        mine = reverse("ratings:mine", args=[cycle])
        due = {"due_on": report.due_on, "days_left": report.days_left}
        waiting = self._undecided(report)
        errors = self._error_count(report)
        text = self._what_blocks(report, waiting, errors)
        fill = reverse("ratings:fill", args=[report.pk]) if report.counts_row else mine
        hand_in = reverse("ratings:hand_in", args=[report.pk])
        if report.state == State.RETURNED:
            link = "修改" if report.counts_row else "查看"
            if not report.counts_row and not waiting:
                fill, link = hand_in, "核对并上报"
            if report.order_id and not report.counts_row:
                step = "下级改好、审核后" if waiting else "下级已改好，请核对后"
                title = f"{cycle}更正（{report.order}），{step}重新上报"
            elif report.order_id:
                title = f"{cycle}需要更正（{report.order}），请改好通知所列栏目后重新上报"
            elif report.pk in self.given_back:
                title = f"{cycle}材料被退回，请按退回理由修改后重新上报"
            else:
                title = f"{cycle}材料需要重新上报"
            move = self.given_back.get(report.pk)
            return Task(
                title,
                fill,
                link,
                text,
                reason=move,
                named=named_in(move) if move else [],
                is_urgent=True,
                until=SOON,
                **({} if report.order_id else due),  # a correction is never late
            )
        if errors and report.counts_row:
            return Task(f"请填报{cycle}本级台账", fill, "填报", text, **due)
        if waiting:
            title = f"{cycle}等下级审核完才能上报"
            until = _below_until(report)
            return Task(title, mine, "查看名单", text, is_waiting=True, until=until, **due)
        receiver = report.parent.short_name if report.parent_id else "本级另一位审核人员定稿"
        title = f"{cycle}可以上报了"
        text = f"上报后由{receiver}审核。" if report.parent_id else f"上报后由{receiver}。"
        return Task(
            title,
            hand_in,
            "核对并上报",
            text,
            until=SOON,
            **due,
        )

    def _review_tasks(self, report: Report) -> list[Task]:
        cycle, tasks = report.cycle, []
        queue = reverse("ratings:queue", args=[cycle])
        waiting = self.counts[cycle.pk][State.SUBMITTED]
        if waiting and report.is_open:
            tasks.append(
                Task(
                    f"{cycle}有 {waiting} 份下级材料等您审核",
                    f"{queue}?state={State.SUBMITTED}",
                    "去审核",
                    due_on=report.due_on,
                    days_left=report.days_left,
                    until=_below_until(report),
                )
            )
        late = self.late[cycle.pk]
        if late:
            tasks.append(
                Task(
                    f"{cycle}有 {len(late)} 个下级逾期未报",
                    f"{queue}?state=overdue#late",
                    "查看并催报",
                    names(late),
                    until="请提醒尽快上报",
                )
            )
        if report.parent_id is None and report.state == State.SUBMITTED:
            is_own = report.submitted_by_id == self.post.person_id
            text = "定稿须由上报人以外的审核人员办理。" if is_own else ""
            address = reverse("ratings:review", args=[report.pk])
            tasks.append(Task(f"{cycle}已汇总上报，等待定稿", address, "查看", text, until=SOON))
        return tasks

    def _undecided(self, report: Report) -> int:
        return sum(self.counts[report.cycle_id][state] for state in UNDECIDED)

    def _error_count(self, report: Report) -> int:
        found = findings_of(report, self.namesakes)
        return sum(1 for finding in found if finding.severity == Severity.ERROR)

    def _what_blocks(self, report: Report, waiting: int, errors: int) -> str:
        parts = []
        if errors:
            parts.append(f"本级台账行还有 {errors} 处没有填写或需要改正")
        if waiting:
            counts = self.counts[report.cycle_id]
            detail = "、".join(
                f"{label} {counts[s]} 个" for s, label in UNDECIDED.items() if counts[s]
            )
            parts.append(f"还有 {waiting} 个直接下级没有审核通过（{detail}）")
        return "；".join(parts) + "。" if parts else ""

    def work(self, report: Report) -> Work:
        is_out = report.cycle_id in self.excused_above
        days_left = report.days_left if report.is_open and not is_out else None
        work = Work(report, days_left, self._next_step(report))
        if not report.has_subordinates or is_out:
            return work
        counts, queue = self.counts[report.cycle_id], reverse("ratings:queue", args=[report.cycle])
        late = len(self.late[report.cycle_id])
        work.below_text = self._below_text(report)
        work.undone = [
            {
                "label": label,
                "count": counts[state],
                "names": names(self.undecided[report.cycle_id, state], counts[state]),
            }
            for state, label in UNDECIDED.items()
            if counts[state]
        ]
        tiles = [
            ("未报", counts[State.DRAFT], State.DRAFT, ""),
            ("待审核", counts[State.SUBMITTED], State.SUBMITTED, "wait"),
            ("已退回", counts[State.RETURNED], State.RETURNED, ""),
            ("已审核", counts[State.ACCEPTED], State.ACCEPTED, "ok"),
            ("免报", counts[State.EXCUSED], State.EXCUSED, ""),
            ("逾期", late, "overdue", "alert" if late else ""),
        ]
        work.counts = [
            {"label": label, "count": n, "url": f"{queue}?state={key}", "tone": tone, "unit": "个"}
            for label, n, key, tone in tiles
        ]
        work.progress = pictures.steps(self.progress[report.pk])
        return work

    def _below_text(self, report: Report) -> str:
        counts = self.counts[report.cycle_id]
        done, undone = counts[State.ACCEPTED], self._undecided(report)
        text = f"直接下级应报 {done + undone} 个，已审核 {done} 个，还差 {undone} 个"
        return f"{text}，{until}" if (until := _below_until(report)) else text

    def _next_step(self, report: Report) -> str:
        superior = report.parent.name if report.parent_id else ""
        if report.cycle_id in self.excused_above:
            return UNDER_EXCUSED.format(self.excused_above[report.cycle_id])
        if report.state == State.EXCUSED:
            return f"免报，不需要办理：{report.excuse_reason}"
        if report.state == State.SUBMITTED:
            if not superior:
                return "等待另一位审核人员定稿"
            return f"等待“{superior}”审核；审核前可以撤回"
        if report.state == State.ACCEPTED:
            return f"“{superior}”已审核通过" if superior else "已定稿"
        if report.order_id:
            return f"更正（{report.order}），改好后重新上报"
        if self._undecided(report):
            return "先办完直接下级的审核，再上报本级"
        if superior:
            return f"填好、核对后上报，由“{superior}”审核"
        return "核对汇总数后上报，由另一位审核人员定稿"


def _measure_tasks(waiting: Waiting) -> list[Task]:
    """Measures go on after the report is handed in, and after the cycle is closed."""
    report, tasks = waiting.report, []
    cycle = report.cycle
    if waiting.is_own:
        address = reverse("rectification:measures", args=[report.pk])
        title = f"{cycle}有整改措施要办理：{waiting.own_text}"
        tasks.append(Task(title, address, "填写进展"))
    address = reverse("rectification:board", args=[cycle])
    if waiting.claimed:
        asked = {"reach": Reach.DIRECT.value, "state": Progression.CLAIMED.value}
        title = f"{cycle}有 {waiting.claimed} 条整改措施等您验收销号"
        tasks.append(Task(title, f"{address}?{urlencode(asked)}", "去验收", until=SOON))
    if waiting.overdue_below:
        title = f"{cycle}下级有 {waiting.overdue_text}整改措施逾期"
        address = reverse("rectification:remind", args=[cycle])
        tasks.append(Task(title, address, "查看并催报", is_waiting=True))
    return tasks


def names(of: list[str], count: int | None = None) -> str:
    return some_of(of, NAMED, count)


def _below_until(report: Report) -> str:
    day = report.below_due_on
    return f"下级上报截止{day.month}月{day.day}日24:00" if day else ""


def _first(post, tasks: list[Task], works: list[Work], upkeep) -> Task:
    """What the person does now, or why there is nothing to do and where to look."""
    if tasks:
        return tasks[0]
    has_part = post.has(Role.FILL) or post.has(Role.REVIEW)
    if upkeep and upkeep["tasks"] and not (works and has_part):
        return upkeep["tasks"][0]
    if not works:
        return Task("目前没有进行中的批次，没有需要您办理的事项", "", "")
    work = works[0]
    cycle = work.report.cycle
    mine = reverse("ratings:mine", args=[cycle])
    if has_part:
        title = f"目前没有等您办理的事项。{cycle}：{work.next_step}"
        return Task(title, mine, "查看")
    title = f"您的角色是{post.roles_text}，没有需要您填报或审核的事项。{cycle}："
    if work.below_text:
        address = reverse("ratings:queue", args=[cycle])
        return Task(title + work.below_text, address, "查看进度")
    due = {"due_on": work.report.due_on if work.report.is_open else None}
    title += f"本级{work.report.get_state_display()}"
    return Task(title, mine, "查看", days_left=work.days_left, **due)


def _sentence(first: Task, others: int) -> str:
    """What is to be done and until when, first thing on the page."""
    until = first.until
    if first.due_on:
        until = f"截止{first.due_on.month}月{first.due_on.day}日24:00{_left(first)}"
    rest = f"另有 {others} 件事待办。" if others > 0 else ""
    return "，".join(filter(None, [first.title, until])) + "。" + rest


def _left(task: Task) -> str:
    if task.days_left is None:
        return ""
    if task.days_left < 0:
        return f"，已逾期 {-task.days_left} 天"
    return "，就是今天" if task.days_left == 0 else f"，还有 {task.days_left} 天"


def _upkeep(post, works: list[Work]) -> dict:
    """For administrators: posts to fill in the own unit and directly below, and the cycles."""
    own = post.organization
    near = Organization.objects.visible_to(post).filter(Q(pk=own.pk) | Q(parent=own))
    cycles = Cycle.objects.managed_by(post) if own.parent_id is None else Cycle.objects.none()
    tasks = [
        Task(
            f"批次“{cycle.title}”正在准备，请核对后开始",
            reverse("ratings:cycle", args=[cycle]),
            "核对并开始",
        )
        for cycle in cycles
        if not cycle.is_open and cycle.closed_on is None
    ]
    if own.parent_id is None and not works and not tasks:
        title = "没有进行中的批次，接到新的通知后请新建批次"
        tasks.append(Task(title, reverse("ratings:cycles"), "批次"))
    for label, lacking, asked in (
        ("没有台账专人", near.lacking_clerk(), "clerk"),
        ("有下级而没有审核人员", near.lacking_reviewer(), "reviewer"),
    ):
        found = list(lacking.values_list("short_name", flat=True))
        if found:
            title = f"本级和直接下级有 {len(found)} 个单位{label}"
            address = f"{reverse('orgs:tree')}?lacking={asked}"
            tasks.append(Task(title, address, "查看全部下级", names(found), until=f"{SOON}任职"))
    return {"tasks": tasks}
