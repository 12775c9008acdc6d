"""What monitoring is told, and who is told."""

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from ledger_site import health
from ledger_site.jobs import routines
from ledger_site.jobs.models import Routine

pytestmark = pytest.mark.django_db
PAGES = ("/healthz", "/readyz", "/metrics", "/login/")


def test_a_process_that_lives_says_so_to_everybody(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        response = client.get("/healthz", REMOTE_ADDR="203.0.113.9")

    assert (response.status_code, response.content) == (200, b"ok\n")


@pytest.mark.parametrize("page", ["/readyz", "/metrics"])
@pytest.mark.parametrize("address", ["203.0.113.9", "2001:db8::1", "", "unix:"])
def test_strangers_find_no_page_of_monitoring(client, page, address):
    assert client.get(page, REMOTE_ADDR=address).status_code == 404


@pytest.mark.parametrize("page", ["/readyz", "/metrics"])
def test_monitoring_is_not_sent_to_https(client, settings, page):
    settings.SECURE_SSL_REDIRECT = True

    assert client.get(page, REMOTE_ADDR="::1").status_code == 200


def test_monitoring_asks_a_node_by_its_own_address(client, settings):
    settings.ALLOWED_HOSTS = ["ledger.example.gov.cn"]

    asked = {page: client.get(page, HTTP_HOST="10.1.0.11:8001").status_code for page in PAGES}

    assert asked == {"/healthz": 200, "/readyz": 200, "/metrics": 200, "/login/": 400}


def test_what_waits_for_people_does_not_stop_the_node(client, settings, tmp_path):
    settings.BACKUP_DIR = tmp_path
    warnings = client.get("/readyz").json()["warnings"]
    assert warnings.keys() == {"worker", "verify", "backup"}

    routines.show_life()
    routines.note("verify", True, "")
    routines.note("backup", False, "")
    assert client.get("/readyz").json()["warnings"] == {"backup": "failed"}
    Routine.objects.filter(name="verify").update(done_at=timezone.now() - timedelta(days=2))
    assert client.get("/readyz").json()["warnings"].keys() == {"verify", "backup"}


def test_a_node_that_can_not_serve_is_not_ready(client, settings, monkeypatch):
    settings.LEAST_FREE = 1 << 60
    response = client.get("/readyz")
    assert (response.status_code, response.json()["ready"]) == (503, False)

    class Away:
        def cursor(self):
            raise OperationalError("a secret")

    monkeypatch.setattr(health, "connection", Away())
    response = client.get("/readyz")
    assert response.json()["checks"]["database"] == "unreachable"
    assert "secret" not in response.content.decode()


def test_an_older_database_is_not_served(client, monkeypatch):
    monkeypatch.setattr(health, "_migrated", [])
    monkeypatch.setattr(health.MigrationExecutor, "migration_plan", lambda self, targets: ["one"])

    assert client.get("/readyz").status_code == 503


def test_metrics_tell_of_the_whole(client):
    routines.note("verify", True, "")
    client.get("/healthz")

    text = client.get("/metrics").content.decode()

    assert 'ledger_jobs{state="waiting"} 0.0' in text
    assert 'ledger_routine_good{name="verify"} 1.0' in text
    assert 'view="healthz"' in text
