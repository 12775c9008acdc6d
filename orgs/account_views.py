"""Accounts of the own unit and of those directly below, for whoever keeps them (管理)."""

from functools import partial

from django import forms
from django.contrib import messages
from django.db.models import Exists, OuterRef, Prefetch, Q
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from ledger_site.base import trail
from ledger_site.base.importing import LARGEST_FILE, Table
from ledger_site.base.paging import page_of, whole
from ledger_site.base.reading import Unreadable
from ledger_site.base.workflow import TransitionRefused

from . import accounts, signing_in
from .account_forms import AppointForm, DeputyForm, NewAccountForm, PersonForm, SheetForm
from .choices import Role
from .forms import ALL, Narrowing
from .models import Appointment, OneTimeCode, Organization, User
from .posts import acting
from .resources import AccountResource

FORM = ("GET", "HEAD", "POST")
MOST_PAST = 50
PENDING = OneTimeCode.objects.filter(user=OuterRef("pk"), use=OneTimeCode.Use.ACTIVATE)
STATES = (("pending", "待启用"), ("closed", "已停用"), ("gone", "没有任职"))


def _keeper(request):
    """The post that keeps accounts; for all others these pages do not exist."""
    post = request.post
    if post is None or not post.has(Role.MANAGE):
        raise Http404
    return post


class SecuritySearch(Narrowing):
    q = forms.CharField(
        label="查找",
        required=False,
        max_length=60,
        widget=forms.TextInput(attrs={"placeholder": "账号或姓名", "type": "search"}),
    )


class Search(SecuritySearch):
    state = forms.ChoiceField(label="只看", required=False, choices=[ALL, *STATES])


def _shown(post):
    """With what each holds today within the scope, and whether a code is out."""
    held = Appointment.objects.active().filter(organization__in=_units(post).values("pk"))
    held = held.select_related("organization", "deputy_for").order_by("organization", "role")
    return (
        User.objects.near(post)
        .annotate(is_pending=Exists(PENDING))
        .prefetch_related(Prefetch("appointments", held, to_attr="held"))
    )


def _units(post):
    return Organization.objects.near(post).order_by()


@require_safe
def accounts_list(request):
    post = _keeper(request)
    filters, found = Search(request.GET), _shown(post)
    if text := filters.chosen.get("q"):
        found = found.filter(username=text) | found.filter(full_name__contains=text)
    match filters.chosen.get("state"):
        case "pending":
            found = found.filter(is_pending=True)
        case "closed":
            found = found.filter(is_active=False)
        case "gone":
            active = Appointment.objects.active().filter(user=OuterRef("pk"))
            found = found.filter(~Exists(active), is_active=True)
    page = page_of(found, request.GET, key="pk")
    near = Organization.objects.near(post)
    context = {
        "filters": filters,
        "people": page.rows,
        "pages": page.links,
        "lacking": near.lacking_reviewer().order_by("lft"),
        "post": post,
    }
    return render(request, "orgs/accounts.html", context)


def _handed_out(request, issued, title):
    """The answer itself holds the codes: they are stored nowhere and shown this once."""
    by = acting(request)
    act = trail.Act("codes", None, by.unit_code, title, data={"rows": len(issued)})
    trail.record("show_codes", "显示激活码", [act], by=by)
    return render(request, "orgs/account_codes.html", {"issued": issued, "title": title})


@never_cache
@require_http_methods(FORM)
def new(request):
    post = _keeper(request)
    units = Organization.objects.near(post).order_by("lft")
    form = NewAccountForm(request.POST or None, units=units, initial={"roles": [Role.FILL]})
    if request.method == "POST" and form.is_valid():
        entry = accounts.Entry(**form.cleaned_data)
        for _, name, message in accounts.faults_of([entry], by=post):
            form.add_error(name, message)
        if form.is_valid():
            try:
                issued = accounts.open_accounts([entry], by=post)
            except TransitionRefused as refusal:
                form.add_error(None, str(refusal))
            else:
                if issued:
                    return _handed_out(request, issued, "已开通账号")
                messages.success(request, f"{entry.full_name}已有账号，已办理任职")
                return redirect("accounts:list")
    return render(request, "orgs/account_new.html", {"form": form})


