"""Import of tables in /admin: preview, everything or nothing, services and trail underneath."""

import io
import zipfile

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from ledger_site.base import importing
from ledger_site.base.models import AuditEvent
from orgs import tree
from orgs.choices import Role
from orgs.models import Appointment, Category, FormerName, Organization, User
from tests.factories import UserFactory, appoint

MODELS = ("organization", "category", "user", "appointment")
UNITS = ("代码", "上级代码", "名称", "组织类型", "领域类别", "简称", "纳入定级")


@pytest.fixture
def root(client, line):
    """A superuser without any post, signed in."""
    user = UserFactory(is_staff=True, is_superuser=True, full_name="维护员")
    client.force_login(user)
    return user


@pytest.fixture
def keeper(client, line):
    """Staff with 管理 at the township and no right of Django's own, signed in."""
    user = UserFactory(is_staff=True)
    appoint(line.units["township"], Role.MANAGE, user=user)
    client.force_login(user)
    return user


def csv(*rows):
    text = "\r\n".join(",".join(f'"{cell}"' for cell in row) for row in rows)
    return SimpleUploadedFile("表.csv", text.encode("utf-8-sig"))


def xlsx(*rows):
    book, file = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(file)
    return SimpleUploadedFile("表.xlsx", file.getvalue())


def upload(client, model, file):
    return client.post(reverse(f"admin:orgs_{model}_import"), {"import_file": file, "format": ""})


def confirm(client, model, preview, **forged):
    form = preview.context["confirm_form"]
    data = {name: form.initial.get(name, "") for name in form.fields}
    return client.post(
        reverse(f"admin:orgs_{model}_process_import"), {**data, **forged}, follow=True
    )


def said(response):
    return [str(error.error) for error in response.context["result"].base_errors]


def kinds(preview):
    return [row.import_type for row in preview.context["result"].rows]


def everything():
    return [
        list(model.objects.order_by("pk").values())
        for model in (Organization, Category, User, Appointment, AuditEvent)
    ]


@pytest.mark.parametrize("make", [csv, xlsx])
def test_organizations_are_previewed_then_put_into_the_tree_with_an_event_each(
    client, root, line, make
):
    rows = [
        ("N2", "N1", "甲县乙乡新村第一党支部", "党支部", "村", "", ""),  # before its superior
        ("N1", "T", "甲县乙乡新村党总支", "党总支", "村", "", "否"),
        ("B1", "T", "甲县乙乡改名村党支部", "党支部", "村", "", "是"),
        ("B2", "T", "甲县乙乡丁村党支部", "党支部", "村", "", ""),
    ]
    before = everything()

    preview = upload(client, "organization", make(UNITS, *rows))

    assert kinds(preview) == ["new", "new", "update", "skip"]
    text = preview.content.decode()
    assert "<del>甲县乙乡丙村党支部</del> → <ins>甲县乙乡改名村党支部</ins>" in text
    assert everything() == before
    done = confirm(client, "organization", preview)
    assert "新增2条，修改1条，未变1条" in done.content.decode()
    assert tree.check() == []
    made = Organization.objects.get(code="N2")
    assert (made.parent.code, made.parent.parent.code, made.is_rated) == ("N1", "T", True)
    assert FormerName.objects.get().name == "甲县乙乡丙村党支部"
    events = AuditEvent.objects.filter(object_kind="organization", person_name="维护员")
    assert sorted(events.values_list("action", "object_code")) == [
        ("change", "B1"),
        ("load", "N1"),
        ("load", "N2"),
    ]
    changed = events.get(object_code="B1").data
    assert changed["name"] == ["甲县乙乡丙村党支部", "甲县乙乡改名村党支部"]
    assert kinds(upload(client, "organization", make(UNITS, *rows))) == ["skip"] * 4


def test_a_new_superior_moves_an_organization_through_the_tree_alone(client, root, line):
    row = ("B1", "C", "甲县乙乡丙村党支部", "党支部", "村", "", "")

    preview = upload(client, "organization", csv(UNITS, row))
    confirm(client, "organization", preview)

    assert tree.check() == []
    assert Organization.objects.get(code="B1").parent.code == "C"
    assert AuditEvent.objects.get(object_code="B1", person_name="维护员").data["parent"] == [
        "T",
        "C",
    ]


