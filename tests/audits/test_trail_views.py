"""The pages of the trail: searching, one event, the chain, and who saw one's own ledger."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from openpyxl import load_workbook

from audits import trail
from ledger_site.base import sealing
from ledger_site.base.models import AuditEvent
from ledger_site.base.trail import Act, WithoutUnit, record
from ledger_site.jobs import services as jobs
from ledger_site.jobs.models import Job
from orgs.choices import Duty, Role
from tests.factories import UserFactory, appoint, fill, hand_up, submit

SEARCH = reverse("audits:trail")
CHAIN = reverse("audits:chain")


@pytest.fixture
def auditor(client, line):
    line.auditor = appoint(line.units["province"], Role.AUDIT)
    client.force_login(line.auditor.user)
    return client


def found(response):
    return [event.pk for event in response.context["events"]]


def chosen(client, **filters):
    return AuditEvent.objects.filter(pk__in=found(client.get(SEARCH, filters)))


def test_the_trail_is_searched_by_each_of_its_filters(auditor, line):
    fill(line.of("branch"), by=line.branch)
    fill(line.of("sibling"), by=line.sibling)
    tomorrow = (timezone.localdate() + timedelta(days=1)).isoformat()

    of_branch = chosen(auditor, unit="B1", action="edit")
    assert [event.object_code for event in of_branch] == ["B1"]
    assert {event.unit_code for event in chosen(auditor, unit="丙村")} == {"B1"}
    person = line.sibling.user
    assert {event.person_id for event in chosen(auditor, person=person.username)} == {person.pk}
    assert {e.object_code for e in chosen(auditor, object="丁村")} == {"B2"}
    assert {event.person_id for event in chosen(auditor, person="系统")} == {None}
    assert not chosen(auditor, first=tomorrow)
    assert chosen(auditor, last=tomorrow).exists()
    assert not chosen(auditor, result="refused")
    number = AuditEvent.objects.filter(action="read_trail").latest("pk").request_number
    assert {event.action for event in chosen(auditor, number=number.lower())} == {"read_trail"}


@pytest.mark.parametrize(
    "query",
    ["first=x", "action=nothing", "older=x", "older=99999999999.999999-1", "unit=" + "长" * 99],
)
def test_nonsense_in_the_address_is_left_out(auditor, query):
    assert auditor.get(f"{SEARCH}?{query}").status_code == 200


def test_below_the_top_only_the_own_subtree_is_seen(client, line):
    fill(line.of("branch"), by=line.branch)
    submit(line.of("branch"), by=line.branch)
    client.force_login(appoint(line.units["branch"], Role.AUDIT).user)

    events = AuditEvent.objects.filter(pk__in=found(client.get(SEARCH)))

    assert {event.unit_code for event in events} == {"B1"}
    other = AuditEvent.objects.exclude(unit_code="B1").first()
    assert client.get(reverse("audits:event", args=[other.pk])).status_code == 404


def test_pages_go_on_without_a_gap_or_a_repetition(auditor):
    record("many", "许多", [Act("x", n, "", "") for n in range(120)], by=WithoutUnit())
    wanted = list(AuditEvent.objects.filter(action="many").order_by("-pk"))

    seen, address = [], f"{SEARCH}?action=many"
    while address:
        response = auditor.get(address)
        seen += found(response)
        link = response.context["pages"]["next"]
        address = link and SEARCH + link

    assert seen == [event.pk for event in wanted]


def test_reading_leaves_one_event_a_search_with_what_was_asked(auditor, line):
    auditor.get(SEARCH, {"unit": "B1"})

    event = AuditEvent.objects.get(action="read_trail")
    assert event.data == {"filters": {"unit": "B1"}}
    assert event.person_id == line.auditor.person_id


def test_an_event_shows_old_and_new_and_its_proof(auditor, line):
    fill(line.of("branch"), by=line.branch)
    event = AuditEvent.objects.get(action="edit")
    address = reverse("audits:event", args=[event.pk])

    page = auditor.get(address).content.decode()

    assert "书记B1" in page
    assert "较好" in page
    assert "相符" in page
    assert "尚未封存" in page
    sealing.seal()
    assert "封存于" in auditor.get(address).content.decode()


def test_the_queries_of_a_search_do_not_grow(auditor, django_assert_max_num_queries):
    with django_assert_max_num_queries(12):
        auditor.get(SEARCH)
    record("many", "许多", [Act("x", n, "", "") for n in range(120)], by=WithoutUnit())
    with django_assert_max_num_queries(12):
        auditor.get(SEARCH)


def work():
    for job in Job.objects.order_by("pk"):
        jobs.run(job.pk, job.attempt)


def test_the_export_holds_what_was_chosen_and_leaves_its_event(auditor, line, settings, tmp_path):
    settings.JOBS_DIR = tmp_path
    fill(line.of("branch"), by=line.branch)
    record("x", "=1+1", [Act("x", 1, "B1", "=cmd")], by=line.branch)

    auditor.post(reverse("audits:export_trail"), {"unit": "B1"})
    work()

    job = Job.objects.get()
    assert job.message == ""
    sheet = load_workbook(job.path.open("rb")).worksheets[0]
    cells = [cell for cells in sheet.iter_rows() for cell in cells]
    assert "=cmd" in [cell.value for cell in cells]
    assert not [cell for cell in cells if cell.data_type == "f"]
    event = AuditEvent.objects.get(action="export")
    assert event.data == {"filters": {"unit": "B1"}, "rows": 2}


def test_a_check_is_asked_for_and_its_result_is_shown(auditor, settings, tmp_path):
    settings.JOBS_DIR = tmp_path
    sealing.seal()

    assert auditor.post(CHAIN).status_code == 302
    work()

    assert "没有发现问题" in auditor.get(CHAIN).content.decode()


def test_the_navigation_offers_the_trail_to_auditors_alone(auditor, client, line):
    assert SEARCH in auditor.get(reverse("desk")).content.decode()
    client.force_login(appoint(line.units["county"], Role.REVIEW).user)
    assert SEARCH not in client.get(reverse("desk")).content.decode()
    assert client.get(SEARCH).status_code == 404


# ---------------------------------------------------------------- 审计管理员


@pytest.fixture
def administrator(client, line):
    user = UserFactory(duty=Duty.AUDIT, is_staff=True, full_name="审计人")
    client.force_login(user)
    return user


def test_the_audit_administrator_reads_all_of_every_unit_and_of_none(client, administrator, line):
    fill(line.of("branch"), by=line.branch)
    record("none", "没有单位", [Act("x", 1, "", "")], by=WithoutUnit())

    page = client.get(SEARCH)

    assert "全部单位和系统" in page.content.decode()
    assert len(found(page)) == AuditEvent.objects.exclude(action="read_trail").count()
    assert {event.object_code for event in chosen(client, unit="B1", action="edit")} == {"B1"}
    read = AuditEvent.objects.filter(action="read_trail").latest("pk")
    assert (read.person_name, read.post, read.unit_id) == ("审计人", "审计管理员", None)


def test_the_audit_administrator_exports_and_checks(
    client, administrator, line, settings, tmp_path
):
    settings.JOBS_DIR = tmp_path
    fill(line.of("branch"), by=line.branch)

    first = client.post(reverse("audits:export_trail"), {"unit": "B1"})
    second = client.post(CHAIN)
    work()

    exported, checked = Job.objects.order_by("pk")
    assert (exported.message, checked.message) == ("", "")
    assert client.get(first.url).status_code == client.get(second.url).status_code == 200
    assert [job.pk for job in client.get(reverse("jobs:list")).context["jobs"]] == [
        checked.pk,
        exported.pk,
    ]
    assert client.get(reverse("jobs:file", args=[exported.pk])).status_code == 200
    event = AuditEvent.objects.get(action="export")
    assert event.data["rows"] == 1
    assert event.person_id == administrator.pk
    assert "没有发现问题" in client.get(CHAIN).content.decode()


def test_what_an_administrator_asked_for_is_not_done_when_the_account_is_closed(
    client, administrator, settings, tmp_path
):
    settings.JOBS_DIR = tmp_path
    client.post(CHAIN)
    administrator.is_active = False
    administrator.save()

    work()

    assert Job.objects.get().message == jobs.NO_POST
    client.force_login(UserFactory(duty=Duty.AUDIT))
    assert client.get(reverse("jobs:job", args=[Job.objects.get().pk])).status_code == 404


@pytest.mark.parametrize("duty", [Duty.SYSTEM, Duty.SECURITY])
def test_the_other_administrators_read_no_trail(client, line, duty):
    client.force_login(UserFactory(duty=duty, is_staff=True))

    assert SEARCH not in client.get(reverse("desk")).content.decode()
    for address in (SEARCH, CHAIN):
        assert client.get(address).status_code == 404
        assert client.post(address).status_code in (404, 405)


def test_the_desk_of_the_audit_administrator_leads_to_the_trail(client, administrator):
    page = client.get(reverse("desk")).content.decode()

    assert page.count(f'href="{SEARCH}"') == 2  # the button and the navigation
    assert reverse("jobs:list") in page
    assert reverse("ratings:cycles") not in page


# ---------------------------------------------------------------- 谁看过


def looks_of(line, name="branch"):
    report = line.of(name)
    events = trail.looks_at(report, getattr(line, name)).order_by("pk")
    return [(event.action, event.person_id) for event in events]


def test_a_look_from_another_unit_is_kept_once_a_day(client, line):
    report = line.of("branch")
    address = reverse("ratings:report", args=[report.pk])
    for user in (line.branch.user, line.township.user, line.township.user):
        client.force_login(user)
        assert client.get(address).status_code == 200

    assert looks_of(line) == [("look", line.township.person_id)]
    tomorrow = timezone.now() + timedelta(days=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timezone, "now", lambda: tomorrow)
        client.force_login(line.township.user)
        client.get(address)
    assert len(looks_of(line)) == 2


def test_lists_and_sheets_of_a_superior_count_for_every_row_in_them(client, line):
    for name in ("branch", "sibling"):
        hand_up(line.of(name))
    client.force_login(line.township.user)
    client.get(reverse("ratings:ledger", args=[line.cycle]))
    client.get(reverse("ratings:download", args=[line.of("township").pk, "annex3"]))
    client.get(reverse("ratings:report", args=[line.of("sibling").pk]))

    person = line.township.person_id
    assert looks_of(line) == [("look_list", person), ("export", person)]
    assert AuditEvent.objects.get(action="export").data["rows"] == 2


def test_the_unit_sees_who_looked(client, line):
    client.force_login(line.township.user)
    client.get(reverse("ratings:report", args=[line.of("branch").pk]))
    client.force_login(line.branch.user)

    page = client.get(reverse("audits:looks", args=[line.of("branch").pk])).content.decode()

    assert line.township.person_name in page
    assert "测试省甲县乙乡" in page


def test_a_printed_page_leaves_its_event(client, line):
    report = line.of("branch")
    client.force_login(line.township.user)
    address = reverse("audits:printed")

    assert client.post(address, {"path": f"/report/{report.pk}/"}).status_code == 204
    assert client.post(address, {"path": "/report/99999999/"}).status_code == 404
    assert client.post(address, {"path": "/nowhere/"}).status_code == 404

    event = AuditEvent.objects.get(action="print")
    assert (event.object_kind, event.object_id) == ("report", report.pk)
    assert looks_of(line) == [("print", line.township.person_id)]


# ---------------------------------------------------------------- history


def test_the_history_holds_everything_for_the_unit_and_its_superior_alone(client, line):
    for name in ("branch", "sibling"):
        hand_up(line.of(name))
    submit(line.of("township"))
    address = reverse("ratings:history", args=[line.of("branch").pk])

    seen = {}
    for name in ("branch", "township", "county"):
        client.force_login(getattr(line, name).user)
        seen[name] = "全部记录" in client.get(address).content.decode()

    assert seen == {"branch": True, "township": True, "county": False}
