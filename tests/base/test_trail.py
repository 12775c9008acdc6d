"""No event, no act; what is written can't be changed, and where it was it is found."""

import gzip
import hashlib
import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.urls import reverse
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice

from ledger_site import env
from ledger_site.base import guards, proof, sealing, trail
from ledger_site.base.choices import Result
from ledger_site.base.models import AuditEvent, AuditSeal
from ledger_site.base.numbers import request_number
from ledger_site.base.trail import Act, WithoutUnit, record
from ledger_site.base.workflow import Refusal, TransitionRefused
from ratings import services, workflow
from ratings.models import LedgerEntry
from tests.factories import PASSWORD, UserFactory, fill


def write(count=1, **data):
    acts = [Act("thing", n, f"C{n}", f"对象{n}", "理由", {"n": n, **data}) for n in range(count)]
    record("test", "试验", acts, by=WithoutUnit(7, "张三", "填报", 9, "T", "乡党委"))


def spoil(sql, *params):
    """Change the stored trail as somebody might who owns the database."""
    with connection.cursor() as cursor:
        for table in guards.GUARDED:
            _switch(cursor, table, on=False)
        cursor.execute(sql, params)
        for table in guards.GUARDED:
            _switch(cursor, table, on=True)


def _switch(cursor, table, *, on):
    if connection.vendor == "postgresql":
        cursor.execute(f"ALTER TABLE {table} {'ENABLE' if on else 'DISABLE'} TRIGGER USER")
    elif on:
        guards.ensure()
    else:
        for name in [name for name in guards._there() if name.startswith(table)]:
            cursor.execute(f"DROP TRIGGER {name}")


def faults():
    return list(sealing.check())


@pytest.fixture
def sealed(db):
    write(3)
    write(2)
    sealing.seal()
    write(2)
    sealing.seal()
    return list(AuditEvent.objects.order_by("pk"))


# ---------------------------------------------------------------- the database


