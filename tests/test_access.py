"""Every address against every role. A new address needs a line here, or the first test fails.

What a post may not see does not exist: 404. Whoever is not signed in is sent to the sign-in page.
"""

from datetime import date, timedelta
from itertools import product

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import get_resolver, reverse
from django.utils import timezone

from audits import workflow as audit_moves
from audits.services import checks, outcomes
from ledger_site.base.models import AuditEvent
from ledger_site.jobs.choices import JobState
from ledger_site.jobs.models import Job
from orgs import changes
from orgs.choices import Duty, Role
from orgs.models import Organization
from ratings import publicity, scoring
from ratings.choices import Form
from ratings.models import Report, Upload
from ratings.workflow import TRANSITIONS
from rectification import following, workflow
from tests.factories import (
    OrganizationFactory,
    UserFactory,
    appoint,
    fill,
    hand_up,
    submit,
    taken_back,
)

LABEL = "2012-1"
ROLES = (
    "anonymous",
    "no post",
    "branch",  # the unit itself: 填报
    "branch reader",  # 查阅
    "sibling",
    "township",  # direct superior: 填报 and 审核
    "township reader",
    "county",  # two levels up; the branch's report has reached it
    "other county",
    "province",  # three levels up; it has not
    "auditor",  # 审计 in the township
    "audit administrator",  # 审计管理员, of no unit
    "system administrator",  # 系统管理员, of no unit
)
NOBODY = frozenset()
# Who has the cycles; at the top of the tree nobody here keeps accounts.
SYSTEM = frozenset({"system administrator"})
EVERYONE = frozenset(ROLES) - {"anonymous", "no post", "audit administrator"} - SYSTEM
SIGNED_IN = frozenset(ROLES) - {"anonymous"}
AUDITOR = frozenset({"auditor", "audit administrator"})
# Who sees the branch's row: itself, its superior, and the county, to which the township reported.
ROW = frozenset({"branch", "branch reader", "township", "township reader", "county", "auditor"})
NEAR = ROW - {"county"}  # those whom its score concerns
# Who keeps accounts (管理): those with every role.
KEEPERS = frozenset({"county", "other county"})
# Who keeps accounts above the branch, and who has the unit that changed below it or is it.
MANAGER = frozenset({"county"})
CHANGED = frozenset({"township", "township reader", "county", "province", "auditor"})
# What the township made public: itself and those below it.
PUBLISHED = frozenset(
    {"branch", "branch reader", "sibling", "township", "township reader", "auditor"}
)
# Who reviews what is below it; nothing is below the other county.
REVIEWERS = frozenset({"township", "county", "province"})
# What the county drew from: those who are checked, and the level between.
CHECKED = PUBLISHED
# have subordinates
ABOVE = frozenset({"township", "township reader", "county", "province", "auditor"})
# A page, a redirect after a press, and the two refusals of the form that saves itself.
SUPERIOR = frozenset({"township", "township reader", "auditor"})
ANSWERS = frozenset({200, 302, 409, 422})


