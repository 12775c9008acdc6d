"""Background jobs: done once and whole, whoever is killed when, and seen by nobody else."""

import os
import re
import signal
import subprocess
import sys
import time
from datetime import timedelta
from io import BytesIO
from zipfile import ZipFile

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from ledger_site.base.models import AuditEvent
from ledger_site.base.workflow import TransitionRefused
from ledger_site.jobs import services
from ledger_site.jobs.choices import JobState
from ledger_site.jobs.models import Job
from orgs.choices import Role
from orgs.models import Category
from ratings import exports
from ratings.choices import CycleState, Form
from ratings.models import Report
from ratings.opening import create_cycle, open_cycle
from tests.factories import appoint, hand_up, submit


@pytest.fixture(autouse=True)
def folder(tmp_path, settings):
    settings.JOBS_DIR = tmp_path / "jobs"
    return settings.JOBS_DIR


@pytest.fixture
def kind(monkeypatch):
    """Register a kind of work for the test."""

    def register(function, *, writes=False):
        monkeypatch.setitem(services.KINDS, "test", services.Kind(function, writes))

    return register


def ask(post, **params) -> Job:
    return services.start("test", "试验作业", params, by=post)


def again(job) -> Job:
    return Job.objects.get(pk=job.pk)


def say(text):
    def run(params, post, stream, watch):
        watch("写", 1, 2)
        stream.write(text.encode())
        return "结果.txt"

    return run


def test_a_job_is_done_and_its_result_has_name_size_and_digest(line, kind, folder):
    kind(say("你好"))
    job = ask(line.township)
    assert (job.state, DBTaskResult.objects.count()) == (JobState.WAITING, 1)

    services.run(job.pk, 1)

    job = again(job)
    assert (job.state, job.file_name, job.size) == (JobState.DONE, "结果.txt", 6)
    assert job.path.read_text(encoding="utf-8") == "你好"
    assert job.digest == "670d9743542cae3ea7ebe36af56bd53648b0a1126162e78d81a32934a711302e"
    assert [path.name for path in folder.iterdir()] == [job.file]


def test_the_same_asked_for_twice_is_one_job(line, kind):
    kind(say(""))

    assert ask(line.township, a=1) == ask(line.township, a=1)
    assert ask(line.township, a=2) != ask(line.county, a=2)
    assert AuditEvent.objects.filter(action="start_job").count() == 3


def test_two_workers_do_a_job_once(line, kind):
    runs = []
    kind(lambda *args: runs.append(1) or "")
    job = ask(line.township)

    services.run(job.pk, 1)
    services.run(job.pk, 1)

    assert runs == [1]


def test_what_fails_leaves_no_file_and_a_plain_sentence(line, kind, folder):
    def fail(params, post, stream, watch):
        stream.write(b"half")
        Category.objects.create(code="half", name="一半", sheet_row="一半")
        raise RuntimeError("secret")

    kind(fail, writes=True)
    job = ask(line.township)

    services.run(job.pk, 1)

    job = again(job)
    assert job.state == JobState.FAILED
    assert "没有留下一半" in job.message
    assert "secret" not in job.message
    assert list(folder.iterdir()) == []
    assert not Category.objects.filter(code="half").exists()


def test_a_refusal_is_told_in_its_own_words(line, kind):
    def refuse(*args):
        raise TransitionRefused("不行")

    kind(refuse)
    job = ask(line.township)

    services.run(job.pk, 1)

    assert (again(job).state, again(job).message) == (JobState.FAILED, "不行")


def test_cancelling_before_and_while_it_runs(line, kind, folder):
    def run(params, post, stream, watch):
        Category.objects.create(code="half", name="一半", sheet_row="一半")
        services.cancel(again(job), by=line.township)
        return ""

    kind(run, writes=True)
    job = ask(line.township)
    services.run(job.pk, 1)
    waiting = ask(line.township, n=2)
    services.cancel(waiting, by=line.township)
    services.run(waiting.pk, 1)

    # The cancel is part of the transaction that it undoes: the job ends all the same.
    assert again(job).state == JobState.CANCELLED
    assert again(waiting).state == JobState.CANCELLED
    assert not Category.objects.filter(code="half").exists()
    with pytest.raises(TransitionRefused, match="已经结束"):
        services.cancel(again(job), by=line.township)


def silent(job):
    old = timezone.now() - timedelta(minutes=5)
    Job.objects.filter(pk=job.pk).update(state=JobState.RUNNING, heartbeat_at=old)


def test_what_a_dead_worker_left_is_taken_up_three_times_at_most(line, kind):
    kind(say("好"))
    job = ask(line.township)
    for attempt in (2, 3):
        silent(job)
        assert services.recover() == 1
        assert (again(job).state, again(job).attempt) == (JobState.WAITING, attempt)
    silent(job)

    services.recover()

    assert again(job).state == JobState.FAILED
    assert "连续3次中断" in again(job).message


