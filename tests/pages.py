"""Every page there is, with somebody who may open it: for what has to hold on all of them."""

from datetime import date

from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.urls import NoReverseMatch, reverse

from ledger_site import help_pages
from ledger_site.middleware import SHEETS
from orgs.choices import Duty
from ratings.choices import UploadState
from ratings.loading import Topic
from ratings.models import Report, Upload
from ratings.recognizing import NAME
from ratings.workflow import move

from .factories import UserFactory, appoint, submit
from .test_access import LABEL
from .test_pages_attacked import asked

# Of a cycle, and with nothing in it for a unit without subordinates.
LISTS = (
    *("ratings:grid", "ratings:own_summary", "ratings:ledger", "ratings:uploads"),
    *("ratings:own_movement", "ratings:publicities", "rectification:list", "rectification:weak"),
    *("rectification:board", "rectification:figures", "rectification:remind", "audits:checks"),
    *("audits:remedies", "audits:corrections", "audits:practices"),
)
OF_THE_TOP = (
    ("ratings:new_cycle", ()),
    ("ratings:cycle_act", (LABEL, "close")),
    ("ratings:write_notice", (LABEL,)),
    ("ratings:set_score_sheet", (LABEL,)),
)
OF_NOBODY = ("login", "accounts:activate")


def visits(world):
    """(address, user or None), without those that answer with a file."""
    for name, url, methods, user in asked(world):
        if "GET" in methods and name not in SHEETS and not name.endswith("_file"):
            yield url, user
    for name in LISTS:
        yield reverse(name, args=[LABEL]), world.users["other county"]
    for name, arguments in OF_THE_TOP:
        yield reverse(name, args=arguments), world.province.user
    officer = UserFactory(duty=Duty.SECURITY, is_staff=True)
    yield reverse("accounts:security"), officer
    url, person = new_branch(world)
    yield url, person
    for name in ("version", "cover"):  # of a unit with subordinates, where totals belong to it
        township = world.of("township").pk
        yield reverse(f"ratings:{name}", args=[township, 1]), world.users["county"]
    for name in help_pages.NAMES:
        yield reverse("help_page", args=[name]), world.users["branch"]
    for name in OF_NOBODY:
        yield reverse(name), None
    yield "/nowhere/", world.users["branch"]


def visits_when_late(world):
    """The same of pages on which more is done once the branch and its township were sent back, and
    both are late; the branch's superior has two posts."""
    branch, township = world.of("branch"), world.users["township"]
    appoint(world.units["county"], user=township)
    above = [world.of(name).pk for name in ("county", "township")]
    Report.objects.filter(pk__in=above).update(below_due_on=date(2012, 1, 1))
    move("send_back", world.of("township"), by=world.county, reason="数字不符")
    move("reopen", branch, by=world.township, reason="措施太笼统")
    for name in ("desk", "ratings:report", "ratings:fill", "ratings:hand_in"):
        arguments = [] if name == "desk" else [branch.pk]
        yield reverse(name, args=arguments), world.users["branch"]
    for name in ("ratings:queue", "ratings:grid", "ratings:mine"):
        yield reverse(name, args=[LABEL]), township
    yield reverse("ratings:review", args=[branch.pk]), township
    submit(branch)
    yield reverse("ratings:review", args=[branch.pk]), township


def new_branch(world):
    """The page for a branch that a file names and that there is not, and who sent the file."""
    item = {
        **{"field": NAME, "value": "甲县乙乡己村党支部", "sheet": "台账", "row": 4},
        **{"cell": "A4", "heading": "党支部名称", "message": "没有这个党支部"},
    }
    found = {
        "outcome": "rows_rejected",
        "errors": [{"kind": Topic.UNIT, "count": 1, "items": [item]}],
        "counts": {"rejected": 1},
    }
    upload = Upload.objects.create(
        report=world.of("township"),
        person=appoint(world.units["township"]).user,
        file="other.xlsx",
        file_name="台账.xlsx",
        size=1,
        expires_at=world.upload.expires_at,
        state=UploadState.CHECKED,
        found=found,
    )
    return f"{reverse('ratings:new_branch', args=[upload.pk])}?sheet=台账&row=4", upload.person


def upkeep(world, models=None):
    """(address, superuser) of every page of /admin, or of these models."""
    root = UserFactory(is_staff=True, is_superuser=True)
    yield reverse("admin:index"), root
    for app in {model._meta.app_label for model in admin.site._registry}:
        yield reverse("admin:app_list", args=[app]), root
    for model in models or admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"{name}_changelist"), root
        record = model._default_manager.order_by("pk").first()
        if record is not None:
            LogEntry.objects.create(
                user=root,
                content_type=ContentType.objects.get_for_model(model),
                object_id=record.pk,
                object_repr=str(record),
                action_flag=CHANGE,
                change_message='[{"changed": {"fields": ["名称"]}}]',
            )
            yield reverse(f"{name}_change", args=[record.pk]), root
            yield reverse(f"{name}_history", args=[record.pk]), root
        for page in ("add", "import", "export"):
            try:
                yield reverse(f"{name}_{page}"), root
            except NoReverseMatch:
                continue
    yield reverse("admin:auth_user_password_change", args=[root.pk]), root