@pytest.mark.parametrize("table", guards.GUARDED)
@pytest.mark.parametrize("sql", ["UPDATE {} SET mac = ''", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_database_refuses_to_change_the_trail(sealed, table, sql):
    if sql.startswith("TRUNCATE") and connection.vendor != "postgresql":
        sql = "DELETE FROM {}"
    before = AuditEvent.objects.count(), AuditSeal.objects.count()

    refused = pytest.raises(DatabaseError, match="不能修改或删除")
    with refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql.format(table))

    assert (AuditEvent.objects.count(), AuditSeal.objects.count()) == before


def test_the_door_lets_old_events_go_and_no_others(sealed):
    first = sealed[0].pk

    with transaction.atomic(), guards.door(first):
        AuditEvent.objects.filter(pk=first)._raw_delete(connection.alias)
    with pytest.raises(DatabaseError), transaction.atomic(), guards.door(first):
        AuditEvent.objects.all()._raw_delete(connection.alias)

    assert AuditEvent.objects.count() == len(sealed) - 1


def test_a_missing_trigger_is_told_and_made_again(sealed):
    with connection.cursor() as cursor:
        name = next(n for n, _ in guards._statements(connection.vendor))
        table = guards.GUARDED[0]
        on = f" ON {table}" if connection.vendor == "postgresql" else ""
        cursor.execute(f"DROP TRIGGER {name}{on}")

    assert any(name in fault for fault in faults())
    guards.ensure()
    assert faults() == []


# ---------------------------------------------------------------- proofs and the chain


def test_what_is_sealed_is_sound_and_every_event_stands_in_one_seal(sealed):
    seals = list(AuditSeal.objects.order_by("number"))

    assert faults() == []
    assert [seal.count for seal in seals] == [5, 2]
    assert [pk for seal in seals for pk in proof.ids_of(seal.ids)] == [e.pk for e in sealed]
    assert seals[1].previous == seals[0].mac
    assert sealing.seal() == 0


CHANGED = {
    "at": "2012-01-01 00:00:00+00:00",
    "action": "other",
    "label": "别的",
    "person_id": 8,
    "person_name": "李四",
    "post": "审核",
    "unit_id": 10,
    "unit_code": "X",
    "unit_name": "别处",
    "object_kind": "other",
    "object_id": 99,
    "object_code": "X",
    "object_name": "别的",
    "reason": "别的",
    "data": '{"n": 5}',
    "request_number": "X",
    "address": "10.0.0.1",
    "result": "refused",
    "format": 0,
    "mac": "0" * 64,
}


def test_every_column_of_an_event_is_proved():
    columns = {field.column for field in AuditEvent._meta.fields} - {"id"}

    assert columns == set(CHANGED)
    assert columns - {"format", "mac"} == set(proof.EVENT_COLUMNS)


@pytest.mark.parametrize("is_sealed", [True, False])
@pytest.mark.parametrize("column", CHANGED)
def test_a_change_in_any_column_is_found_and_placed(sealed, column, is_sealed):
    if not is_sealed:
        write()
    event = AuditEvent.objects.order_by("-pk")[0 if not is_sealed else 3]

    spoil(f"UPDATE base_auditevent SET {column} = %s WHERE id = %s", CHANGED[column], event.pk)  # noqa: S608

    (fault,) = faults()
    assert f"操作留痕 {event.pk}（" in fault


def test_a_missing_event_is_named(sealed):
    spoil("DELETE FROM base_auditevent WHERE id IN (%s, %s)", sealed[1].pk, sealed[6].pk)

    found = faults()

    assert len(found) == 2
    assert f"操作留痕 {sealed[1].pk}：缺少这一条（第1批" in found[0]
    assert f"操作留痕 {sealed[6].pk}：缺少这一条（第2批" in found[1]


def copied(pk, new):
    columns = ", ".join([*proof.EVENT_COLUMNS, "format", "mac"])
    spoil(
        f"INSERT INTO base_auditevent (id, {columns}) SELECT %s, {columns}"  # noqa: S608
        " FROM base_auditevent WHERE id = %s",
        new,
        pk,
    )


def test_an_event_put_in_is_named_even_as_a_copy_of_a_true_one(sealed):
    spoil("DELETE FROM base_auditevent WHERE id = %s", sealed[2].pk)
    spoil("DELETE FROM base_auditseal")
    sealing.seal()  # a gap, as a rolled back act leaves
    assert faults() == []

    copied(sealed[0].pk, sealed[2].pk)

    (fault,) = faults()
    assert f"操作留痕 {sealed[2].pk}（" in fault
    assert "后来添加" in fault


def test_an_event_replaced_by_a_true_one_is_found(sealed):
    spoil("DELETE FROM base_auditevent WHERE id = %s", sealed[1].pk)
    copied(sealed[0].pk, sealed[1].pk)

    (fault,) = faults()

    assert "第1批" in fault
    assert "被替换" in fault


@pytest.mark.parametrize(
    ("column", "value"),
    [("digest", "0" * 64), ("count", 9), ("ids", "1"), ("mac", "0" * 64), ("previous", "0" * 64)],
)
def test_a_changed_seal_is_found(sealed, column, value):
    spoil(f"UPDATE base_auditseal SET {column} = %s WHERE number = 2", value)  # noqa: S608

    assert any("第2批" in fault and "封存记录" in fault for fault in faults())


def test_a_missing_seal_is_found(sealed):
    spoil("DELETE FROM base_auditseal WHERE number = 1")

    assert any("缺少第1批" in fault for fault in faults())


def test_events_from_before_the_keys_are_sealed_and_proved_from_then_on(db):
    for number in (1, 2):
        AuditEvent.objects.create(
            action="old", label="旧", person_name="系统", object_kind="x", object_name=f"{number}"
        )
    old = AuditEvent.objects.order_by("pk").first().pk
    assert faults() == []
    sealing.seal()
    write()
    sealing.seal()
    assert faults() == []

    spoil("UPDATE base_auditevent SET reason = '改' WHERE id = %s", old)
    assert len(faults()) == 1


def test_an_event_without_a_key_after_keyed_ones_is_found(sealed):
    AuditEvent.objects.create(action="x", label="假", person_name="无", object_kind="x")
    assert len(faults()) == 1
    sealing.seal()
    assert len(faults()) == 1


def test_data_are_proved_as_the_database_gives_them_back(db):
    write(data={"b": 1, "a": [None, True, 1.5, "文"], "长": {"2": 1, "10": 2}}, t=(1, 2))
    sealing.seal()

    assert faults() == []


def test_another_key_proves_nothing_unless_it_is_named_as_a_former_one(sealed, settings):
    former = settings.AUDIT_KEYS
    settings.AUDIT_KEYS = [b"k" * 32]
    assert len(faults()) == len(sealed) + 2

    settings.AUDIT_KEYS = [b"k" * 32, *former]
    assert faults() == []


@pytest.mark.skipif("sm3" not in hashlib.algorithms_available, reason="no SM3 here")
def test_the_digest_may_be_changed_on_the_way(sealed, settings):
    settings.AUDIT_DIGEST = "sm3"
    write(2)
    sealing.seal()

    assert faults() == []
    assert AuditEvent.objects.latest("pk").format == 2
    assert AuditSeal.objects.first().format == 2


def test_batches_are_bounded(sealed, monkeypatch):
    monkeypatch.setattr(sealing, "MOST", 4)
    write(10)

    assert sealing.seal() == 10
    assert [seal.count for seal in AuditSeal.objects.order_by("number")] == [5, 2, 4, 4, 2]
    assert faults() == []


def test_it_is_sealed_once_a_minute(sealed):
    write()
    assert sealing.seal_if_due() == 0

    spoil("UPDATE base_auditseal SET at = %s", timezone.now() - timedelta(minutes=2))
    assert sealing.seal_if_due() == 1


def test_verify_tells_of_the_trail_and_leaves_an_event(sealed, capsys):
    call_command("verify", json=True)
    said = json.loads(capsys.readouterr().out)

    assert said["outcome"] == "sound"
    about = AuditEvent.objects.get(action="verify_trail").data
    assert (about["events"], about["seals"], about["faults"]) == (len(sealed), 2, 0)


def test_events_that_sql_selects_are_keyed_alike(line):
    columns = {"object_kind": "'organization'", "object_id": "id", "object_code": "code"}
    columns |= {"object_name": "name", "unit_code": "code", "unit_name": "name", "unit_id": "id"}
    columns["data"] = """'{"b": 1.50, "a": ["\u6587"]}'"""
    trail.record_selected("x", "选", columns, "FROM orgs_organization", by=line.branch)
    sealing.seal()

    assert AuditEvent.objects.filter(action="x", format=1).count() == 5
    assert faults() == []


# ---------------------------------------------------------------- archiving


@pytest.fixture
def old(sealed):
    """The first batch has been kept long enough."""
    spoil("DELETE FROM base_auditseal")
    spoil("DELETE FROM base_auditevent")
    long_ago = timezone.now() - timedelta(days=2000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timezone, "now", lambda: long_ago)
        write(4)
        sealing._seal_next(AuditEvent.objects.latest("pk").pk)
    write(3)
    sealing.seal()


def test_archived_events_leave_and_the_chain_goes_on(old, tmp_path):
    file = tmp_path / "trail.jsonl.gz"

    call_command("archive_trail", str(file))

    assert sealing.check_archive(file) == []
    assert faults() == []
    assert set(AuditEvent.objects.values_list("action", flat=True)) == {"test", "archive_trail"}
    assert AuditEvent.objects.filter(action="test").count() == 3
    assert AuditSeal.objects.count() == 2
    with gzip.open(file) as lines:
        kinds = [next(iter(json.loads(line))) for line in lines]
    assert kinds == ["seal", *["event"] * 4, "digest"]


def test_an_event_put_back_where_some_were_archived_is_found(old, tmp_path):
    pk = AuditEvent.objects.earliest("pk").pk
    call_command("archive_trail", str(tmp_path / "trail.jsonl.gz"))

    copied(AuditEvent.objects.filter(action="test").earliest("pk").pk, pk)

    assert any("已经归档" in fault for fault in faults())


def test_a_changed_archive_is_found(old, tmp_path, capsys):
    file = tmp_path / "trail.jsonl.gz"
    call_command("archive_trail", str(file))
    said = gzip.decompress(file.read_bytes()).replace("对象1".encode(), "对象9".encode())
    file.write_bytes(gzip.compress(said))

    with pytest.raises(SystemExit):
        call_command("archive_trail", str(file), check=True)

    assert "校验码不符" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [b"", b"x", gzip.compress(b"{}\n"), gzip.compress(b"[]")],
    ids=["empty", "text", "no-seal", "list"],
)
def test_what_is_no_archive_is_told(db, tmp_path, text):
    file = tmp_path / "x.gz"
    file.write_bytes(text)

    assert "归档文件" in sealing.check_archive(file)[0]


