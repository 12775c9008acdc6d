"""批次: which cycles there are, and their opening, closing and reopening by the top of the tree."""

from copy import copy

from django import forms
from django.contrib import messages
from django.db.models import Count
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from ledger_site.base.workflow import TransitionRefused
from orgs.choices import Kind
from orgs.models import Category
from orgs.posts import acting

from .. import jobs, opening, publicity, scoring, taking_over
from ..choices import CycleState, State
from ..models import Cycle, Notice, Report, Takeover
from .entered import token_of

# What may be done to a cycle in each state: action, what the button says.
ACTIONS = {
    CycleState.PREPARING: ("open", "开始批次"),
    CycleState.OPEN: ("close", "关闭批次"),
    CycleState.CLOSED: ("reopen", "恢复批次"),
}
QUESTIONS = {
    "open": (
        "确定开始“{}”吗？",
        (
            "开始后，按现在的组织关系为每个纳入定级的党组织及其上级建立报送件，各级即可填报。",
            "开始后不能退回“准备”；此后的组织变动另行办理。",
        ),
    ),
    "close": (
        "确定关闭“{}”吗？",
        ("关闭后各级都不能再填报、审核，只能查看和下载。", "需要时可以写明理由恢复。"),
    ),
    "reopen": (
        "确定恢复“{}”吗？",
        ("恢复后批次重新“进行中”，可以办理退回、更正。", "恢复须写明理由，并留痕。"),
    ),
}


class CycleForm(forms.ModelForm):
    kinds = forms.MultipleChoiceField(
        label="纳入的组织类型",
        choices=Kind.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="不选表示所有标记为纳入定级的党组织",
    )
    # Among known choices: a forged key beyond 64 bits would stop SQLite in a model field.
    categories = forms.TypedMultipleChoiceField(
        label="纳入的领域类别",
        coerce=int,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="不选表示全部领域",
    )

    class Meta:
        model = Cycle
        fields = (
            "year",
            "round",
            "title",
            "previous",
            "final_due_on",
            "days_per_level",
            "remind_days",
            "kinds",
            "categories",
        )
        widgets = {
            "final_due_on": forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        }
        labels = {"previous": "上一批次（用于预填和比较）"}
        help_texts = {"title": "不填则写作“2026年度”“2026年度第2次”"}

    def __init__(self, *args, cycles, **kwargs):
        super().__init__(*args, label_suffix="", **kwargs)
        if self.instance.pk:
            self.fields["title"].help_text = ""
            self.initial["categories"] = [one.pk for one in self.initial["categories"]]
        if self.instance.state != CycleState.PREPARING:  # as a new one is
            for name in self.fields.keys() - set(opening.CHANGED_LATER):
                del self.fields[name]
            return
        self.fields["title"].required = self.instance.pk is not None
        self.fields["previous"].queryset = cycles
        self.fields["previous"].empty_label = "无"
        categories = Category.objects.order_by("order", "pk")
        self.fields["categories"].choices = [(one.pk, str(one)) for one in categories]

    def clean_year(self):
        year = self.cleaned_data["year"]
        if not 2000 <= year <= timezone.localdate().year + 1:
            raise forms.ValidationError("请填写四位年度，最晚为明年")
        return year

    def clean_round(self):
        number = self.cleaned_data["round"]
        if not 1 <= number <= 99:
            raise forms.ValidationError("轮次应为1至99")
        return number

    def clean_final_due_on(self):
        day = self.cleaned_data["final_due_on"]
        if day and day < timezone.localdate():
            raise forms.ValidationError("收齐日期不能早于今天")
        return day


def _managing(request):
    """The post or the administrator that manages cycles; None for all others."""
    by = acting(request)
    return by if by is not None and by.manages_cycles else None


def _manager(request):
    """Who manages cycles; for all others these pages do not exist."""
    if (by := _managing(request)) is None:
        raise Http404
    return by


def _cycles(request):
    """The cycles that are seen: those the unit has a part in; all by who manages them."""
    if by := _managing(request):
        return Cycle.objects.managed_by(by)
    return Cycle.objects.visible_to(request.post)


def _cycle(request, label) -> Cycle:
    year, number = label
    found = _cycles(request).select_related("previous", "score_sheet")
    request.cycle = get_object_or_404(found, year=year, round=number)
    return request.cycle