def test_all_faults_of_a_table_are_said_at_once_with_their_rows_and_nothing_is_stored(
    client, root, line
):
    before = everything()
    units = upload(
        client,
        "organization",
        csv(
            UNITS,
            ("N1", "X", "新党支部", "党支部", "村", "", ""),
            ("", "", "", "", "", "", ""),
            ("N2", "T", "", "小组", "太空", "", "也许"),
            ("N1", "T", "又一个", "党支部", "村", "", ""),
        ),
    )
    users = upload(
        client,
        "user",
        csv(("账号", "姓名", "启用"), ("坏 账号", "甲", ""), ("", "乙", "也许"), ("ok", "丙", "")),
    )
    posts = upload(
        client,
        "appointment",
        csv(
            ("账号", "党组织代码", "角色"),
            ("nobody", "nowhere", "填报"),
            (line.branch.user.username, "B1", "旁观"),
        ),
    )
    categories = upload(
        client,
        "category",
        csv(("代码", "名称", "汇总表所列类别", "顺序"), ("a b", "村", "村", "三")),
    )

    assert said(units) == [
        "第4行 名称 “”：不能为空",
        "第4行 组织类型 “小组”：只能是党委、党工委、党总支、党支部",
        "第4行 领域类别 “太空”：只能是村、社区、机关、事业单位、国有企业、非公企业、社会组织、"
        "高校、中小学、其他",
        "第4行 纳入定级 “也许”：只能填 1（是）或 0（否）",
        "第5行 代码 “N1”：与第2行重复，请只留一行",
        "第2行 上级代码 “X”：文件和系统中都没有这个上级代码，请核对",
    ]
    assert [text[:9] for text in said(users)] == [
        "第2行 账号 “坏",
        "第3行 账号 “”",
        "第3行 启用 “也",
    ]
    assert said(posts) == [
        "第2行 账号 “nobody”：没有这个账号，或不在您管理的范围内",
        "第2行 党组织代码 “nowhere”：没有这个党组织代码，或不在您管理的范围内",
        "第3行 角色 “旁观”：只能是填报、审核、查阅、管理、审计，有几个的用顿号隔开",
    ]
    assert said(categories) == ["第2行 顺序 “三”：应为整数，如 3"]
    assert everything() == before
    for response in (units, users, posts, categories):
        assert "confirm_form" not in response.context


def test_users_come_without_a_password_and_no_file_holds_one(client, root, line):
    head = ("账号", "姓名", "启用")
    old = line.branch.user

    refused = upload(client, "user", csv((*head[:2], "密码"), ("xin", "新人", "abc123")))
    forged = upload(client, "user", csv((*head[:2], "is_superuser"), ("xin", "新人", "1")))
    preview = upload(client, "user", csv(head, ("xin", "新人", ""), (old.username, "改名", "否")))
    confirm(client, "user", preview)

    assert said(refused) == ["表头：密码不写在文件里；新账号导入后由管理人员逐个设置密码"]
    assert said(forged) == ["表头有不认识的列：is_superuser，请删除或改名"]
    user = User.objects.get(username="xin")
    assert (user.has_usable_password(), user.is_active, user.is_staff) == (False, True, False)
    old.refresh_from_db()
    assert (old.full_name, old.is_active) == ("改名", False)
    events = AuditEvent.objects.filter(object_kind="user").exclude(action="sign_in").order_by("pk")
    assert list(events.values_list("action", "object_name")) == [
        ("insert", "新人"),
        ("change", "改名"),
    ]
    assert "password" not in str(list(events.values_list("data")))


def test_a_blank_that_may_be_leaves_what_is_there(client, root, line):
    user = line.branch.user
    User.objects.filter(pk=user.pk).update(is_active=False)

    preview = upload(
        client, "user", csv(("账号", "姓名", "启用"), (user.username, user.full_name, ""))
    )

    assert kinds(preview) == ["skip"]


def test_appointments_are_made_once_each_with_its_event(client, root, line):
    user = UserFactory()
    table = (("账号", "党组织代码", "角色", "台账专人"), (user.username, "B1", "填报、审核", "是"))

    confirm(client, "appointment", upload(client, "appointment", xlsx(*table)))
    again = upload(client, "appointment", xlsx(*table))

    held = Appointment.objects.filter(user=user).order_by("role")
    assert list(held.values_list("role", "organization__code", "is_ledger_clerk")) == [
        ("fill", "B1", True),
        ("review", "B1", True),
    ]
    assert AuditEvent.objects.filter(action="appoint", object_code="B1").count() == 2
    assert kinds(again) == ["skip"]