def test_what_is_not_sound_or_not_old_is_not_archived(old, tmp_path, capsys):
    file = tmp_path / "trail.jsonl.gz"
    with pytest.raises(SystemExit):
        call_command("archive_trail", str(file), before=timezone.localdate().isoformat())
    oldest = AuditEvent.objects.earliest("pk").pk
    spoil("UPDATE base_auditevent SET reason = '改' WHERE id = %s", oldest)
    count = AuditEvent.objects.filter(action="test").count()

    with pytest.raises(SystemExit):
        call_command("archive_trail", str(file))

    assert "至少保存" in capsys.readouterr().err
    assert AuditEvent.objects.filter(action="test").count() == count
    assert not file.exists()


# ---------------------------------------------------------------- with the act or not at all


def test_without_an_event_there_is_no_act(line, monkeypatch):
    def fail(*args, **kwargs):
        raise DatabaseError("disk full")

    fill(line.of("branch"))
    before = line.of("branch").token
    monkeypatch.setattr(AuditEvent.objects, "bulk_create", fail)
    events = AuditEvent.objects.count()

    with pytest.raises(DatabaseError):
        services.save_row(line.of("branch"), {"features": "新"}, by=line.branch)
    with pytest.raises(DatabaseError):
        workflow.move("submit", line.of("branch"), by=line.branch)

    assert line.of("branch").token == before
    assert LedgerEntry.objects.get(report=line.of("branch")).features != "新"
    assert not line.of("branch").versions.exists()
    assert AuditEvent.objects.count() == events


