"""import_accounts: every error with its line, or everybody appointed, the new ones with codes."""

import csv
import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from ledger_site.base import db
from ledger_site.base.models import AuditEvent
from ledger_site.base.trail import WithoutUnit
from orgs import accounts, posts
from orgs.choices import Duty, Role
from orgs.models import Appointment, OneTimeCode, User
from tests.factories import UserFactory, appoint

HEAD = "账号,姓名,党组织代码,角色,台账专人"


@pytest.fixture
def load(tmp_path):
    """Run the command on these rows: its status, its answer, what it said, the file of codes."""

    def run(*rows, head=HEAD, name="人员"):
        file, codes = tmp_path / f"{name}.csv", tmp_path / f"{name}-codes.csv"
        file.write_text("\n".join([head, *rows]), encoding="utf-8")
        out, err, status = StringIO(), StringIO(), 0
        try:
            call_command("import_accounts", str(file), "--json", stdout=out, stderr=err)
        except SystemExit as ended:
            status = ended.code
        return status, json.loads(out.getvalue() or "{}"), err.getvalue(), codes

    return run


def read(codes) -> list[dict[str, str]]:
    with codes.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def held_by(username) -> set:
    held = Appointment.objects.active().filter(user__username=username)
    return set(held.values_list("organization__code", "role", "is_ledger_clerk"))


def test_people_are_opened_appointed_and_get_codes_that_their_owner_alone_may_read(line, load):
    known = line.branch.user
    client = Client()
    client.force_login(known)

    status, answer, _, codes = load(
        "lisi,李四,B1,填报、审核,是",
        "lisi,李四,T,查阅,",
        "=1+1,王五,B2,填报,",
        "ｚｈａｏ,赵六,B2,填报,否",
        f"{known.username},{known.full_name},T,填报,",
    )

    assert status == 1  # an account can't begin with =
    status, answer, _, codes = load(
        "lisi,李四,B1,填报、审核,是",
        "lisi,李四,T,查阅,",
        "zhao,=赵六,B2,填报,否",
        f"{known.username},{known.full_name},T,填报,",
    )
    assert (status, answer) == (
        0,
        {"outcome": "accepted", "new": 2, "appointments": 5, "same": 0, "codes": str(codes)},
    )
    assert codes.stat().st_mode & 0o777 == 0o600
    first, second = read(codes)
    assert (first["账号"], first["党组织代码"], first["任职"]) == (
        "lisi",
        "B1；T",
        "甲县乙乡丙村党支部（填报、审核）；乙乡（查阅）",
    )
    assert second["姓名"] == "'=赵六"  # no formula in a spreadsheet
    assert held_by("lisi") == {("B1", "fill", True), ("B1", "review", True), ("T", "read", False)}
    person = User.objects.get(username="lisi")
    assert (person.is_active, person.has_usable_password(), person.duty) == (True, False, "")
    assert OneTimeCode.objects.filter(user__username__in=("lisi", "zhao")).count() == 2
    # Whoever was there keeps the password, gets no code, and signs in again.
    assert client.get(reverse("desk")).status_code == 302
    assert not OneTimeCode.objects.filter(user=known).exists()
    assert ("T", "fill", False) in held_by(known.username)
    named = AuditEvent.objects.filter(action="appoint", object_kind="appointment")
    assert named.filter(object_name__startswith="李四 · 甲县乙乡丙村党支部 · 审核").exists()
    event = AuditEvent.objects.get(action="import", label="导入账号文件")
    assert event.object_name == "人员.csv"
    assert {name: event.data[name] for name in ("rows", "accounts", "appointments")} == {
        "rows": 4,
        "accounts": 2,
        "appointments": 5,
    }
    call_command("verify", stdout=StringIO())
    # The code is good, once.
    form = {"username": "lisi", "code": first["激活码"], "new_password1": "Shan-2012-xiang"}
    form["new_password2"] = form["new_password1"]
    assert Client().post(reverse("accounts:activate"), form).status_code == 302
    assert User.objects.get(username="lisi").check_password("Shan-2012-xiang")


def test_the_same_file_again_changes_nothing_and_writes_no_codes(line, load):
    row = "lisi,李四,B1,填报,"
    load(row)
    state = list(User.objects.values()), list(Appointment.objects.values())

    status, answer, _, codes = load(row, name="再来")

    assert (status, answer["new"], answer["appointments"], answer["same"]) == (0, 0, 0, 1)
    assert answer["codes"] is None
    assert not codes.exists()
    assert state == (list(User.objects.values()), list(Appointment.objects.values()))
    # The file of codes of the first time is never written over.
    before = read(codes.with_name("人员-codes.csv"))
    status, answer, said, codes = load("wangwu,王五,B1,填报,")
    assert (status, read(codes)) == (1, before)
    assert "已经存在" in said
    assert not User.objects.filter(username="wangwu").exists()


def test_a_ledger_clerk_is_not_made_of_whoever_holds_the_role_already(line, load):
    load("lisi,李四,B1,填报,")
    state = list(Appointment.objects.values())

    status, answer, *_ = load("lisi,李四,B1,填报、审核,是", name="再来")

    assert status == 1
    assert "不是台账专人" in answer["errors"][0]
    assert state == list(Appointment.objects.values())


def test_empty_columns_behind_the_head_are_none(line, load):
    status, answer, *_ = load("lisi,李四,B1,填报,,", head=f"{HEAD},")

    assert (status, answer["new"]) == (0, 1)