def test_categories_are_made_and_changed_but_never_in_a_third_level(client, root, line):
    head = ("代码", "名称", "上级类别代码", "汇总表所列类别", "顺序")
    good = (head, ("cun2", "城中村", "village", "村", "11"), ("village", "行政村", "", "村", ""))

    confirm(client, "category", upload(client, "category", csv(*good)))
    third = upload(client, "category", csv(head, ("cun3", "小村", "cun2", "村", "")))
    turned = upload(client, "category", csv(head, ("village", "行政村", "organ", "村", "")))

    made = Category.objects.get(code="cun2")
    assert (made.parent.code, made.order) == ("village", 11)
    assert Category.objects.get(code="village").name == "行政村"
    assert AuditEvent.objects.filter(object_kind="category").count() == 2
    assert any(text.startswith("第2行 上级类别代码 “cun2”：") for text in said(third))
    assert said(turned) == ["第2行 上级类别代码 “organ”：该类别还有下级类别，不能再设上级"]


def test_who_keeps_accounts_imports_within_the_own_subtree_alone(client, keeper, line):
    before = everything()
    units = upload(
        client,
        "organization",
        csv(
            UNITS,
            ("N1", "P", "甲县新党支部", "党支部", "村", "", ""),
            ("N2", "nowhere", "甲县新党支部", "党支部", "村", "", ""),
            ("C", "P", "抢来的县委", "党委", "", "", ""),
            ("N3", "", "新的省委", "党委", "", "", ""),
            ("T", "P", "中共测试省甲县乙乡委员会", "党委", "", "", ""),
        ),
    )
    users = upload(
        client,
        "user",
        csv(("账号", "姓名"), (line.county.user.username, "甲"), (keeper.username, "乙")),
    )
    posts = upload(
        client,
        "appointment",
        csv(
            ("账号", "党组织代码", "角色"),
            (line.county.user.username, "B1", "填报"),
            (line.branch.user.username, "C", "填报"),
        ),
    )

    missing = "文件和系统中都没有这个上级代码，请核对"
    assert said(units) == [
        "第4行 代码 “C”：代码已被占用，或不在您管理的范围内",
        f"第2行 上级代码 “P”：{missing}",
        f"第3行 上级代码 “nowhere”：{missing}",
        f"第4行 上级代码 “P”：{missing}",
        "第5行 上级代码 “”：只能有一个最高级党组织，请填写上级代码",
        f"第6行 上级代码 “P”：{missing}",
    ]
    assert len(said(users)) == 2
    assert len(said(posts)) == 2
    assert everything() == before

    own = ("T", "C", "中共测试省甲县乙乡委员会", "党委", "", "", "")
    new = ("N1", "T", "甲县乙乡新村党支部", "党支部", "村", "", "")
    preview = upload(client, "organization", csv(UNITS, own, new))
    confirm(client, "organization", preview)
    event = AuditEvent.objects.get(object_code="N1")
    assert kinds(preview) == ["skip", "new"]
    assert (event.person_id, event.unit_code) == (keeper.pk, "T")
    assert tree.check() == []


def test_nothing_is_put_below_a_closed_organization(client, root, line):
    Organization.objects.filter(code="B2").update(closed_on="2012-01-01")

    page = upload(
        client, "organization", csv(UNITS, ("N1", "B2", "新党支部", "党支部", "村", "", ""))
    )

    assert said(page) == ["第2行 上级代码 “B2”：这个上级已撤销，不能再设下级"]


@pytest.mark.parametrize("model", MODELS)
def test_only_superusers_and_who_keeps_accounts_import(client, line, model):
    staff = UserFactory(is_staff=True)
    appoint(line.units["township"], Role.FILL, Role.REVIEW, user=staff)
    pages = [reverse(f"admin:orgs_{model}_{name}") for name in ("import", "process_import")]

    for user, status_code in ((staff, 403), (line.township.user, 302)):
        client.force_login(user)
        assert client.get(pages[0]).status_code == status_code
        assert client.post(pages[1]).status_code == status_code
    client.logout()
    assert client.get(pages[0]).status_code == 302


def test_categories_are_everybodys_and_imported_by_superusers_alone(client, keeper):
    assert client.get(reverse("admin:orgs_category_import")).status_code == 403


@pytest.mark.parametrize("model", MODELS)
def test_the_page_says_in_chinese_what_a_table_may_hold_and_has_no_inline_script(
    client, root, line, model
):
    page = client.get(reverse(f"admin:orgs_{model}_import")).content.decode()
    listed = client.get(reverse(f"admin:orgs_{model}_changelist")).content.decode()

    (resource,) = [
        r
        for r in (importing.TableResource.__subclasses__())
        if r.__name__.lower() == f"{model}resource"
    ]
    for column in resource.columns:
        assert f'<th scope="row">{column.heading}</th>' in page
    assert "不删除任何记录" in page
    assert "<script>" not in page
    assert f'href="{reverse(f"admin:orgs_{model}_import")}"' in listed.replace("'", '"')