@pytest.fixture
def world(line, settings, tmp_path):
    """The branch's report has been accepted, its township's has been submitted to the county."""
    units = line.units
    other = OrganizationFactory(
        code="C2", name="中共测试省乙县委员会", kind="committee", parent=units["province"]
    )
    Report.objects.create(
        cycle=line.cycle,
        organization=other,
        parent=line.of("province"),
        path="00010002",
        code="C2",
        name=other.name,
        short_name=other.short_name,
        kind="committee",
        is_rated=False,
        has_subordinates=False,
    )
    for name in ("branch", "sibling"):
        hand_up(line.of(name))
    submit(line.of("township"))
    for unit in units.values():
        unit.refresh_from_db()
    line.change = changes.create(
        units["township"],
        ground=changes.Ground(date(2012, 5, 1), "测发〔2012〕1号"),
        by=line.county,
        code="B3",
        name="甲县乙乡戊村党支部",
        kind="branch",
    )
    for unit in units.values():
        unit.refresh_from_db()
    posts = {
        "branch": appoint(units["branch"], Role.FILL),
        "branch reader": appoint(units["branch"], Role.READ),
        "sibling": appoint(units["sibling"], Role.FILL),
        "township": appoint(units["township"], Role.FILL, Role.REVIEW),
        "township reader": appoint(units["township"], Role.READ),
        "county": appoint(units["county"]),
        "auditor": appoint(units["township"], Role.AUDIT),
        "other county": appoint(other),
        "province": appoint(units["province"], Role.FILL, Role.REVIEW, Role.READ),
    }
    settings.JOBS_DIR = tmp_path
    (tmp_path / "result").touch()
    line.job = Job.objects.create(
        kind="export",
        title="导出",
        person=posts["township"].user,
        unit=units["township"],
        state=JobState.DONE,
        file="result",
        file_name="表.xlsx",
        expires_at=timezone.now() + timedelta(days=1),
    )
    settings.ATTACHMENTS_DIR = tmp_path
    (measure, *_) = following.lay_down(
        line.of("branch"), following.proposed(line.of("branch")), by=line.branch
    )
    photo = SimpleUploadedFile("照片.png", b"\x89PNG\r\n\x1a\n")
    entry = workflow.act("note", measure, text="进展", files=[photo], token=0, by=line.branch)
    line.progress = entry.files.get()
    notice = publicity.write_notice(
        line.cycle, title="通知", document="", text="按时。", by=line.province
    )
    sent = SimpleUploadedFile("附件.pdf", b"%PDF-1.4")
    line.attached = publicity.attach(notice, sent, by=line.province)
    # The county checks what the township handed it; the check is begun, its findings are not seen.
    asked = checks.Asked("抽查", "核实", "random", size=2)
    line.spot_check = checks.create_check(line.of("county"), asked, by=line.county)
    audit_moves.act("start", line.spot_check, token=0, by=line.county)
    line.drawn = line.spot_check.rows.get(report=line.of("branch"))
    photo = SimpleUploadedFile("照片.png", b"\x89PNG\r\n\x1a\n")
    found = checks.Found({"真实": ("bad", "不符")})
    checks.save_findings(line.drawn, found, files=[photo], token=0, by=line.county)
    line.finding_file = line.drawn.files.get()
    line.remedy = outcomes.issue_remedy(
        line.drawn, number="1号", text="核实", due_on=timezone.localdate(), by=line.county
    )
    photo = SimpleUploadedFile("照片.png", b"\x89PNG\r\n\x1a\n")
    entry = audit_moves.act_on_remedy(
        "reply", line.remedy, text="已改", files=[photo], token=0, by=line.township
    )
    line.remedy_file = entry.files.get()
    line.practice = outcomes.find_practice(
        line.of("branch"),
        line.of("township"),
        title="做法",
        text="按月公示",
        action="publish",
        by=line.township,
    )
    line.publicity = publicity.publish(
        line.of("township"),
        started_on=timezone.localdate(),
        days=5,
        contact="乡组织办",
        by=line.township,
    )
    scoring.set_sheet(line.cycle, {"indicators": [["工作业绩", 100]]}, by=line.province, token=0)
    line.upload = Upload.objects.create(
        report=line.of("township"),
        person=posts["township"].user,
        file="sent.xlsx",
        file_name="台账.xlsx",
        size=1,
        expires_at=timezone.now() + timedelta(days=1),
    )
    line.users = {role: post.user for role, post in posts.items()} | {
        "no post": UserFactory(),
        "audit administrator": UserFactory(duty=Duty.AUDIT, is_staff=True),
        "system administrator": UserFactory(duty=Duty.SYSTEM, is_staff=True),
    }
    return line


