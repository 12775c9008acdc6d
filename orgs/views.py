"""组织: the tree as it is today, read only, one level at a time."""

from django import forms
from django.db.models import Exists, OuterRef
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from ledger_site.base.paging import Page, page_of

from .choices import Role
from .forms import SearchField
from .models import Appointment, Organization
from .posts import Post

CHILDREN = 200  # of one organization on a page

LACKING = (("clerk", "没有台账专人的"), ("reviewer", "有下级而没有审核人员的"))


class Search(forms.Form):
    q = SearchField()
    lacking = forms.ChoiceField(label="只看", required=False, choices=[("", "全部"), *LACKING])

    def __init__(self, data):
        super().__init__(data, label_suffix="")
        self.is_valid()
        self.chosen = {name: value for name, value in self.cleaned_data.items() if value}
        self.ignored = [self.fields[name].label for name in self.errors]


def _shown(organizations):
    return organizations.select_related("category", "parent").annotate(
        has_clerk=Exists(
            Appointment.objects.active().filter(organization=OuterRef("pk"), is_ledger_clerk=True)
        )
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
        context |= {"found": page.rows, "pages": page.links}
    elif post:
        own = _shown(visible).filter(pk=post.organization_id).first()
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
    return {"children": page.rows, "pages": page.links}


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
    found = get_object_or_404(_shown(visible), pk=pk)
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
    } | _children(request, visible, found)
    return render(request, "orgs/organization.html", context)
