"""组织: the tree as it is today, one level at a time, and 组织变动 with a look before each."""

import re
from datetime import timedelta

from django import forms
from django.contrib import messages
from django.db.models import Count, Exists, F, OuterRef, Subquery
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from ledger_site.base.paging import Page, page_of

from . import changes, hanging
from .change_forms import CHANGE_FORMS, GroundForm, TermForm, UndoForm
from .choices import ChangeKind, Role
from .forms import ALL, Narrowing, SearchField
from .models import Appointment, Organization, OrgChange
from .posts import Post
from .tree import StructureError

CHILDREN = 200  # of one organization on a page
CHANGES = 20  # the newest ones of an organization, on its page
DUE_SOON = timedelta(days=180)  # 换届: from half a year before the term ends

LACKING = (("clerk", "没有台账专人的"), ("reviewer", "有下级而没有审核人员的"))


class Search(Narrowing):
    q = SearchField()
    lacking = forms.ChoiceField(label="只看", required=False, choices=[ALL, *LACKING])


def _shown(organizations):
    held = Appointment.objects.active().filter(organization=OuterRef("pk"))
    people = held.order_by().values("organization").annotate(n=Count("user", distinct=True))
    return organizations.select_related("category", "parent").annotate(
        has_clerk=Exists(held.filter(is_ledger_clerk=True)),
        people_count=Subquery(people.values("n")),
    )


@require_safe
def tree(request):
    post = request.post
    visible = Organization.objects.visible_to(post)
    filters = Search(request.GET)
    keeps_accounts = post is not None and post.has(Role.MANAGE)
    context = {"filters": filters, "post": post, "keeps_accounts": keeps_accounts}
    if post and filters.chosen:
        found = _found(visible, post, filters.chosen)
        page = page_of(_shown(found), request.GET, key="lft")
        context |= {"found": hanging.hung(page.rows, post), "pages": page.links}
    elif post:
        own = _shown(visible).filter(pk=post.organization_id).first()
        hanging.hung([own], post)
        context |= {"line": _above(visible, own), "own": own} | _children(request, visible, own)
    return render(request, "orgs/tree.html", context)


def _found(visible, post: Post, chosen):
    found = visible.open()
    if "q" in chosen:
        found = found.found_by(chosen["q"])
    if "lacking" in chosen:
        found = found.own_and_below(post)  # the line upward is not this unit's to provide for
        found = found.lacking_clerk() if chosen["lacking"] == "clerk" else found.lacking_reviewer()
    return found


def _above(visible, organization) -> list[Organization]:
    """The visible superiors of an organization, the root first."""
    above = visible.filter(lft__lt=organization.lft, rght__gt=organization.rght)
    return list(above.filter(tree_id=organization.tree_id).order_by("lft"))


def _children(request, visible, organization) -> dict:
    children = _shown(visible.filter(parent=organization))
    page: Page = page_of(children, request.GET, key="lft", size=CHILDREN)
    return {"children": hanging.hung(page.rows, request.post), "pages": page.links}


@require_safe
@vary_on_headers("HX-Request")
def branch(request, pk):
    """What is directly below an organization: a fragment for the tree, or a page of its own."""
    visible = Organization.objects.visible_to(request.post)
    organization = get_object_or_404(_shown(visible), pk=pk)
    context = {"organization": organization} | _children(request, visible, organization)
    if request.htmx:
        return render(request, "orgs/_branch.html", context)
    context["line"] = _above(visible, organization)
    return render(request, "orgs/branch.html", context)


@require_safe
def organization(request, pk):
    visible = Organization.objects.visible_to(request.post)
    (found,) = hanging.hung([get_object_or_404(_shown(visible), pk=pk)], request.post)
    held = (
        Appointment.objects.active()
        .filter(organization=found)
        .select_related("user")
        .order_by("user__full_name", "user", "role")
    )
    people = {}
    for appointment in held:
        person = people.setdefault(
            appointment.user_id, {"name": appointment.user.full_name, "roles": [], "clerk": False}
        )
        person["roles"].append(appointment.get_role_display())
        person["clerk"] |= appointment.is_ledger_clerk
    context = {
        "organization": found,
        "line": _above(visible, found),
        "people": list(people.values()),
        "former_names": found.former_names.order_by("-ended_on", "-pk"),
        "actions": changes.open_to(found, request.post),
        "changes": OrgChange.objects.concerning(found).select_related("organization")[:CHANGES],
        "term_form": _term_form(request, found),
    } | _children(request, visible, found)
    return render(request, "orgs/organization.html", context)


# ---------------------------------------------------------------- 组织变动


def _term_form(request, organization, data=None) -> TermForm | None:
    """For whoever may change the organization: every open one below the own unit."""
    if ChangeKind.CLOSE not in changes.open_to(organization, request.post):
        return None
    return TermForm(data, initial={"term_ends_on": organization.term_ends_on})