def addresses():
    """(name, arguments, methods, who is answered with a page or a redirect after a press).

    Arguments with "branch" stand for the key of the branch's report, others for themselves.
    """
    row = ("branch",)
    moves = [("ratings:move", ("branch", action), "POST", ROW) for action in TRANSITIONS]
    downloads = [("ratings:download", ("branch", form), "GET POST", ROW) for form in Form.values]
    return [
        ("desk", (), "GET", SIGNED_IN),
        ("choose_post", (), "POST", SIGNED_IN),
        ("help_page", ("secretary",), "GET", SIGNED_IN),
        ("ratings:report", row, "GET", ROW),
        ("ratings:history", row, "GET", ROW),
        ("ratings:version", ("branch", 1), "GET", ROW),
        ("ratings:cover", ("branch", 1), "GET", ROW),
        ("ratings:proof", ("branch", 1), "GET", ROW),
        ("ratings:compare", row, "GET", ROW),
        ("ratings:pack", row, "GET POST", ROW),
        ("ratings:find_version", (), "GET", SIGNED_IN),
        ("ratings:fill", row, "GET POST", ROW),
        ("ratings:autosave", row, "POST", ROW),
        ("ratings:grid_row", row, "POST", ROW),
        ("ratings:preview", row, "GET", ROW),
        ("ratings:hand_in", row, "GET POST", ROW),
        *moves,
        ("ratings:review", row, "GET POST", SUPERIOR),
        ("ratings:due", row, "POST", ROW),
        ("ratings:summary", row, "GET", ROW),
        ("ratings:recount", row, "GET", ROW),
        *downloads,
        ("ratings:mine", (LABEL,), "GET", EVERYONE),
        ("ratings:grid", (LABEL,), "GET", EVERYONE),
        ("ratings:queue", (LABEL,), "GET", EVERYONE),
        ("ratings:batch", (LABEL,), "POST", EVERYONE),
        ("ratings:remind", (LABEL,), "POST", EVERYONE),
        ("ratings:own_summary", (LABEL,), "GET", EVERYONE),
        ("ratings:ledger", (LABEL,), "GET", EVERYONE),
        ("ratings:cycles", (), "GET", SIGNED_IN),
        ("ratings:new_cycle", (), "GET POST", SYSTEM),
        ("ratings:cycle", (LABEL,), "GET", EVERYONE | SYSTEM),
        ("ratings:edit_cycle", (LABEL,), "GET POST", SYSTEM),
        ("ratings:cycle_act", (LABEL, "close"), "GET POST", SYSTEM),
        ("ratings:uploads", (LABEL,), "GET POST", EVERYONE),
        ("ratings:template", (LABEL,), "GET", EVERYONE),
        ("ratings:upload", ("upload",), "GET", frozenset({"township"})),
        ("ratings:new_branch", ("upload",), "GET POST", NOBODY),  # no line of it is unknown
        *[
            ("ratings:upload_act", ("upload", action), "POST", frozenset({"township"}))
            for action in ("check", "confirm", "undo")
        ],
        ("ratings:movement", row, "GET", ROW),
        ("ratings:movement_rows", row, "GET", ROW),
        ("ratings:own_movement", (LABEL,), "GET", EVERYONE),
        ("ratings:notice", (LABEL,), "GET POST", EVERYONE),
        ("ratings:write_notice", (LABEL,), "GET POST", NOBODY),
        ("ratings:attach", (LABEL,), "POST", NOBODY),
        ("ratings:notice_file", (LABEL, "attached"), "GET", EVERYONE),
        ("ratings:publicities", (LABEL,), "GET", EVERYONE),
        ("ratings:publicity", ("publicity",), "GET", PUBLISHED),
        ("ratings:publicity_sheet", ("publicity",), "GET", PUBLISHED),
        ("ratings:answer", ("publicity", 1), "POST", NOBODY),  # nothing was said against it
        ("ratings:score", row, "GET", NEAR),
        ("ratings:scores", (LABEL,), "GET", ABOVE),
        ("ratings:set_score_sheet", (LABEL,), "GET POST", NOBODY),
        ("rectification:list", (LABEL,), "GET", EVERYONE),
        ("rectification:weak", (LABEL,), "GET", EVERYONE),
        ("rectification:board", (LABEL,), "GET", EVERYONE),
        ("rectification:figures", (LABEL,), "GET", EVERYONE),
        ("rectification:remind", (LABEL,), "GET POST", EVERYONE),
        ("rectification:measures", row, "GET POST", ROW),
        ("rectification:progress_file", ("progress",), "GET", ROW),
        ("rectification:mark", row, "GET POST", SUPERIOR),
        ("audits:checks", (LABEL,), "GET", EVERYONE),
        ("audits:new_check", (LABEL,), "GET POST", REVIEWERS),
        ("audits:check", ("spot_check",), "GET", CHECKED | {"county"}),
        *[
            ("audits:act", ("spot_check", action), "POST", frozenset({"county"}))
            for action in ("start", "close", "drop", "items")
        ],
        ("audits:redraw", ("spot_check",), "GET", CHECKED | {"county"}),
        ("audits:frame", ("spot_check",), "GET", frozenset({"county"})),
        ("audits:result", ("spot_check",), "GET", frozenset({"county"})),
        ("audits:request_correction", ("spot_check",), "GET POST", frozenset({"county"})),
        ("audits:correct_row", row, "GET POST", frozenset({"township", "county"})),
        ("audits:row", ("spot_check", "drawn"), "GET", ROW),
        ("audits:row", ("spot_check", "drawn"), "POST", frozenset({"county"})),
        ("audits:finding_file", ("finding_file",), "GET", frozenset({"county"})),
        ("audits:remedies", (LABEL,), "GET", EVERYONE),
        ("audits:remedy", ("remedy",), "GET", ROW),
        ("audits:remedy_file", ("remedy_file",), "GET", ROW),
        ("audits:corrections", (LABEL,), "GET", EVERYONE),
        ("audits:correction", (1,), "GET", NOBODY),  # nothing is corrected
        ("audits:practices", (LABEL,), "GET", EVERYONE),
        ("audits:practice", ("practice",), "GET", PUBLISHED),
        ("audits:find_practice", row, "GET POST", frozenset({"township", "county"})),
        ("audits:trail", (), "GET", AUDITOR),
        ("audits:event", ("event",), "GET", AUDITOR),
        ("audits:export_trail", (), "POST", AUDITOR),
        ("audits:chain", (), "GET POST", AUDITOR),
        ("audits:looks", row, "GET", frozenset({"branch", "branch reader"})),
        ("audits:printed", (), "POST", NOBODY),  # no page is named
        ("jobs:list", (), "GET", SIGNED_IN),
        ("jobs:job", ("job",), "GET", frozenset({"township"})),
        ("jobs:cancel", ("job",), "POST", frozenset({"township"})),
        ("jobs:file", ("job",), "GET", frozenset({"township"})),
        *[
            (f"accounts:{name}", (), methods, KEEPERS)
            for name, methods in (("list", "GET"), ("new", "GET POST"), ("sheet", "GET POST"))
        ],
        ("accounts:codes", (), "POST", KEEPERS),
        ("accounts:account", ("person",), "GET", frozenset({"county"})),
        ("accounts:security", (), "GET POST", NOBODY),  # nobody here is 安全管理员
        ("accounts:mine", (), "GET", SIGNED_IN),
        ("accounts:password", (), "GET POST", SIGNED_IN),
        ("accounts:totp", (), "GET POST", SIGNED_IN),
        ("accounts:draft", (), "GET POST", SIGNED_IN),
        ("orgs:tree", (), "GET", SIGNED_IN),
        ("orgs:organization", ("unit",), "GET", ROW | {"province"}),
        ("orgs:branch", ("unit",), "GET", ROW | {"province"}),
        ("orgs:term", ("unit",), "POST", MANAGER),
        ("orgs:change", ("unit", "rename"), "GET POST", MANAGER),
        ("orgs:changes", (), "GET", SIGNED_IN),
        ("orgs:past_change", ("change",), "GET", CHANGED),
        ("orgs:undo", ("change",), "GET POST", MANAGER),
        ("orgs:terms", (), "GET", SIGNED_IN),
        ("ratings:take_over", ("takeover",), "POST", CHANGED),
    ]


