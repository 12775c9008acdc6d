"""What leaves a trace where one would forget it: files of commands, comparisons, packs."""

import hashlib
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import call_command
from django.urls import reverse

from audits import trail
from ledger_site.base.models import AuditEvent
from ledger_site.jobs import services
from ratings import jobs, workflow
from tests.factories import accept, hand_up, submit

pytestmark = pytest.mark.django_db
SMALL = settings.BASE_DIR / "tests/data/lanshan_small"


@pytest.fixture
def handed(line):
    """The township has two versions, of which the county took over the second."""
    for name in ("branch", "sibling"):
        hand_up(line.of(name))
    submit(line.of("township"))
    workflow.move("send_back", line.of("township"), by=line.county, reason="再核")
    submit(line.of("township"))
    accept(line.of("township"))
    submit(line.of("county"))
    return line


def seen_by_branch(line) -> list[tuple]:
    events = trail.looks_at(line.of("branch"), line.branch).order_by("pk")
    return [(event.action, event.label, event.person_id) for event in events]


def test_a_file_of_organizations_is_named_by_its_digest(line, tmp_path):
    file = tmp_path / "orgs.csv"
    file.write_text("code,parent_code,name,kind,category\nB3,T,戊村党支部,党支部,村\n", "utf-8")

    call_command("import_orgs", str(file))

    event = AuditEvent.objects.get(action="import")
    assert event.object_name == "orgs.csv"
    assert event.data["digest"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert event.data["rows"] == 1
    assert AuditEvent.objects.get(action="load").request_number == event.request_number


def test_a_ledger_of_a_command_is_named_by_its_digest_and_a_dry_run_is_none(db, tmp_path):
    call_command("import_orgs", str(SMALL / "orgs.csv"), stdout=StringIO())
    call_command("open_cycle", "2012", stdout=StringIO())
    asked = (str(SMALL / "ledger.csv"), "--cycle", "2012-1", "--under", "431127")
    before = AuditEvent.objects.latest("pk").pk

    call_command("import_ledger", *asked, "--dry-run", stdout=StringIO(), stderr=StringIO())
    assert not AuditEvent.objects.filter(action="import", pk__gt=before).exists()
    call_command("import_ledger", *asked, stdout=StringIO(), stderr=StringIO())

    event = AuditEvent.objects.get(action="import", pk__gt=before)
    assert event.data["file"] == "ledger.csv"
    digest = hashlib.sha256((SMALL / "ledger.csv").read_bytes()).hexdigest()
    assert (event.data["digest"], event.object_code) == (digest, "431127")
    rows = AuditEvent.objects.filter(action="edit", request_number=event.request_number)
    assert rows.count() == event.data["rows"]
    assert all(row.data["row"] > 1 for row in rows)


def test_a_comparison_counts_as_a_look_at_the_rows_below(client, handed):
    client.force_login(handed.county.user)
    address = reverse("ratings:compare", args=[handed.of("township").pk])

    for _ in range(2):
        assert client.get(address).status_code == 200

    assert ("look_list", "比较版本", handed.county.person_id) in seen_by_branch(handed)
    assert len(seen_by_branch(handed)) == 1


def test_a_row_that_is_shown_at_the_end_of_a_proof_was_looked_at(client, handed):
    client.force_login(handed.county.user)
    address = reverse("ratings:proof", args=[handed.of("township").pk, 2])

    client.get(address)
    assert seen_by_branch(handed) == []
    client.get(address, {"code": "B1"})

    assert seen_by_branch(handed) == [("look", "查看", handed.county.person_id)]


@pytest.mark.django_db(transaction=True)
def test_a_pack_counts_as_a_look_at_the_rows_in_it(handed, settings, tmp_path):
    settings.JOBS_DIR = tmp_path
    job = jobs.start_pack(handed.of("township"), by=handed.county)
    services.run(job.pk, job.attempt)

    assert [one[0] for one in seen_by_branch(handed)] == ["export_pack"]