def test_all_faults_are_said_with_their_lines_and_nothing_is_stored(line, load):
    stranger, closed, officer = UserFactory(), UserFactory(is_active=False), UserFactory()
    User.objects.filter(pk=officer.pk).update(duty=Duty.SECURITY)

    status, answer, _, codes = load(
        "hao,好人,B1,填报,是",
        ",无账号,B1,填报,",
        "yuan,远人,没有,填报,",
        "jue,角色人,B1,书记,",
        "hao,坏人,T,填报,",
        "hao,好人,B1,审核,",
        f"{stranger.username},别人,B1,填报,",
        f"{closed.username},{closed.full_name},B1,填报,",
        f"{officer.username},{officer.full_name},B1,填报,",
        "kong ge,空格,B1,填报,",
        "duo,多,B1,填报,是,还有",
        "zhuan,专,B1,填报,也许",
    )

    said = answer["errors"]
    assert (status, answer["outcome"]) == (1, "rejected")
    assert [one.partition("行")[0] for one in said] == [f"第{n}" for n in range(3, 14)]
    for words, one in zip(
        (
            "不能为空",
            "没有这个代码的党组织",
            "只能是填报、审核",
            "前面已有同一账号，姓名是“好人”",
            "写了两次",
            "账号已被使用，姓名不是“别人”",
            "已停用",
            "系统、安全或审计管理员",
            "账号 “kong ge”",
            "比表头多出内容",
            "只能填“是”或“否”",
        ),
        said,
        strict=True,
    ):
        assert words in one
    assert stranger.full_name not in str(said)
    assert not codes.exists()
    assert not User.objects.filter(username="hao").exists()
    assert not OneTimeCode.objects.exists()
    event = AuditEvent.objects.latest("pk")
    assert (event.result, event.label) == ("refused", "导入账号文件")
    assert event.reason.endswith("（共 11 处）")


@pytest.mark.parametrize(
    ("rows", "head", "said"),
    [
        ((), HEAD, "没有人员"),
        (("a,b",), "账号,密码", "密码不写在文件里"),
        (("a,b",), "账号,姓名", "表头缺少列：党组织代码、角色"),
        (("a,b,B1,填报,x",), HEAD.replace("台账专人", "电话"), "不认识的列：电话"),
    ],
)
def test_a_file_that_is_none_is_refused_in_chinese(line, load, rows, head, said):
    status, answer, _, codes = load(*rows, head=head)

    assert status == 1
    assert said in str(answer["errors"])
    assert not codes.exists()


def test_a_file_that_is_missing_or_whose_codes_go_nowhere_is_refused(db, tmp_path, capsys):
    for arguments, said in (
        ((str(tmp_path / "没有.csv"),), "找不到文件"),
        ((__file__, "--codes", str(tmp_path / "没有" / "码.csv")), "不能写入"),
    ):
        with pytest.raises(SystemExit) as ended:
            call_command("import_accounts", *arguments)
        assert ended.value.code == 1
        assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_load_takes_as_many_statements_for_fifty_as_for_two_thousand(
    line, load, monkeypatch, tmp_path
):
    # SQLite is sent the rows of a table in pieces; COPY is one statement.
    monkeypatch.setattr(db, "_PIECE", 5000)

    def used(count, name):
        rows = [f"{name}{n},某人{n},{'B1' if n % 2 else 'T'},填报," for n in range(count)]
        with CaptureQueriesContext(connection) as queries:
            status, answer, *_ = load(*rows, name=name)
        assert (status, answer["new"], answer["appointments"]) == (0, count, count)
        # ANALYZE from a thousand rows on, so that the planner knows what was loaded.
        return [one["sql"] for one in queries if not one["sql"].startswith("ANALYZE")]

    few, many = used(50, "shao"), used(2000, "duo")

    assert len(many) == len(few) < 40
    codes = {one["激活码"] for one in read(tmp_path / "duo-codes.csv")}
    assert len(codes) == 2000
    assert OneTimeCode.objects.filter(digest=accounts.digest_of(codes.pop())).exists()


def test_somebody_opened_meanwhile_refuses_the_whole(line, load, monkeypatch):
    made, once = accounts.new_code, []

    def meanwhile():
        if not once:
            once.append(UserFactory(username="lisi", full_name="李四"))
        return made()

    monkeypatch.setattr(accounts, "new_code", meanwhile)

    status, _, said, codes = load("lisi,李四,B1,填报,")

    assert (status, codes.exists()) == (1, False)
    assert "刚刚由他人建立" in said
    assert not Appointment.objects.filter(user__username="lisi").exists()


def test_a_deputy_for_some_days_is_no_post_of_ones_own(line, load):
    """What is held until a day is held for somebody else: the table appoints all the same."""
    deputy = appoint(line.units["sibling"], Role.FILL).user
    accounts.deputize(
        line.branch.user,
        line.units["branch"],
        deputy=deputy,
        roles=[Role.FILL],
        until=timezone.localdate(),
        by=WithoutUnit(),
    )

    status, answer, *_ = load(f"{deputy.username},{deputy.full_name},B1,填报,")

    assert (status, answer["appointments"]) == (0, 1)
    post = next(post for post in posts.posts_of(deputy) if post.unit_code == "B1")
    assert post.deputies == ()