def test_a_job_whose_task_went_with_its_worker_is_asked_for_again(line, kind):
    kind(say("好"))
    job = ask(line.township)
    DBTaskResult.objects.all().delete()
    assert services.recover() == 0
    Job.objects.update(created_at=timezone.now() - timedelta(minutes=5))

    assert (services.recover(), services.recover()) == (1, 0)

    assert DBTaskResult.objects.count() == 1
    assert again(job).state == JobState.WAITING


def test_a_worker_that_shows_life_in_a_file_is_left_alone(line, kind, folder):
    kind(say("好"))
    job = ask(line.township)
    silent(job)
    folder.mkdir()
    (folder / f"{job.pk}-1.alive").touch()

    assert services.recover() == 0


def test_a_worker_that_was_taken_for_gone_can_not_finish_what_another_has(line, kind, folder):
    def slow(params, post, stream, watch):
        Category.objects.create(code="late", name="迟到", sheet_row="迟到")
        Job.objects.filter(pk=job.pk).update(attempt=2)
        return ""

    kind(slow, writes=True)
    job = ask(line.township)

    services.run(job.pk, 1)

    assert not Category.objects.filter(code="late").exists()
    assert again(job).file == ""
    assert list(folder.iterdir()) == []


def test_who_lost_the_post_gets_nothing(line, kind):
    kind(say("好"))
    post = appoint(line.units["township"], Role.READ)
    job = ask(post)
    post.user.appointments.update(ended_on=timezone.localdate())

    services.run(job.pk, 1)

    assert (again(job).state, again(job).message) == (JobState.FAILED, services.NO_POST)


def test_old_results_are_deleted_and_the_job_says_so(line, kind, client, folder):
    kind(say("好"))
    job = ask(line.township)
    services.run(job.pk, 1)
    Job.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert services.expire() == 1

    assert list(folder.iterdir()) == []
    client.force_login(line.township.user)
    assert "已过期删除" in client.get(again(job).get_absolute_url()).content.decode()
    assert client.get(reverse("jobs:file", args=[job.pk])).status_code == 404


def test_what_the_queue_has_done_is_forgotten_with_the_results(line, kind):
    kind(say("好"))
    for n in range(2):
        ask(line.township, n=n)
    finished = DBTaskResult.objects.filter(pk=DBTaskResult.objects.first().pk)

    def left(days):
        finished.update(status="SUCCESSFUL", finished_at=timezone.now() - timedelta(days=days))
        services.expire()
        return set(DBTaskResult.objects.values_list("status", flat=True))

    assert left(6) == {"SUCCESSFUL", "READY"}
    assert left(8) == {"READY"}


def test_a_cancel_says_what_it_has_done_and_the_list_offers_it_once(line, kind, client):
    kind(say("好"))
    jobs = [ask(line.township, n=n) for n in range(3)]
    Job.objects.filter(pk=jobs[1].pk).update(state=JobState.RUNNING, heartbeat_at=timezone.now())
    Job.objects.filter(pk=jobs[2].pk).update(state=JobState.DONE)
    addresses = [reverse("jobs:cancel", args=[job.pk]) for job in jobs]
    client.force_login(line.township.user)

    def offered():
        page = client.get(reverse("jobs:list")).content.decode()
        return [address in page for address in addresses]

    before, said = offered(), []
    for address in addresses:
        said += map(str, client.post(address, follow=True).context["messages"])

    assert before == [True, True, False]
    assert said == ["已取消", "已请求取消，作业停下后不留结果", "作业已经结束，不能取消"]
    assert offered() == [False, False, False]


def test_only_who_asked_sees_the_job_and_its_file(line, kind, client):
    kind(say("好"))
    job = ask(line.township)
    services.run(job.pk, 1)
    pages = [job.get_absolute_url(), reverse("jobs:file", args=[job.pk])]

    for other in (appoint(line.units["township"]), line.county):
        client.force_login(other.user)
        assert {client.get(page).status_code for page in pages} == {404}
        assert client.post(reverse("jobs:cancel", args=[job.pk])).status_code == 404
        assert "试验作业" not in client.get(reverse("jobs:list")).content.decode()
    client.force_login(line.township.user)
    assert again(job).digest in client.get(pages[0]).content.decode()
    answer = client.get(pages[1])
    assert b"".join(answer.streaming_content).decode() == "好"
    assert AuditEvent.objects.filter(action="download").count() == 1


def test_the_page_asks_again_while_the_work_goes_on_and_works_without_script(line, kind, client):
    kind(say("好"))
    job = ask(line.township)
    client.force_login(line.township.user)

    page = client.get(job.get_absolute_url()).content.decode()
    fragment = client.get(job.get_absolute_url(), headers={"HX-Request": "true"}).content.decode()

    assert 'hx-trigger="every 2s"' in page
    assert ">刷新</a>" in page
    assert "<html" not in fragment
    services.run(job.pk, 1)
    assert "hx-trigger" not in client.get(job.get_absolute_url()).content.decode()


@pytest.fixture
def large(line, monkeypatch):
    """Where the workbooks of the township are, which are for the background."""
    for name in ("branch", "sibling"):
        hand_up(line.of(name))
    submit(line.of("township"))
    monkeypatch.setattr("ratings.jobs.LARGE", 1)
    return reverse("ratings:download", args=[line.of("township").pk, "annex3"])