@require_POST
def term(request, pk):
    found = get_object_or_404(Organization.objects.visible_to(request.post), pk=pk)
    form = _term_form(request, found, request.POST)
    if form is None:
        raise Http404
    try:
        if form.is_valid():
            changes.set_term(found, form.cleaned_data["term_ends_on"], by=request.post)
            messages.success(request, "已登记任期")
        else:
            messages.error(request, "日期无效，请重新填写")
    except StructureError as refusal:
        messages.error(request, str(refusal))
    return redirect("orgs:organization", pk)


@require_http_methods(["GET", "HEAD", "POST"])
def change(request, pk, kind):
    """Begin a change at an organization: what it needs, then what it would do, then yes."""
    found = get_object_or_404(Organization.objects.visible_to(request.post), pk=pk)
    if kind not in changes.open_to(found, request.post):
        raise Http404
    initial = {}
    if kind in (ChangeKind.RENAME, ChangeKind.RECLASSIFY, ChangeKind.UPGRADE):
        initial = {name: getattr(found, name) for name in ("name", "category", "kind")}
    form = CHANGE_FORMS[kind](
        request.POST if request.method == "POST" else None,
        organization=found,
        post=request.post,
        initial=initial,
    )
    return _asked(request, form, ChangeKind(kind).label)


@require_http_methods(["GET", "HEAD", "POST"])
def undo(request, pk):
    past = get_object_or_404(_changes(request), pk=pk)
    if not changes.may_undo(past, request.post):
        raise Http404
    form = UndoForm(
        request.POST if request.method == "POST" else None,
        organization=past.organization,
        post=request.post,
        initial={"reason": f"撤回：{past}"},
    )
    form.change = past
    return _asked(request, form, f"撤回{past.get_kind_display()}")


def _asked(request, form: GroundForm, title: str):
    """The form; filled in, what it would do; confirmed, done if it still does that."""
    preview = None
    if request.method == "POST" and form.is_valid():
        digest = request.POST.get("digest", "")
        try:
            if digest and "back" not in request.POST:
                done = changes.confirm(form.act, digest, by=request.post)
                messages.success(request, f"已办理：{done}")
                return redirect("orgs:past_change", done.pk)
        except StructureError as refusal:
            form.add_error(None, str(refusal))
        try:
            if "back" not in request.POST:
                preview = changes.rehearse(form.act, by=request.post)
        except StructureError as refusal:
            if not form.non_field_errors():
                form.add_error(None, str(refusal))
    context = {"form": form, "title": title, "preview": preview}
    context |= {"organization": form.organization}
    return render(request, "orgs/change.html", context)


class ChangeFilters(Narrowing):
    kind = forms.ChoiceField(label="变动", required=False, choices=[ALL, *ChangeKind.choices])
    q = SearchField()


def _changes(request):
    return OrgChange.objects.within(request.post).select_related("organization")


def _place(text: str | None) -> int | None:
    """A place in the list, which begins with the newest: the key with a minus."""
    return int(text) if text and re.fullmatch(r"-\d{1,15}", text, re.ASCII) else None


@require_safe
def changed(request):
    """What has changed at and below the own unit, the newest first."""
    filters, rows = ChangeFilters(request.GET), _changes(request)
    if "kind" in filters.chosen:
        rows = rows.filter(kind=filters.chosen["kind"])
    if "q" in filters.chosen:
        found = Organization.objects.own_and_below(request.post).found_by(filters.chosen["q"])
        rows = rows.filter(organization__in=found.order_by().values("pk"))
    page = page_of(rows.annotate(place=-F("pk")), request.GET, key="place", clean=_place)
    context = {"filters": filters, "rows": page.rows, "pages": page.links}
    return render(request, "orgs/changes.html", context)


@require_safe
def past_change(request, pk):
    found = get_object_or_404(_changes(request), pk=pk)
    may_undo = changes.may_undo(found, request.post)
    visible = Organization.objects.visible_to(request.post)
    context = {
        "change": found,
        "parts": found.parts.select_related("organization").order_by("pk"),
        "facts": changes.facts_of(found),
        "is_visible": visible.filter(pk=found.organization_id).exists(),
        "sections": changes.described(found, request.post),
        "may_undo": may_undo,
        "why_not_undone": changes.why_not_undone(found) if may_undo else "",
    }
    return render(request, "orgs/past_change.html", context)


@require_safe
def terms(request):
    """换届: whose term has ended or ends soon, at and below the own unit."""
    today = timezone.localdate()
    due = (
        Organization.objects.own_and_below(request.post)
        .open()
        .filter(term_ends_on__lte=today + DUE_SOON)
    )
    page = page_of(due.select_related("parent"), request.GET, key="lft")
    context = {"rows": page.rows, "pages": page.links, "today": today}
    return render(request, "orgs/terms.html", context)