def test_a_refused_act_leaves_one_event_and_nothing_else(line):
    events = AuditEvent.objects.count()

    with pytest.raises(TransitionRefused):
        workflow.move("accept", line.of("branch"), by=line.branch)

    event = AuditEvent.objects.latest("pk")
    assert AuditEvent.objects.count() == events + 1
    assert (event.action, event.label, event.result) == ("accept", "审核通过", Result.REFUSED)
    assert (event.object_kind, event.object_id) == ("report", line.of("branch").pk)
    assert (event.person_id, event.unit_code) == (line.branch.person_id, "B1")
    assert "不能审核通过" in event.reason


def test_an_act_that_breaks_off_leaves_its_event_without_the_text_of_the_error(line, monkeypatch):
    def fail(*args, **kwargs):
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(workflow, "_write", fail)
    fill(line.of("branch"))

    with pytest.raises(ZeroDivisionError):
        workflow.move("submit", line.of("branch"), by=line.branch)

    event = AuditEvent.objects.latest("pk")
    assert (event.action, event.result, event.reason) == ("submit", "failed", "ZeroDivisionError")


def test_one_request_leaves_one_refusal(line):
    told = request_number.set("REQUEST1")
    try:
        events = AuditEvent.objects.count()
        for _ in range(3):
            with pytest.raises(TransitionRefused):
                workflow.move("accept", line.of("branch"), by=line.branch)
    finally:
        request_number.reset(told)

    assert AuditEvent.objects.count() == events + 1


def test_services_within_a_service_leave_their_refusal_to_the_outermost(db):
    @trail.service("里")
    def inner(*, by):
        raise Refusal("不行")

    @trail.service("外")
    def outer(*, by):
        write()
        inner(by=by)

    with pytest.raises(Refusal):
        outer(by=WithoutUnit())

    (event,) = AuditEvent.objects.all()
    assert (event.label, event.reason, event.result) == ("外", "不行", "refused")


def test_a_refusal_by_a_page_leaves_an_event_with_address_and_number(client, line):
    client.force_login(line.branch.user)
    report = line.of("branch")

    response = client.post(
        reverse("ratings:move", args=[report.pk, "accept"]),
        {"token": report.token},
        REMOTE_ADDR="10.1.2.3",
    )

    event = AuditEvent.objects.latest("pk")
    assert event.result == Result.REFUSED
    assert event.address == "10.1.2.3"
    assert event.request_number == response["X-Request-ID"]


@pytest.mark.parametrize(("trusted", "address"), [(False, "10.0.0.9"), (True, "192.0.2.7")])
def test_the_proxy_is_believed_only_where_it_is_trusted(client, line, settings, trusted, address):
    settings.TRUST_PROXY_HEADER = trusted
    client.post(
        reverse("login"),
        {"username": line.branch.user.username, "password": PASSWORD},
        headers={"X-Forwarded-For": "1.1.1.1, 192.0.2.7"},
        REMOTE_ADDR="10.0.0.9",
    )

    assert AuditEvent.objects.get(action="sign_in").address == address