def bomb():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"0" * 70_000_000)
    return file.getvalue()


def with_entity():
    file, made = io.BytesIO(), xlsx(("账号", "姓名"), ("a", "b")).read()
    with zipfile.ZipFile(io.BytesIO(made)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "xl/workbook.xml":
                content = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + content
            new.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "空"),
        (b"PK\x03\x04broken", "xlsx"),
        (b"\xff\xfe\x00\x01\x02", ""),
        (xlsx(("账号", "姓名"), ("a", "b")).read()[:1500], "xlsx"),
        ("账号,姓名".encode(), "没有数据"),
        (b'"' + b"x" * 300_000, ""),
        (b"\n".join(b"a,b" for _ in range(5100)), "5000"),
        (b"x" * (importing.LARGEST_FILE + 1), "MB"),
    ],
)
def test_a_hostile_or_broken_file_gets_one_plain_sentence(client, root, line, content, word):
    page = upload(client, "user", SimpleUploadedFile("x.xlsx", content))

    errors = page.context["form"].errors["import_file"]
    assert page.status_code == 200
    assert len(errors) == 1
    assert word in errors[0]
    assert "Traceback" not in page.content.decode()


@pytest.mark.parametrize("content", [bomb, with_entity])
def test_bombs_and_entities_are_refused_before_they_are_read(client, root, line, content):
    page = upload(client, "user", SimpleUploadedFile("x.xlsx", content()))

    assert len(page.context["form"].errors["import_file"]) == 1
    assert "root:" not in page.content.decode()


def test_no_file_and_formulas_and_markup_do_no_harm(client, root, line):
    none = client.post(reverse("admin:orgs_user_import"), {"format": "x", "resource": "9"})
    odd = xlsx(("账号", "姓名"), ("a1", "甲"), ("a2", "=1+1"))

    preview = upload(client, "user", odd)

    assert none.status_code == 200
    assert [text[:7] for text in said(preview)] == ["B3 单元格："]
    preview = upload(client, "user", xlsx(("账号", "姓名"), ("a1", "<script>alert(1)</script>")))
    assert "&lt;script&gt;alert(1)" in preview.content.decode()


@pytest.mark.parametrize("name", ["", "x", "../../etc/passwd", "eyJ9:1:2", "passwd"])
def test_what_was_not_previewed_is_not_confirmed(client, root, line, name):
    before = everything()
    url = reverse("admin:orgs_user_process_import")

    answer = client.post(
        url, {"import_file_name": name, "original_file_name": "x", "format": "7", "resource": "9"}
    )

    assert answer.status_code in (200, 302)
    assert everything() == before


def test_a_preview_of_another_table_or_an_altered_one_is_not_confirmed(client, root, line):
    preview = upload(client, "user", csv(("账号", "姓名"), ("xin", "新人")))
    name = preview.context["confirm_form"].initial["import_file_name"]

    other = confirm(client, "category", preview)
    altered = confirm(client, "user", preview, import_file_name=name[:-2] + "xx")

    for page in (other, altered):
        assert "预览已过期，没有导入" in page.content.decode()
    assert not User.objects.filter(username="xin").exists()


def test_what_no_longer_holds_at_the_confirmation_stores_nothing(client, root, line):
    user = UserFactory()
    rows = (
        ("账号", "党组织代码", "角色"),
        (user.username, "B2", "填报"),
        (user.username, "B1", "填报"),
    )
    preview = upload(client, "appointment", csv(*rows))
    Organization.objects.filter(code="B1").update(closed_on="2012-01-01")

    page = confirm(client, "appointment", preview)

    assert "预览之后情况有变，没有导入" in page.content.decode()
    assert not Appointment.objects.filter(user=user).exists()


def test_a_large_table_of_organizations_needs_no_more_queries(
    client, root, line, django_assert_max_num_queries
):
    counts = []
    for start, many in ((0, 2), (100, 40)):
        rows = [
            (f"N{n}", "T", f"甲县乙乡第{n}党支部", "党支部", "村", "", "")
            for n in range(start, start + many)
        ]
        with django_assert_max_num_queries(60) as queries:
            upload(client, "organization", csv(UNITS, *rows))
        counts.append(len(queries))

    assert counts[1] <= counts[0] + 5  # written in pieces


def test_what_is_stored_row_by_row_comes_in_smaller_files(client, root, line):
    rows = [(f"u{n}", "姓名") for n in range(2001)]

    page = upload(client, "user", csv(("账号", "姓名"), *rows))

    assert said(page) == ["一次最多导入2000行，请分成几个文件"]
    assert not User.objects.filter(username="u1").exists()