def exported():
    return AuditEvent.objects.filter(action="export").count()


def test_an_address_asks_before_it_starts_a_large_export_and_a_button_does(line, large):
    client = Client(enforce_csrf_checks=True)
    client.force_login(line.township.user)

    page = client.get(f"{large}?split=1")
    forged = client.post(f"{large}?split=1")

    assert (forged.status_code, Job.objects.count()) == (403, 0)
    token = re.search('name="csrfmiddlewaretoken" value="([^"]+)"', page.content.decode())[1]
    assert f'action="{large}?split=1"' in page.content.decode()
    answer = client.post(f"{large}?split=1", {"csrfmiddlewaretoken": token})
    assert answer.url == Job.objects.get().get_absolute_url()


@pytest.mark.parametrize("query", ["", "?split=1"])
@pytest.mark.django_db(transaction=True)
def test_a_large_export_is_a_job_with_a_file_as_its_result(line, large, client, query):
    client.force_login(line.township.user)

    client.post(large + query)
    assert (exported(), Job.objects.get().file) == (0, "")
    call_command("worker", "--once")

    job = Job.objects.get()
    assert (job.state, job.message) == (JobState.DONE, "")
    with ZipFile(job.path) as archive:
        names = archive.namelist()
    if query:
        assert [name[-5:] for name in names] == [".xlsx", ".xlsx"]
    else:
        assert "[Content_Types].xml" in names
    assert exported() == 1


def test_what_is_cancelled_at_the_last_moment_was_not_exported(line, large, client, monkeypatch):
    client.force_login(line.township.user)
    client.post(large)
    job = Job.objects.get()
    write = exports.write

    def late(*args):
        write(*args)
        services.cancel(again(job), by=line.township)

    monkeypatch.setattr(exports, "write", late)
    services.run(job.pk, 1)

    assert (again(job).state, exported()) == (JobState.CANCELLED, 0)


@pytest.mark.django_db(transaction=True)
def test_opening_a_large_cycle_is_a_job(line, client, monkeypatch):
    monkeypatch.setattr("ratings.jobs.LARGE", 1)
    cycle = create_cycle(2013, by=line.province)
    client.force_login(line.province.user)

    answer = client.post(reverse("ratings:cycle_act", args=[cycle, "open"]))
    call_command("worker", "--once")

    job = Job.objects.get()
    cycle.refresh_from_db()
    assert answer.url == job.get_absolute_url()
    assert (job.state, job.message) == (JobState.DONE, "")
    assert (cycle.state, Report.objects.of(cycle).count()) == (CycleState.OPEN, 5)


def test_long_work_tells_how_far_it_is(line, large, monkeypatch):
    told = []
    tell = lambda *said: told.append(said)  # noqa: E731 - shorter
    monkeypatch.setattr("ledger_site.base.progress.EVERY", 1)

    exports.write(Form.ANNEX3, line.of("township"), line.township, BytesIO(), tell)
    open_cycle(create_cycle(2013, by=line.province), by=line.province, tell=tell)

    assert told == [
        ("写入表格", 0, 2),
        ("写入表格", 1, 2),
        ("写入表格", 2, 2),
        ("划定范围", 0, 4),
        ("建立报送件", 1, 4),
        ("建立台账行", 2, 4),
        ("整理", 3, 4),
    ]


WORKER = """
import os, sys, time
sys.path.insert(0, {root!r})
os.environ["DJANGO_SETTINGS_MODULE"] = "ledger_site.settings"
import django
django.setup()
from django.conf import settings
from pathlib import Path
settings.JOBS_DIR = Path({folder!r})
settings.DATABASES["default"]["NAME"] = {name!r}
from django.db import connections
connections["default"].settings_dict["NAME"] = {name!r}
from ledger_site.jobs import services
def work(params, post, stream, watch):
    from orgs.models import Category
    Category.objects.create(code="half", name="一半", sheet_row="一半")
    stream.write(b"half")
    print("working", flush=True)
    time.sleep(60)
services.KINDS["test"] = services.Kind(work, True)
services.run({pk}, 1)
"""


@pytest.mark.django_db(transaction=True)
def test_a_killed_worker_is_noticed_and_its_job_taken_up_again_whole(
    line, kind, folder, monkeypatch
):
    kind(say("完整"))
    job = ask(line.township)
    script = WORKER.format(
        root=str(settings.BASE_DIR),
        folder=str(folder),
        name=str(connection.settings_dict["NAME"]),
        pk=job.pk,
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, env=os.environ, text=True
    )
    assert worker.stdout.readline().strip() == "working"
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert again(job).state == JobState.RUNNING
    assert not Category.objects.filter(code="half").exists()

    monkeypatch.setattr("ledger_site.jobs.querysets.SILENCE", timedelta(0))
    monkeypatch.setattr(services, "SILENCE", timedelta(0))
    time.sleep(0.01)
    call_command("worker", "--once")

    job = again(job)
    assert (job.state, job.attempt) == (JobState.DONE, 2)
    assert job.path.read_text(encoding="utf-8") == "完整"