PUBLIC = {"login", "logout", "text_size", "accounts:second_step", "accounts:activate", "help"}
MONITORING = {"healthz", "readyz", "metrics"}  # by address: tests/test_health.py
TECHNICAL = {"gallery"}  # for developers, with DEBUG


def names(resolver, namespace=""):
    for pattern in resolver.url_patterns:
        if hasattr(pattern, "url_patterns"):
            inner = pattern.namespace
            if inner != "admin":
                yield from names(pattern, f"{inner}:" if inner else namespace)
        elif pattern.name:
            yield f"{namespace}{pattern.name}"


def test_every_address_is_in_the_table():
    listed = {name for name, *_ in addresses()} | PUBLIC | MONITORING | TECHNICAL

    assert set(names(get_resolver())) == listed


def url_of(world, name, arguments):
    keys = {
        "branch": world.of("branch").pk,
        "person": name == "accounts:account" and world.users["township"].pk,
        "unit": world.units["branch"].pk,
        "change": "change" in arguments and world.change.pk,
        "takeover": "takeover" in arguments and world.change.takeovers.get().pk,
        "job": name.startswith("jobs:") and world.job.pk,
        "event": "event" in arguments and AuditEvent.objects.filter(unit_code="T").first().pk,
        "attached": "attached" in arguments and world.attached.pk,
        **{
            name: getattr(world, name).pk
            for name in ("spot_check", "drawn", "finding_file", "remedy", "remedy_file", "practice")
            if name in arguments
        },
        "progress": "progress" in arguments and world.progress.pk,
        "publicity": "publicity" in arguments and world.publicity.pk,
        "upload": name.startswith(("ratings:upload", "ratings:new_b")) and world.upload.pk,
    }
    return reverse(name, args=[keys.get(argument, argument) for argument in arguments])


def signed_in(world, role):
    client = Client()
    if role != "anonymous":
        client.force_login(world.users[role])
    return client


