"""Every page there is, with somebody who may open it: for what has to hold on all of them."""

from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.urls import NoReverseMatch, reverse

from ledger_site.middleware import SHEETS
from orgs.choices import Duty
from ratings.choices import UploadState
from ratings.loading import Topic
from ratings.models import Upload
from ratings.recognizing import NAME

from .factories import UserFactory, appoint
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
    """(address, user or None, whether it has a form), without those that answer with a file."""
    for name, url, methods, user in asked(world):
        if "GET" in methods and name not in SHEETS and not name.endswith("_file"):
            yield url, user, "POST" in methods
    for name in LISTS:
        yield reverse(name, args=[LABEL]), world.users["other county"], False
    for name, arguments in OF_THE_TOP:
        yield reverse(name, args=arguments), world.province.user, True
    officer = UserFactory(duty=Duty.SECURITY, is_staff=True)
    yield reverse("accounts:security"), officer, True
    url, person = new_branch(world)
    yield url, person, True
    for name in OF_NOBODY:
        yield reverse(name), None, True
    yield "/nowhere/", world.users["branch"], False


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


def upkeep(world):
    """(address, superuser, whether it has a form) of every page of /admin."""
    root = UserFactory(is_staff=True, is_superuser=True)
    yield reverse("admin:index"), root, False
    for app in {model._meta.app_label for model in admin.site._registry}:
        yield reverse("admin:app_list", args=[app]), root, False
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"{name}_changelist"), root, False
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
            yield reverse(f"{name}_change", args=[record.pk]), root, True
            yield reverse(f"{name}_history", args=[record.pk]), root, False
        for page in ("add", "import", "export"):
            try:
                yield reverse(f"{name}_{page}"), root, True
            except NoReverseMatch:
                continue
    yield reverse("admin:auth_user_password_change", args=[root.pk]), root, True