@require_safe
def cycles(request):
    found = _cycles(request).select_related("previous")
    own = {report.cycle_id: report for report in Report.objects.own(request.post)}
    rows = [{"cycle": cycle, "report": own.get(cycle.pk)} for cycle in found]
    context = {"rows": rows, "may_manage": _managing(request) is not None}
    return render(request, "ratings/cycles.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def new(request):
    by = _manager(request)
    known = Cycle.objects.managed_by(by)
    today = timezone.localdate()
    start = {"year": today.year, "previous": known.first()}
    form = CycleForm(request.POST or None, initial=start, cycles=known)
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        if not values["title"]:
            del values["title"]
        try:
            cycle = opening.create_cycle(values.pop("year"), values.pop("round"), by=by, **values)
        except TransitionRefused as refusal:
            form.add_error("round", str(refusal))
        else:
            messages.success(request, f"已新建“{cycle}”，核对后可以开始")
            return redirect("ratings:cycle", cycle)
    return render(request, "ratings/cycle_form.html", {"form": form})


@require_http_methods(["GET", "HEAD", "POST"])
def edit(request, cycle):
    """All settings of a prepared cycle, of another one those that can still be changed."""
    label = cycle
    by, cycle = _manager(request), _cycle(request, label)
    known = Cycle.objects.managed_by(by).exclude(pk=cycle.pk)
    form = CycleForm(request.POST or None, instance=copy(cycle), cycles=known)
    if request.method == "POST" and form.is_valid():
        try:
            cycle = opening.edit_cycle(cycle, form.cleaned_data, by=by, token=token_of(request))
        except TransitionRefused as refusal:
            form.add_error(None, str(refusal))
            cycle = _cycle(request, label)
        else:
            messages.success(request, f"“{cycle}”：已保存")
            return redirect("ratings:cycle", cycle)
    return render(request, "ratings/cycle_form.html", {"form": form, "cycle": cycle})


@require_safe
def cycle(request, cycle):
    cycle = _cycle(request, cycle)
    post, is_manager = request.post, _managing(request) is not None
    report = Report.objects.own(post).of(cycle).select_related("parent").first()
    directs = Report.objects.direct(post).of(cycle)
    found = dict(directs.order_by().values_list("state").annotate(n=Count("pk")))
    action, button = ACTIONS[CycleState(cycle.state)]
    categories = "、".join(cycle.categories.values_list("name", flat=True))
    notice = Notice.objects.filter(cycle=cycle).first() if report else None
    context = {
        "cycle": cycle,
        "report": report,
        "notice": notice,
        "has_read": bool(notice and publicity.readings_of(notice, [report])),
        "may_write_notice": bool(report) and is_manager,
        "score_sheet": scoring.sheet_of(cycle),
        "may_set_score_sheet": post is not None
        and is_manager
        and not scoring.why_not_set(cycle, getattr(cycle, "score_sheet", None)),
        "kinds": "、".join(Kind(kind).label for kind in cycle.kinds if kind in Kind.values),
        "categories": categories,
        "sees_previous": _cycles(request).filter(pk=cycle.previous_id).exists(),
        "progress": [
            {"label": label, "count": found.get(state, 0), "unit": "个"}
            for state, label in State.choices
        ]
        if found
        else [],
        "late_count": directs.overdue().count() if cycle.is_open and found else 0,
        "takeovers": Takeover.objects.of_page(cycle, post),
        "may_take_over": taking_over.may_press(post),
        "action": action if is_manager else "",
        "button": button,
        "may_edit": is_manager,
    }
    return render(request, "ratings/cycle.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def act(request, cycle, action):
    """Asks first; a press on an old page is refused by the service in a plain sentence."""
    by = _manager(request)
    if action not in QUESTIONS:
        raise Http404
    cycle = _cycle(request, cycle)
    reason, error = request.POST.get("reason", "").replace("\0", ""), ""
    if request.method == "POST":
        try:
            if action == "open" and jobs.is_large_opening():
                return redirect(jobs.start_opening(cycle, by=by))
            if action == "open":
                opening.open_cycle(cycle, by=by)
            elif action == "close":
                opening.close_cycle(cycle, by=by)
            else:
                opening.reopen_cycle(cycle, reason=reason, by=by)
        except TransitionRefused as refusal:
            if action == "reopen" and not reason.strip():
                error = str(refusal)
            else:
                messages.error(request, str(refusal))
                return redirect("ratings:cycle", cycle)
        else:
            messages.success(request, f"“{cycle}”：已{dict(ACTIONS.values())[action]}")
            return redirect("ratings:cycle", cycle)
    question, details = QUESTIONS[action]
    context = {
        "cycle": cycle,
        "action": action,
        "button": dict(ACTIONS.values())[action],
        "question": question.format(cycle),
        "details": details,
        "reason": reason,
        "error": error,
    }
    return render(request, "ratings/cycle_act.html", context)


@require_POST
def take_over(request, pk):
    """Try a change that waits, at once."""
    waiting = Takeover.objects.waiting().within(request.post).select_related("cycle")
    found = get_object_or_404(waiting, pk=pk)
    try:
        taking_over.attempt_by_hand(found, by=request.post)
    except TransitionRefused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, f"已纳入“{found.cycle}”")
    return redirect("ratings:cycle", found.cycle)