PARTS = 6  # of the table, each with a world of its own; making one takes longer than to ask


@pytest.mark.parametrize("part", range(PARTS))
def test_an_address_answers_whom_it_should_and_does_not_exist_for_others(world, part):
    clients, wrong = {role: signed_in(world, role) for role in ROLES}, []
    for name, arguments, methods, answered in addresses()[part::PARTS]:
        url = url_of(world, name, arguments)
        for method, (role, client) in product(methods.split(), clients.items()):
            with taken_back():
                response = getattr(client, method.lower())(url, {"action": "accept"})
            if role == "anonymous":
                is_right = response.status_code == 302 and response.url.startswith("/login/")
            elif role in answered:
                is_right = response.status_code in ANSWERS
            else:
                is_right = response.status_code == 404
            if not is_right:
                wrong.append((method, url, role, response.status_code))

    assert wrong == []


WRITES = [
    ("ratings:fill", ("branch",)),
    ("ratings:autosave", ("branch",)),
    ("ratings:grid_row", ("branch",)),
    ("ratings:hand_in", ("branch",)),
    ("ratings:review", ("branch",)),
    ("ratings:due", ("branch",)),
    *[("ratings:move", ("branch", action)) for action in TRANSITIONS],
]


@pytest.mark.parametrize("role", ["branch reader", "sibling", "township reader", "province"])
def test_a_forged_press_changes_nothing(client, line, role):
    """With everything a page would send, by those who may not."""
    fill(line.of("branch"))
    submit(line.of("branch"))
    unit, _, reads = role.partition(" ")
    post = appoint(line.units[unit], *([Role.READ] if reads else []))
    client.force_login(post.user)
    before = snapshot(line)
    report = line.of("branch")

    tokens = (report.token, report.token - 1, "", "x" * 50, "9" * 40)
    for (name, arguments), token in product(WRITES, tokens):
        client.post(
            url_of(line, name, arguments),
            {
                "token": token,
                "reason": "伪造",
                "reviewed_grade": "good",
                "review_reason": "伪造",
                "features": "伪造",
                "decide": "accept",
                "until": "2999-01-01",
                "below_due_on": timezone.localdate().isoformat(),
            },
        )

    assert snapshot(line) == before


def snapshot(line):
    return [
        list(Report.objects.order_by("pk").values()),
        list(line.of("branch").versions.values()),
        line.of("branch").entry.features,
        list(Organization.objects.order_by("pk").values()),
    ]


@pytest.mark.parametrize(
    "path",
    [
        "/report/999999999999999999999999/",
        "/report/0/",
        "/report/1/move/nonsense/",
        "/9999-99/ledger/",
        "/organizations/99999999999999999999/",
        "/report/1/download/annex9/",
        "/nowhere/",
        "/report/1/version/99999999999999999999/",
    ],
)
def test_what_does_not_exist_is_a_chinese_404(client, line, path):
    client.force_login(line.township.user)

    response = client.get(path) if "/move/" not in path else client.post(path)

    assert response.status_code == 404
    assert "<html" in response.content.decode()
    assert response["X-Request-ID"] in response.content.decode()


def test_a_user_whose_post_ends_sees_nothing_with_the_next_click(client, line):
    client.force_login(line.township.user)
    url = reverse("ratings:report", args=[line.of("branch").pk])
    assert client.get(url).status_code == 200

    line.township.user.appointments.update(ended_on=date(2012, 1, 1))

    assert client.get(url).status_code == 404


def test_a_user_moved_to_another_unit_acts_there_at_once(client, line):
    client.force_login(line.township.user)
    line.township.user.appointments.update(organization=line.units["county"])

    assert client.get(reverse("ratings:report", args=[line.of("branch").pk])).status_code == 404
    assert client.get(reverse("ratings:report", args=[line.of("county").pk])).status_code == 200


def test_a_forged_choice_of_post_is_ignored(client, line):
    client.force_login(line.township.user)

    client.post(reverse("choose_post"), {"organization": line.units["province"].pk})

    assert client.get(reverse("ratings:report", args=[line.of("province").pk])).status_code == 404


def test_personal_pages_are_not_cached_and_carry_the_strict_policy(client, line):
    client.force_login(line.township.user)

    response = client.get(reverse("ratings:report", args=[line.of("branch").pk]))

    assert "no-store" in response["Cache-Control"]
    assert "unsafe" not in response["Content-Security-Policy"]
    assert response["X-Frame-Options"] == "DENY"