@never_cache
@require_http_methods(FORM)
def sheet(request):
    """Everything of a sheet or nothing, and all its faults at once."""
    post, errors = _keeper(request), []
    form = SheetForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        resource = AccountResource(by=post, within=post)
        try:
            errors, total = _open_from(resource, form.cleaned_data["file"])
        except (Unreadable, TransitionRefused) as refusal:
            errors = [str(refusal)]
        if not errors:
            return _handed_out(request, resource.issued, f"已按表格办理 {total} 行")
    context = {"form": form, "errors": errors, "columns": AccountResource.columns}
    return render(request, "orgs/account_sheet.html", context)


def _open_from(resource, file) -> tuple[list[str], int]:
    if file.size > LARGEST_FILE:
        raise Unreadable(f"文件超过{LARGEST_FILE >> 20} MB，请分成几个文件")
    dataset = Table().create_dataset(file.read())
    result = resource.import_data(dataset)
    return [str(error.error) for error in result.base_errors], result.total_rows


@never_cache
@require_POST
def codes(request):
    """New codes for those marked in the list, and only for those the post keeps."""
    post = _keeper(request)
    marked = [int(pk) for pk in request.POST.getlist("user") if pk.isascii() and pk.isdigit()]
    marked = [pk for pk in marked if pk < 1 << 62][: accounts.MOST_AT_ONCE]
    users = User.objects.kept_near(post).filter(pk__in=marked, is_active=True)
    try:
        issued = accounts.reissue(users, by=post)
    except TransitionRefused as refusal:
        messages.error(request, str(refusal))
        return redirect("accounts:list")
    return _handed_out(request, issued, "已发放激活码")


@never_cache
@require_http_methods(FORM)
def account(request, pk):
    """One person: what they hold and held within the scope, and what can be done about it."""
    post = _keeper(request)
    person = get_object_or_404(_shown(post), pk=pk)
    action = request.POST.get("action", "") if request.method == "POST" else ""
    unit = None
    if action in ("end", "hand_over", "deputize"):
        asked = request.POST.get("organization", "")
        units = {str(one.organization_id): one.organization for one in person.held}
        unit = units.get(asked)
        if unit is None:
            messages.error(request, accounts.GONE)
            return redirect("accounts:account", pk)
    is_kept = User.objects.kept_near(post).filter(pk=pk).exists()
    page = _Person(request, post, person, is_kept)
    if action:
        answer = page.act(action, unit)
        if answer is not None:
            return answer
    return render(request, "orgs/account.html", page.context())