def test_signing_in_and_out_and_failing_leave_events(client, line):
    user = line.branch.user
    client.post(reverse("login"), {"username": user.username, "password": PASSWORD})
    client.post(reverse("logout"))
    client.post(reverse("login"), {"username": user.username, "password": "falsch"})
    client.post(reverse("login"), {"username": "mein-Passwort-1", "password": "falsch"})

    found = AuditEvent.objects.filter(object_kind="user").order_by("pk")
    assert list(found.values_list("action", "result", "person_name")) == [
        ("sign_in", "done", str(user)),
        ("sign_out", "done", str(user)),
        ("sign_in", "refused", str(user)),
        ("sign_in", "refused", "不存在的账号"),
    ]
    assert not AuditEvent.objects.filter(reason__contains="mein").exists()
    assert found[0].unit_code == "B1"


def test_a_wrong_second_step_and_a_wrong_code_leave_events_with_the_address(client, line):
    user = line.branch.user
    TOTPDevice.objects.create(user=user, key="00" * 20)
    client.post(reverse("login"), {"username": user.username, "password": PASSWORD})
    client.post(reverse("accounts:second_step"), {"token": "000000"}, REMOTE_ADDR="192.0.2.7")
    entered = dict.fromkeys(("new_password1", "new_password2"), "Xiang-2013-shan")
    for name in (user.username, "mein-Passwort-1"):
        client.post(
            reverse("accounts:activate"),
            {"username": name, "code": "A" * 16, **entered},
            REMOTE_ADDR="192.0.2.7",
        )

    found = AuditEvent.objects.filter(result="refused", address="192.0.2.7").order_by("pk")
    assert list(found.values_list("action", "person_name")) == [
        ("sign_in", str(user)),
        ("activate", str(user)),
        ("activate", "不存在的账号"),
    ]
    assert not AuditEvent.objects.filter(reason__contains="mein").exists()


def test_a_forbidden_page_leaves_an_event(client, line):
    user = UserFactory(is_staff=True)
    client.force_login(user)

    assert client.get("/admin/orgs/user/").status_code == 403

    event = AuditEvent.objects.latest("pk")
    assert (event.action, event.result, event.object_name) == (
        "open",
        "refused",
        "/admin/orgs/user/",
    )
    assert event.person_id == user.pk


def test_a_refused_command_leaves_one_event(line, capsys):
    events = AuditEvent.objects.count()

    with pytest.raises(SystemExit):
        call_command("open_cycle", "2012")

    assert AuditEvent.objects.count() == events + 1
    assert AuditEvent.objects.latest("pk").result == Result.REFUSED
    assert AuditEvent.objects.latest("pk").request_number != "-"


# ---------------------------------------------------------------- settings


def test_keys_are_read_and_short_ones_refused(monkeypatch, tmp_path):
    file = tmp_path / "key"
    monkeypatch.delenv("AUDIT_KEY", raising=False)
    monkeypatch.setenv("AUDIT_KEY_FILE", str(file))

    def keys():
        return env.audit_keys("AUDIT_KEY", file_name="AUDIT_KEY_FILE", secret_key="s")

    with pytest.raises(env.SettingError, match="不能读取"):
        keys()
    file.write_text("short\n")
    with pytest.raises(env.SettingError, match="至少 32 个字符"):
        keys()
    file.write_text(f"{'k' * 32}\nSECRET_KEY\n")
    first, derived = keys()
    monkeypatch.setenv("AUDIT_KEY_FILE", "")

    assert first == b"k" * 32
    assert keys() == [derived]


def test_what_the_machine_does_not_have_is_refused(monkeypatch):
    def none(name):
        raise ValueError(name)

    monkeypatch.setenv("AUDIT_DIGEST", "sm3")
    monkeypatch.setattr(hashlib, "new", none)
    with pytest.raises(env.SettingError, match="没有 sm3"):
        env.digest("AUDIT_DIGEST", default="sha256")
    monkeypatch.setenv("AUDIT_DIGEST", "md5")
    with pytest.raises(env.SettingError, match="只能写"):
        env.digest("AUDIT_DIGEST", default="sha256")