class _Person:
    """The page of a person with its forms, the bound one among them."""

    def __init__(self, request, post, person, is_kept):
        self.request, self.post, self.person, self.is_kept = request, post, person, is_kept
        self.may_appoint = person.pk != post.person_id and not person.is_administrator
        self.bound = {}  # action, unit → the form that was sent

    def act(self, action: str, unit):
        if not (self.is_kept if action in ("reissue", "close", "reopen") else self.may_appoint):
            raise Http404
        do = getattr(self, f"do_{action}", None)
        if do is None:
            raise Http404
        try:
            return do(unit)
        except TransitionRefused as refusal:
            messages.error(self.request, str(refusal))
            return self.again()

    def again(self, done=""):
        if done:
            messages.success(self.request, done)
        return redirect("accounts:account", self.person.pk)

    def do_appoint(self, _):
        form = self._appoint_form(self.request.POST)
        self.bound["appoint", None] = form
        if not form.is_valid():
            return None
        values = form.cleaned_data
        entry = accounts.Entry(self.person.username, self.person.full_name, **values)
        accounts.open_accounts([entry], by=self.post)
        return self.again("已办理任职")

    def do_end(self, unit):
        accounts.end_post(self.person, unit, by=self.post)
        return self.again("已办理离任")

    def do_hand_over(self, unit):
        form = PersonForm(self.request.POST)
        self.bound["hand_over", unit.pk] = form
        if not form.is_valid():
            return None
        to = accounts.Entry(**form.cleaned_data, organization=unit, roles=())
        issued = accounts.hand_over(self.person, unit, to=to, by=self.post)
        if issued:
            return _handed_out(self.request, issued, "已办理交接")
        return self.again("已办理交接")

    def do_deputize(self, unit):
        form = DeputyForm(self.request.POST, roles=self._own_roles(unit.pk))
        self.bound["deputize", unit.pk] = form
        if not form.is_valid() or (deputy := form.existing()) is None:
            return None
        accounts.deputize(
            self.person,
            unit,
            deputy=deputy,
            roles=form.cleaned_data["roles"],
            until=form.cleaned_data["until"],
            by=self.post,
        )
        return self.again("已办理代理")

    def do_reissue(self, _):
        issued = accounts.reissue([self.person], by=self.post)
        return _handed_out(self.request, issued, "已发放激活码")

    def do_close(self, _):
        accounts.close(self.person, by=self.post)
        return self.again("已停用账号")

    def do_reopen(self, _):
        issued = accounts.reopen(self.person, by=self.post)
        return _handed_out(self.request, issued, "已重新启用账号")

    def _appoint_form(self, data=None):
        return AppointForm(data, units=Organization.objects.near(self.post).order_by("lft"))

    def _own_roles(self, unit_pk):
        return [
            one.role
            for one in self.person.held
            if one.organization_id == unit_pk and one.deputy_for_id is None
        ]

    def _form(self, action, unit_pk, make):
        """The form that was sent, or a new one; under ids of its own: the page has several."""
        form = self.bound.get((action, unit_pk)) or make()
        form.auto_id = f"{action}-{unit_pk}-%s"
        return form

    def context(self) -> dict:
        places = {}
        for one in self.person.held:
            place = places.setdefault(one.organization_id, {"unit": one.organization, "held": []})
            place["held"].append(one)
        may_appoint = self.may_appoint and self.person.is_active
        for pk, place in places.items():
            roles = self._own_roles(pk)
            if may_appoint and roles:
                place["hand_over"] = self._form("hand_over", pk, PersonForm)
                place["deputize"] = self._form("deputize", pk, partial(DeputyForm, roles=roles))
        past = Appointment.objects.filter(
            user=self.person,
            organization__in=_units(self.post).values("pk"),
            ended_on__lte=timezone.localdate(),
        ).select_related("organization", "deputy_for")
        return {
            "person": self.person,
            "places": list(places.values()),
            "past": past.order_by("-ended_on", "-pk")[:MOST_PAST],
            "may_appoint": may_appoint,
            "appoint": self._form("appoint", None, self._appoint_form) if may_appoint else None,
            "is_kept": self.is_kept,
            "is_own": self.person.pk == self.post.person_id,
            "is_locked": signing_in.is_locked(self.person),
        }


# ---------------------------------------------------------------- 安全管理员

MOST_FOUND = 50
SECURITY_ACTS = {
    "unlock": ("已解除锁定", accounts.unlock),
    "end_sessions": ("已结束会话", accounts.end_sessions),
    "close": ("已停用账号", accounts.close),
}
SECURITY_CODES = {
    "reissue": ("已发放激活码", lambda user, *, by: accounts.reissue([user], by=by)),
    "reopen": ("已重新启用账号", accounts.reopen),
}


@never_cache
@require_http_methods(FORM)
def security(request):
    """Everybody's account, for 安全管理员: who is locked, and what can be done about one."""
    officer = request.user
    if not officer.is_security_officer:
        raise Http404
    by = acting(request)
    if request.method == "POST":
        return _secure(request, by)
    filters = SecuritySearch(request.GET)
    text = filters.chosen.get("q", "")
    locked = signing_in.locked_names()
    found = User.objects.filter(username__in=locked)
    if text:
        found = User.objects.filter(Q(username=text) | Q(full_name=text))
    people = list(found.exclude(pk=officer.pk).order_by("username")[:MOST_FOUND])
    for person in people:
        person.is_locked_now = person.username in locked
    context = {"filters": filters, "people": people, "text": text}
    return render(request, "orgs/security.html", context)


def _secure(request, by):
    pk, action = whole(request.POST.get("user")), request.POST.get("action", "")
    person = get_object_or_404(User, pk=pk or 0, is_superuser=False)
    try:
        if action in SECURITY_CODES:
            title, act = SECURITY_CODES[action]
            return _handed_out(request, act(person, by=by), title)
        if action not in SECURITY_ACTS:
            raise Http404
        said, act = SECURITY_ACTS[action]
        act(person, by=by)
    except TransitionRefused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, f"{person.full_name}：{said}")
    return redirect("accounts:security")
